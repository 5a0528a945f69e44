"""The endpoints beside the batches: messages, token counts, models; and the SDK as their client."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest

from local.claude.client import Control
from tests.claude.helpers import Api, error_of, params, text_of

MESSAGES = "/v1/messages"


@pytest.fixture
def sdk(control: Control) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=control.base_url, api_key="test-key", max_retries=0) as client:
        yield client


def test_real_time_answers_are_those_of_the_batch(api: Api) -> None:
    wanted = params("Classify as positive, negative or neutral.\nReview: what a great lamp")
    message = api.http.post(MESSAGES, json=wanted).json()
    assert message["usage"]["service_tier"] == "standard"
    assert message["content"][0]["text"] == text_of(api.run(rows=[{"custom_id": "a", "params": wanted}])["a"]) == "positive"


def test_wrong_params_are_refused_at_once(api: Api) -> None:
    assert error_of(api.http.post(MESSAGES, content=b"{")) == (400, "invalid_request_error")
    assert error_of(api.http.post(MESSAGES, json=params(max_tokens=-1))) == (400, "invalid_request_error")
    assert error_of(api.http.post(MESSAGES, json=params(model="nobody"))) == (404, "not_found_error")
    assert error_of(api.http.post(MESSAGES, content=b" " * 32_000_001)) == (413, "request_too_large")


@pytest.mark.parametrize(("kind", "status"), [("overloaded_error", 529), ("rate_limit_error", 429), ("timeout_error", 504)])
def test_a_marker_is_an_error_in_real_time_too(api: Api, kind: str, status: int) -> None:
    assert error_of(api.http.post(MESSAGES, json=params(f"[[error:{kind}]]"))) == (status, kind)


def test_count_tokens_agrees_with_usage(api: Api) -> None:
    wanted = params("How many tokens is this?", system="Be brief.", tools=[{"name": "t", "input_schema": {"type": "object"}}])
    message = api.http.post(MESSAGES, json=wanted).json()
    del wanted["max_tokens"]
    counted = api.http.post(f"{MESSAGES}/count_tokens", json=wanted).json()
    assert counted == {"input_tokens": message["usage"]["input_tokens"]}
    assert error_of(api.http.post(f"{MESSAGES}/count_tokens", json={"model": "claude-haiku-4-5"})) == (
        400,
        "invalid_request_error",
    )


def test_models_can_be_listed_and_paged(api: Api) -> None:
    everything = api.http.get("/v1/models", params={"limit": 1000}).json()
    ids = [model["id"] for model in everything["data"]]
    assert "claude-haiku-4-5" in ids
    assert everything["has_more"] is False
    page = api.http.get("/v1/models", params={"limit": 3, "after_id": ids[1]}).json()
    assert [model["id"] for model in page["data"]] == ids[2:5]
    assert page["has_more"] is True
    before = api.http.get("/v1/models", params={"limit": 2, "before_id": ids[4]}).json()
    assert [model["id"] for model in before["data"]] == ids[2:4]
    assert api.http.get("/v1/models/claude-opus-5").json()["display_name"] == "Claude Opus 5"
    assert {model["lifecycle"] for model in everything["data"]} == {"active", "deprecated"}
    asked = "limit=1000&lifecycle[]=deprecated&lifecycle[]=retired"
    others = {model["id"]: model["lifecycle"] for model in api.http.get(f"/v1/models?{asked}").json()["data"]}
    assert (others["claude-sonnet-4-5"], others["claude-opus-4-1-20250805"]) == ("deprecated", "retired")
    assert "claude-haiku-5-5" not in others
    assert error_of(api.http.get("/v1/models/gpt")) == (404, "not_found_error")


def test_the_sdk_runs_a_batch_from_end_to_end(sdk: anthropic.Anthropic, control: Control) -> None:
    batch = sdk.messages.batches.create(
        requests=[
            {
                "custom_id": f"r{place}",
                "params": {
                    "model": "claude-haiku-4-5",
                    "max_tokens": 10,
                    "messages": [{"role": "user", "content": f"Number {place}"}],
                },
            }
            for place in range(25)
        ]
    )
    assert [found.id for found in sdk.messages.batches.list(limit=1)] == [batch.id]
    control.advance(10)
    assert sdk.messages.batches.retrieve(batch.id).processing_status == "ended"
    assert {line.custom_id for line in sdk.messages.batches.results(batch.id)} == {f"r{place}" for place in range(25)}
    assert sdk.messages.batches.delete(batch.id).id == batch.id


def test_the_sdk_streams_an_answer(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(
        model="claude-haiku-4-5", max_tokens=100, messages=[{"role": "user", "content": "Say this back to me, please."}]
    ) as stream:
        assert stream.get_final_text() == "In short: Say this back to me, please."
        assert stream.get_final_message().stop_reason == "end_turn"
    assert sdk.models.retrieve("claude-sonnet-5").line == "sonnet"
