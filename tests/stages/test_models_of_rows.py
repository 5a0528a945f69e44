"""A row whose model is gone is told so before anything is sent, with the model that takes its place."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.keys import PRICES
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.open_work import PRICE, RECIPE
from batchdrop.domain.records import Job, JobState
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.stages.plan import check
from batchdrop.stages.plan.check import RowCheck
from tests.fakes.clock import START
from tests.stack import Stack, row
from tests.stages.test_long_files import SlowStack

SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-5-5"
LISTED = (ListedModel(id="claude-sonnet-4-6"), ListedModel(id=SONNET), ListedModel(id=HAIKU))


def asking(model: str) -> bytes:
    line = json.loads(row(model))
    line["params"]["model"] = model
    return json.dumps(line).encode()


def failures(stack: Stack) -> dict[str, Any]:
    return {line["custom_id"]: line["_batchdrop"]["error"] for line in stack.lines("failed.jsonl")}


@pytest.mark.parametrize("fetched", [False, True])
def test_the_models_of_the_course(fetched: bool) -> None:
    stack = Stack()
    if fetched:
        stack.claude.listed = LISTED
        stack.tick()
    models = ("claude-sonnet-4-20250514", "claude-haiku-3-5-20241022", "claude-3-5-haiku-20241022", "claude-sonnet-4-6")
    stack.drop("inbox/course.jsonl", b"\n".join(map(asking, models)))
    stack.run()
    failed = failures(stack)
    assert {name: error["type"] for name, error in failed.items()} == dict.fromkeys(models[:3], "retired_model")
    assert SONNET in failed[models[0]]["message"]
    assert all(HAIKU in failed[model]["message"] for model in models[1:3])
    assert stack.claude.bodies
    assert [one["params"]["model"] for one in json.loads(stack.claude.bodies[0])["requests"]] == ["claude-sonnet-4-6"]

    stack.drop("inbox/again.jsonl", b"\n".join(map(asking, (SONNET, HAIKU))))
    stack.run()
    assert stack.jobs()[-1].counts.succeeded == 2


def listed(**changes: Any) -> ModelList:
    return ModelList(**{"fetched_at": START, "models": LISTED, **changes})


@pytest.mark.parametrize(
    ("models", "refused"),
    [
        (None, False),
        (listed(), True),
        (listed(official=False), False),
        (listed(fetched_at=START - timedelta(days=2)), False),
        (listed(fetched_at=START - timedelta(hours=47)), True),
        (listed(models=()), False),
    ],
)
def test_only_a_fresh_list_of_anthropic_refuses_what_is_not_on_it(models: ModelList | None, refused: bool) -> None:
    decide = RowCheck(CallHeaders(), models, START)
    data = asking("claude-sonet-5-5")
    decided = decide(Line(3, 0, len(data), data, cut=False))
    assert isinstance(decided, InvalidLine) == refused
    if isinstance(decided, InvalidLine):
        assert (decided.line, decided.type) == (3, "unknown_model")
        assert decided.message.startswith("params.model: ")
        assert SONNET in decided.message


def test_a_model_is_looked_up_once_and_the_memory_of_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(check, "model_fault", lambda model, *_: asked.append(model))
    monkeypatch.setattr(check, "_REMEMBERED_MODELS", 2)
    decide = RowCheck(CallHeaders(), None, START)
    for model in ("a", "a", "x" * 101, "b", "x" * 101, "c", "a", "c"):
        data = asking(model)
        assert isinstance(decide(Line(1, 0, len(data), data, cut=False)), Row)
    assert asked == ["a", "x" * 101, "b", "x" * 101, "c", "c"]


def asked_with(stack: Stack, model: str) -> Job:
    stack.drop("inbox/team/recipe.yaml", f"model: {model}\nprompt: '{{{{ text }}}}'\n".encode())
    if not stack.jobs():
        stack.drop("inbox/team/a.jsonl", b'{"text": "a"}\n')
    stack.run(5)
    return stack.job()


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("claude-haiku-5.5", HAIKU),
        ("claude-haiku-5", HAIKU),
        ("Claude-Haiku-5.5", HAIKU),
        ("claude-sonet-5-5", SONNET),
        ("gpt-4", HAIKU),
    ],
)
@pytest.mark.parametrize("official", [True, False], ids=["Anthropic", "another API"])
def test_a_mistyped_model_is_a_fault_of_the_recipe_and_waits_for_no_price(model: str, meant: str, official: bool) -> None:
    """A list that is not Anthropic's own refuses nothing, and there may be none yet."""
    stack = Stack()
    if not official:
        stack.ledger.put_models(listed(official=False))
    job = asked_with(stack, model)
    assert (job.state, job.needs) == (JobState.held, RECIPE)
    assert "recipe.yaml, line 1: " in job.reason
    assert model in job.reason
    assert meant in job.reason
    assert asked_with(stack, HAIKU).state is JobState.done


def test_a_new_model_needs_its_price_alone_and_a_faulty_file_of_prices_may_have_it() -> None:
    price = {"model": "claude-haiku-6", "input": 1, "output": 5, "write_5m": 1, "write_1h": 1, "read": 1}
    stack = Stack()
    stack.objects.drop(PRICES, json.dumps([price]).encode())
    assert asked_with(stack, "claude-haiku-6").state is JobState.done

    stack = Stack()
    stack.objects.drop(PRICES, b"[")
    assert asked_with(stack, "claude-haiku-6").needs == PRICE

    stack = Stack()
    stack.ledger.put_models(listed(models=(*LISTED, ListedModel(id="claude-haiku-6"))))
    assert asked_with(stack, "claude-haiku-6").needs == PRICE


def test_a_row_with_a_mistyped_model_is_told_by_its_line() -> None:
    stack = Stack()
    models = [HAIKU] * 16 + ["gpt-4", "claude-sonet-5-5", "gpt-4"]
    stack.drop("inbox/a.jsonl", b"\n".join(map(asking, models)))
    stack.run(30)
    assert (stack.job().state, stack.job().needs) == (JobState.held, PRICE)
    status = stack.document("status.json")
    assert "none is known of claude-sonet-5-5 (line 18), gpt-4 (line 17)," in status["message"]
    assert "cancel the job, correct the file and put it in again" in status["message"]
    assert not status["next"]["text"].startswith("Nothing to do")
    assert f"control/cancel/{stack.job().id}" in status["next"]["command"]


def test_the_line_of_a_mistyped_model_outlives_an_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.plan.check._CHUNK_ROWS", 2)
    stack = SlowStack()
    stack.drop("inbox/a.jsonl", b"\n".join(map(asking, [HAIKU, "gpt-4", *[HAIKU] * 20])))
    while stack.job().state is JobState.planning:
        stack.step()
    assert stack.invocations > 2
    assert "gpt-4 (line 2)" in stack.job().reason
