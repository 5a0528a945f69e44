"""The expected end in `status.json`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchdrop.domain.records import JobState
from batchdrop.reports.status import expected_end
from tests.adapters.records import job
from tests.fakes.clock import START


@pytest.mark.parametrize(("hours", "end"), [(0, 1), (0.9, 1), (1, 24), (23.9, 24), (24, None), (100, None)])
def test_no_end_is_expected_in_the_past(hours: float, end: int | None) -> None:
    running = job(state=JobState.running, planned_at=START)
    expected = None if end is None else START + timedelta(hours=end)
    assert expected_end(running, START + timedelta(hours=hours)) == expected


def test_no_end_is_expected_of_a_job_that_waits_for_a_person() -> None:
    assert expected_end(job(state=JobState.held), START) is None
