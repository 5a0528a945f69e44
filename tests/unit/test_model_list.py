"""What a stored list of models says, and for how long it is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchdrop.domain.model_list import ListedModel, ModelList

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HAIKU = ListedModel(id="claude-haiku-5-5", max_tokens=64_000, thinking=("adaptive", "disabled"), efforts=("low", "high"))


def test_a_model_is_found_by_its_whole_id() -> None:
    listed = ModelList(fetched_at=NOW, models=(HAIKU, ListedModel(id="old", lifecycle="retired", retires_at=NOW)))
    assert listed.find("claude-haiku-5-5") == HAIKU
    assert listed.find("claude-haiku-5") is None


@pytest.mark.parametrize(
    ("listed", "refuses"),
    [
        (ModelList(fetched_at=NOW - timedelta(hours=47), models=(HAIKU,)), True),
        (ModelList(fetched_at=NOW - timedelta(hours=48), models=(HAIKU,)), False),
        (ModelList(fetched_at=NOW, models=(HAIKU,), official=False), False),
        (ModelList(fetched_at=NOW), False),
    ],
)
def test_only_a_fresh_list_of_anthropics_own_refuses(listed: ModelList, refuses: bool) -> None:
    assert listed.refuses_unknown(NOW) is refuses
