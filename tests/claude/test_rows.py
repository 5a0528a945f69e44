"""What becomes of the rows of a batch: late validation, markers, usage, filler."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from local.claude.client import Control
from tests.claude.helpers import Api, params, requests, text_of
from tests.named_files import pdf, png


def errors_of(result: dict[str, Any]) -> tuple[str, str]:
    assert result["type"] == "errored", result
    body = result["error"]
    assert body["type"] == "error"
    assert body["request_id"].startswith("req_")
    return body["error"]["type"], body["error"]["message"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stream": True}, "stream"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 10_000_000}, "max_tokens"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": "hello"}, "messages: Input should be a valid list"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"speed": "fast"}, "fast mode"),
        ({"store": True}, "store"),
        ({"billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}}, "billing_policy"),
        ({"temperature": 2}, "temperature"),
        ({"model": "claude-opus-5", "temperature": 0.5}, "temperature"),
        ({"model": "claude-sonnet-5", "top_k": 5}, "top_k"),
        ({"temperature": 1}, "temperature: Extra inputs are not permitted"),
        ({"top_p": 0.99, "model": "claude-haiku-5-5"}, "top_p: Extra inputs are not permitted"),
        ({"betas": ["output-300k-2026-03-24"]}, "betas: Extra inputs are not permitted"),
        ({"thinking": {"type": "adaptive"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 50}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "max_tokens"),
        ({"thinking": {"type": "disabled"}, "model": "claude-opus-5-5"}, "thinking.type"),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}, "model": "claude-opus-5"}, "effort"),
        ({"output_config": {"effort": "low"}}, "effort"),
        ({"output_config": {"effort": "xhigh"}, "model": "claude-sonnet-4-6"}, "effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"tools": [{"name": "x"}], "tool_choice": {"type": "any"}, "model": "claude-sonnet-5-5"}, "tool_choice"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "model": "claude-sonnet-4-6"},
            "prefill",
        ),
        ({"shoe_size": 43}, "shoe_size: Extra inputs are not permitted"),
    ],
)
def test_wrong_params_make_the_row_errored_and_not_the_batch_refused(api: Api, wrong: dict[str, Any], message: str) -> None:
    rows = [{"custom_id": "bad", "params": {**params(), **wrong}}, {"custom_id": "good", "params": params()}]
    results = api.run(rows=rows)
    kind, text = errors_of(results["bad"])
    assert kind == "invalid_request_error"
    assert message in text
    assert results["good"]["type"] == "succeeded"


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_a_missing_parameter_is_named(api: Api, field: str) -> None:
    incomplete = {name: value for name, value in params().items() if name != field}
    assert errors_of(api.run(rows=[{"custom_id": "a", "params": incomplete}])["a"]) == (
        "invalid_request_error",
        f"{field}: Field required",
    )


@pytest.mark.parametrize("model", ["claude-nobody-1", "claude-sonnet-4-20250514", "claude-3-5-haiku-20241022"])
def test_an_unknown_or_retired_model_is_not_found(api: Api, model: str) -> None:
    assert errors_of(api.result(model=model)) == ("not_found_error", f"model: {model}")


@pytest.mark.parametrize(
    "fields",
    [{"stream": False}, {"model": "claude-haiku-4-5-20251001"}, {"thinking": {"type": "disabled"}}, {"temperature": None}],
)
def test_what_is_taken(api: Api, fields: dict[str, Any]) -> None:
    assert api.result(**fields)["type"] == "succeeded"


BETA = {"anthropic-beta": "x,output-300k-2026-03-24"}


@pytest.mark.parametrize(
    ("model", "has_it"), [("claude-opus-4-6", True), ("claude-fable-5-2", False), ("claude-haiku-4-5", False)]
)
def test_long_outputs_need_their_beta_and_a_model_that_has_it(api: Api, model: str, has_it: bool) -> None:
    rows = [{"custom_id": "a", "params": params("[[long]]", max_tokens=300_000, model=model)}]
    assert api.run(rows=rows)["a"]["type"] == "errored"
    answer = api.post({"requests": rows}, headers=BETA)
    api.control.advance(10)
    result = api.lines(answer.json()["id"])[0]["result"]
    assert (result["type"] == "succeeded") == has_it
    if has_it:
        assert result["message"]["usage"]["output_tokens"] == 300_000
        assert len(result["message"]["content"][-1]["text"]) > 1_000_000
    else:
        assert "max_tokens: 300000 > 128000" in errors_of(result)[1]


def test_long_outputs_are_for_batches_only(api: Api) -> None:
    long = params(max_tokens=128_001, model="claude-opus-4-6")
    assert api.http.post("/v1/messages", json=long, headers=BETA).status_code == 400


def test_markers_force_the_outcome_of_their_row(api: Api, control: Control) -> None:
    batch_id = api.create(
        "[[error:overloaded_error]] one", "[[expire]] two", "[[missing]] three", "[[duplicate]] four", "five", "[[error]] six"
    )
    control.advance(10)
    lines = api.lines(batch_id)
    kinds = sorted((line["custom_id"], line["result"]["type"]) for line in lines)
    assert kinds == [
        ("row-0", "errored"),
        ("row-1", "expired"),
        ("row-3", "succeeded"),
        ("row-3", "succeeded"),
        ("row-4", "succeeded"),
        ("row-5", "errored"),
    ]
    by_id = {line["custom_id"]: line["result"] for line in lines}
    assert errors_of(by_id["row-0"])[0] == "overloaded_error"
    assert errors_of(by_id["row-5"])[0] == "api_error"
    counts = api.retrieve(batch_id)["request_counts"]
    assert counts == {"processing": 0, "succeeded": 3, "errored": 2, "canceled": 0, "expired": 1}, "missing ones count too"


def test_markers_make_an_answer_that_is_of_no_use(api: Api) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
    asked = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    marks = ("refuse:cyber", "truncate", "empty", "pause", "garble")
    rows = [{"custom_id": mark[:6], "params": params(f"[[{mark}]] a b c d e f", **asked)} for mark in marks]
    messages = {name.strip(":"): result["message"] for name, result in api.run(rows=rows).items()}
    assert {name: message["stop_reason"] for name, message in messages.items()} == {
        "refuse": "refusal",
        "trunca": "max_tokens",
        "empty": "end_turn",
        "pause": "pause_turn",
        "garble": "end_turn",
    }
    assert messages["refuse"]["stop_details"] == {"type": "refusal", "category": "cyber", "explanation": None}
    assert messages["refuse"]["content"] == messages["empty"]["content"] == []
    for name in ("trunca", "garble"):
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(messages[name]["content"][0]["text"])


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({"model": "claude-haiku-5-5"}, True),
        ({"model": "claude-haiku-5-5", "thinking": {"type": "disabled"}}, False),
        ({"model": "claude-sonnet-5-5", "thinking": {"type": "between_tools"}}, False),
        ({"model": "claude-opus-5-5"}, True),
        ({"model": "claude-sonnet-4-6"}, False),
        ({"model": "claude-sonnet-4-6", "thinking": {"type": "adaptive"}}, True),
        ({"model": "claude-haiku-4-5", "thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
    ],
)
def test_thinking_comes_first_and_is_counted(api: Api, fields: dict[str, Any], thinks: bool) -> None:
    message = api.result(prompt="Hello there.", max_tokens=2000, **fields)["message"]
    kinds = [block["type"] for block in message["content"]]
    assert kinds == (["thinking", "text"] if thinks else ["text"])
    details = message["usage"]["output_tokens_details"]
    assert (details is not None) == thinks
    if thinks:
        assert 0 < details["thinking_tokens"] < message["usage"]["output_tokens"]


def test_thinking_may_leave_no_room_for_an_answer(api: Api) -> None:
    message = api.result(model="claude-haiku-5-5", max_tokens=50)["message"]
    assert ([block["type"] for block in message["content"]], message["stop_reason"]) == (["thinking"], "max_tokens")
    assert message["usage"]["output_tokens"] == message["usage"]["output_tokens_details"]["thinking_tokens"] == 50
    assert api.result(model="claude-haiku-5-5", max_tokens=50, output_config={"effort": "low"})["message"]["content"][1]["text"]


def test_counted_markers_let_a_later_attempt_succeed(api: Api) -> None:
    prompts = ["[[error:api_error:1]] one", "[[expire:2]] two", "[[missing:1]] three"]
    first, second, third = (api.run(*prompts) for _ in range(3))
    assert {key: result["type"] for key, result in first.items()} == {"row-0": "errored", "row-1": "expired"}
    assert {key: result["type"] for key, result in second.items()} == {
        "row-0": "succeeded",
        "row-1": "expired",
        "row-2": "succeeded",
    }
    assert {result["type"] for result in third.values()} == {"succeeded"}


def test_a_refused_create_is_no_attempt(api: Api, control: Control) -> None:
    rows = requests("[[error:api_error:1]] one")
    control.fault("refuse", "create", status=429)
    assert api.post({"requests": rows}).status_code == 429
    assert api.run(rows=rows)["row-0"]["type"] == "errored"
    assert api.run(rows=rows)["row-0"]["type"] == "succeeded"


def test_a_classification_gets_one_of_its_labels(api: Api) -> None:
    prompt = "Classify this review as positive, negative or neutral. Reply with just the label.\nReview: "
    results = api.run(*(prompt + text for text in ("I love it, excellent!", "Broken, a waste.", "It is a chair.", "Not good.")))
    assert [text_of(results[f"row-{place}"]) for place in range(4)] == ["positive", "negative", "neutral", "negative"]


def test_a_message_is_whole(api: Api) -> None:
    message = api.result(prompt="Hello there. How are you?")["message"]
    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", "claude-haiku-4-5")
    assert message["stop_reason"] == "end_turn"
    usage = message["usage"]
    assert usage["service_tier"] == "batch"
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}


def test_the_same_prompt_gets_the_same_answer(api: Api) -> None:
    assert text_of(api.result(prompt="Tell me.")) == text_of(api.result(prompt="Tell me."))


def test_max_tokens_and_stop_sequences_end_an_answer(api: Api) -> None:
    cut = api.result(prompt="A rather long sentence to be echoed here.", max_tokens=2)["message"]
    assert cut["stop_reason"] == "max_tokens"
    assert cut["usage"]["output_tokens"] == 2
    stopped = api.result(prompt="one STOP two", stop_sequences=["STOP"])["message"]
    assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "STOP")
    assert "STOP" not in stopped["content"][0]["text"]


SYSTEM: list[dict[str, Any]] = [
    {"type": "text", "text": "You label reviews. " * 1000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
]
TOGETHER = 100
"""Rows of a batch that start at once."""


def cached(count: int, system: Any = SYSTEM, **more: Any) -> list[dict[str, Any]]:
    return [{"custom_id": f"c{place}", "params": params(f"Row {place}", system=system, **more)} for place in range(count)]


def usage_of(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [result["message"]["usage"] for result in results.values()]


def hits(usages: list[dict[str, Any]]) -> int:
    found = [usage for usage in usages if usage["cache_read_input_tokens"]]
    assert not any(usage["cache_creation_input_tokens"] for usage in found)
    return len(found)


def test_rows_that_start_together_all_write_what_none_of_them_finds(api: Api, control: Control) -> None:
    control.settings(cache_hits=1)
    usages = usage_of(api.run(rows=cached(TOGETHER + 50)))
    written = [usage["cache_creation"]["ephemeral_1h_input_tokens"] for usage in usages]
    assert sorted(written) == [0] * 50 + [max(written)] * TOGETHER
    assert hits(usages) == 50


def test_a_batch_of_one_warms_the_next_for_an_hour_from_the_last_hit(api: Api, control: Control) -> None:
    control.settings(cache_hits=1)
    assert hits(usage_of(api.run(rows=cached(1)))) == 0
    assert hits(usage_of(api.run(rows=cached(20)))) == 20
    control.advance(3000)
    assert hits(usage_of(api.run(rows=cached(1)))) == 1
    control.advance(3000)
    assert hits(usage_of(api.run(rows=cached(1)))) == 1, "the hit has kept it"
    control.advance(3601)
    assert hits(usage_of(api.run(rows=cached(1)))) == 0


def test_of_warm_rows_from_30_to_98_percent_hit(api: Api) -> None:
    api.run(rows=cached(1))
    shares = [hits(usage_of(api.run(rows=cached(400)))) / 400 for _ in range(6)]
    assert min(shares) > 0.22
    assert max(shares) < 1
    assert max(shares) - min(shares) > 0.05, "each batch draws its own"


@pytest.mark.parametrize(
    "other",
    [
        {"system": [{**SYSTEM[0], "text": SYSTEM[0]["text"] + "!"}]},
        {"system": [{**SYSTEM[0], "text": "You label reviews. " * 60}]},
        {"model": "claude-sonnet-4-6"},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
        {"tools": [{"name": "rate", "input_schema": {"type": "object"}}]},
    ],
    ids=["text", "too short", "model", "schema", "thinking", "tools"],
)
def test_another_prefix_finds_nothing(api: Api, control: Control, other: dict[str, Any]) -> None:
    control.settings(cache_hits=1)
    api.run(rows=cached(1))
    assert hits(usage_of(api.run(rows=cached(1)))) == 1
    assert hits(usage_of(api.run(rows=cached(1, **other)))) == 0


def test_what_a_message_has_written_no_batch_finds(api: Api, control: Control) -> None:
    control.settings(cache_hits=1)
    message = params("Row", system=SYSTEM)
    for _ in range(2):
        usage = api.http.post("/v1/messages", json=message).json()["usage"]
    assert usage["cache_read_input_tokens"], "messages find it"
    assert hits(usage_of(api.run(rows=cached(1)))) == 0


def test_shorter_prefixes_than_the_model_caches_are_silently_not_cached(api: Api) -> None:
    short = [{**SYSTEM[0], "text": "You label reviews. " * 800}]
    assert not any(usage["cache_creation_input_tokens"] for usage in usage_of(api.run(rows=cached(2, system=short))))


@pytest.mark.parametrize("ttls", [["1h"] * 5, ["5m", "1h"]])
def test_marks_that_the_api_refuses(api: Api, ttls: list[str]) -> None:
    marked = [{"type": "text", "text": "Rules.", "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in ttls]
    (result,) = api.run(rows=cached(1, system=marked)).values()
    assert result["error"]["error"]["type"] == "invalid_request_error"
    assert "cache_control" in result["error"]["error"]["message"]


def test_a_schema_gets_a_value_that_fits(api: Api) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["positive", "negative", "neutral"]}, "stars": {"type": "integer"}},
        "required": ["label", "stars"],
        "additionalProperties": False,
    }
    text = text_of(api.result(prompt="I love it.", output_config={"format": {"type": "json_schema", "schema": schema}}))
    assert text == '{"label":"positive","stars":5}'


def test_a_forced_tool_is_used(api: Api) -> None:
    tool = {"name": "rate", "input_schema": {"type": "object", "properties": {"score": {"type": "number"}}}}
    message = api.result(tools=[tool], tool_choice={"type": "tool", "name": "rate"})["message"]
    assert message["stop_reason"] == "tool_use"
    assert (message["content"][0]["name"], message["content"][0]["input"]) == ("rate", {"score": 3})


def test_answers_and_results_can_be_filled_up(api: Api, control: Control) -> None:
    control.settings(answer_bytes=5_000)
    assert len(text_of(api.result(max_tokens=1))) == 5_000
    control.settings(answer_bytes=0, results_bytes=1_000_000)
    batch_id = api.create(*"abcd")
    control.advance(10)
    assert 1_000_000 <= len(api.results(batch_id).content) < 1_010_000


# ---------------------------------------------------------------- documents and images


def file_block(kind: str, media_type: str, data: bytes) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}}


def about(*blocks: dict[str, Any], model: str = "claude-haiku-4-5") -> dict[str, Any]:
    content = [*blocks, {"type": "text", "text": "What is it?"}]
    return params("", model=model, messages=[{"role": "user", "content": content}])


def answers(api: Api, *asked: dict[str, Any]) -> list[dict[str, Any]]:
    found = api.run(rows=[{"custom_id": str(number), "params": one} for number, one in enumerate(asked)])
    return [found[str(number)] for number in range(len(asked))]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([file_block("document", "application/pdf", pdf(encrypted=True))], "password protected"),
        ([file_block("document", "application/pdf", b"no PDF")], "not valid"),
        ([file_block("document", "application/pdf", b"%PDF-1.7 damaged")], "not valid"),
        ([file_block("document", "application/pdf", pdf(60))] * 2, "A maximum of 100 PDF pages"),
        ([file_block("document", "image/png", png())], "media_type"),
        ([file_block("image", "image/jpeg", png())], "does not match"),
        ([file_block("image", "image/tiff", png())], "media_type"),
        ([file_block("image", "image/png", png(8001, 10))], "8000 pixels"),
        ([file_block("image", "image/png", png(2001, 10))] * 21, "2000 pixels"),
        ([file_block("image", "image/png", png(size=7_500_001))], "10 MB maximum"),
        ([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "%%"}}], "Invalid base64"),
        ([{"type": "document", "source": {"type": "batchdrop_file"}}], "does not match any of the expected tags"),
        ([{"type": "document"}], "source: Field required"),
    ],
)
def test_files_are_refused_as_the_api_refuses_them(api: Api, blocks: list[dict[str, Any]], message: str) -> None:
    (result,) = answers(api, about(*blocks))
    assert errors_of(result)[0] == "invalid_request_error"
    assert message in errors_of(result)[1]


def test_a_request_of_more_than_32_mb_is_refused(api: Api) -> None:
    (result,) = answers(api, about(*[file_block("document", "application/pdf", pdf(size=12_500_000))] * 2))
    assert errors_of(result)[0] == "request_too_large"


def test_pages_and_pixels_count(api: Api) -> None:
    one, two, image, newer = answers(
        api,
        about(file_block("document", "application/pdf", pdf(1))),
        about(file_block("document", "application/pdf", pdf(2))),
        about(file_block("image", "image/png", png(280, 140))),
        about(file_block("document", "application/pdf", pdf(1)), model="claude-haiku-5-5"),
    )
    tokens = [answer["message"]["usage"]["input_tokens"] for answer in (one, two, image, newer)]
    assert tokens[1] - tokens[0] == 2_000 + 1_568
    assert 50 < tokens[2] < 70
    assert tokens[3] > tokens[0]
