"""What is counted of money: at a job's end by folder and recipe, and of the month while something is open."""

from __future__ import annotations

import pytest

from batchdrop.domain.records import JobState
from tests.money import dear_rows, held, say, stack_of, until
from tests.stack import Stack
from tests.stages.row_jobs import RECIPE, TABLE
from tests.stages.row_jobs import stack_of as stack_with_recipe


def test_what_a_job_has_spent_is_told_by_folder_and_by_recipe() -> None:
    stack = stack_with_recipe()
    stack.drop("inbox/marketing/recipe.yaml", RECIPE)
    stack.drop("inbox/marketing/eu/rows.csv", TABLE.encode())
    stack.run()
    manifest = stack.document("manifest.json")
    usd, real_time = manifest["cost"]["usd"], manifest["cost"]["real_time_usd"]
    for scope in ("", " folder=marketing", " recipe=marketing/recipe.yaml"):
        assert stack.metrics.totals[f"SpentUsd{scope}"] == pytest.approx(usd)
        assert stack.metrics.totals[f"SavedUsd{scope}"] == pytest.approx(real_time - usd)


def test_nothing_is_told_where_nothing_happens() -> None:
    stack = Stack(monthly_limit="100")
    stack.drop("inbox/empty.jsonl", b"no json")
    stack.run()
    stack.metrics.totals.clear()
    stack.step()
    stack.step()
    assert {name for name in stack.metrics.totals if "Usd" in name or "Percent" in name} == set()


def test_the_month_is_full_as_soon_as_a_job_waits_for_it() -> None:
    stack = stack_of(monthly_limit="0.05", max_requests=2)
    stack.drop("inbox/team/file.jsonl", dear_rows(6))
    job = held(stack, "limit")
    assert stack.metrics.latest["MonthUsedPercent"] == 100
    say(stack, "raise", job)
    until(stack, lambda: stack.job().state is JobState.done)
    assert stack.metrics.latest["ReservedUsd"] >= 0


def test_the_month_is_told_in_percent_while_something_is_open() -> None:
    stack = stack_of(monthly_limit="1", max_requests=2)
    stack.drop("inbox/team/file.jsonl", dear_rows(4))
    stack.tick()
    (purse,) = stack.ledger.get_purses([f"month {stack.clock.now():%Y-%m}"])
    assert purse.used
    assert stack.metrics.latest["MonthUsedPercent"] == purse.used * 100 // 1_000_000
    assert stack.metrics.latest["ReservedUsd"] == pytest.approx((purse.used - purse.spent) / 1_000_000)


def test_the_switch_says_what_is_not_spent() -> None:
    stack = stack_of(monthly_limit="100", max_requests=2)
    stack.switch.text = "pause"
    stack.drop("inbox/team/file.jsonl", dear_rows(6))
    stack.switch.text = "stop"
    stack.step()
    message = stack.document("status.json")["message"]
    job = stack.job()
    assert job.expected is not None
    assert "is not spent" in message
