"""What a model's name alone tells about a request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.model_names import KNOWN, NEWEST, meant_by, model_fault

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def listing(*models: ListedModel, hours: int = 1, official: bool = True) -> ModelList:
    names = ("claude-haiku-5-5", "claude-sonnet-4-6", "claude-haiku-4-5-20251001")
    everything = (*(ListedModel(id=name) for name in names), *models)
    return ModelList(fetched_at=NOW - timedelta(hours=hours), models=everything, official=official)


@pytest.mark.parametrize(
    ("model", "instead"),
    [
        ("claude-sonnet-4-20250514", "claude-sonnet-5-5"),
        ("claude-sonnet-4-0", "claude-sonnet-5-5"),
        ("claude-haiku-3-5-20241022", "claude-haiku-5-5"),
        ("claude-3-5-haiku-20241022", "claude-haiku-5-5"),
        ("claude-3-haiku-20240307", "claude-haiku-5-5"),
        ("claude-3-7-sonnet-latest", "claude-sonnet-5-5"),
        ("claude-opus-4-20250514", "claude-opus-5-5"),
        ("claude-opus-4-1-20250805", "claude-opus-5-5"),
        ("claude-opus-4-1", "claude-opus-5-5"),
        ("claude-2.1", "claude-haiku-5-5"),
        ("claude-instant-1.2", "claude-haiku-5-5"),
    ],
)
@pytest.mark.parametrize("listed", [None, listing(), listing(official=False)])
def test_a_retired_model_is_refused_with_its_successor(model: str, instead: str, listed: ModelList | None) -> None:
    fault = model_fault(model, listed, NOW)
    assert fault is not None
    assert fault.type == "retired_model"
    assert instead in fault.message


@pytest.mark.parametrize("model", [*KNOWN, *NEWEST.values(), "claude-opus-6", "my-own-model"])
def test_without_a_list_no_other_model_is_refused(model: str) -> None:
    assert model_fault(model, None, NOW) is None


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("haiku", "claude-haiku-5-5"),
        ("Haiku 5.5", "claude-haiku-5-5"),
        ("claude haiku", "claude-haiku-5-5"),
        ("Claude-Sonnet-4-6", "claude-sonnet-4-6"),
        ("sonnet-4.6", "claude-sonnet-4-6"),
        ("opus 9", "claude-opus-5-5"),
        ("claude-haiku-5-5", None),
        ("claude-haiku-9", None),
        ("my-own-model", None),
        ("anthropic/claude-haiku-5-5", None),
        ("haiku" * 100, None),
    ],
)
def test_a_short_name_stands_for_a_model(model: str, meant: str | None) -> None:
    assert meant_by(model, None) == meant
    assert meant_by(model, listing()) == meant


def test_another_api_may_have_a_model_of_that_name() -> None:
    assert meant_by("haiku", listing(official=False)) is None
    assert meant_by("haiku", listing(ListedModel(id="haiku"))) is None


def test_what_the_list_says_counts() -> None:
    gone = ListedModel(id="claude-sonnet-5", lifecycle="retired")
    back = ListedModel(id="claude-opus-4-1-20250805", lifecycle="deprecated")
    other = ListedModel(id="claude-opus-6", batch=False)
    fault = model_fault("claude-sonnet-5", listing(gone), NOW)
    assert fault is not None
    assert "Write claude-sonnet-5-5" in fault.message
    assert model_fault("claude-opus-4-1-20250805", listing(back), NOW) is None
    no_batches = model_fault("claude-opus-6", listing(other), NOW)
    assert no_batches is not None
    assert no_batches.type == "model_without_batches"


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("claude-haiku-55", "Did you mean claude-haiku-5-5?"),
        ("haiku", "Write claude-haiku-5-5"),
        ("gpt", "such as claude-haiku-5-5"),
        ("", "such as claude-haiku-5-5"),
        ("x" * 100_000, "such as claude-haiku-5-5"),
    ],
)
def test_an_unknown_model_is_refused_by_a_fresh_list_only(model: str, hint: str) -> None:
    fault = model_fault(model, listing(), NOW)
    assert fault is not None
    assert fault.type == "unknown_model"
    assert hint in fault.message
    assert len(fault.message) < 300
    assert model_fault(model, listing(hours=49), NOW) is None
    assert model_fault(model, listing(official=False), NOW) is None


def test_an_alias_is_known_by_its_dated_id() -> None:
    assert model_fault("claude-haiku-4-5", listing(), NOW) is None
    assert model_fault("claude-opus-4-5", listing(), NOW) is not None
