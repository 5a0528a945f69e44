"""When SQS delivers a message again: the arithmetic of a failure."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchdrop.domain.redelivery import MAX_PAUSE, MAX_RECEIVES, cut_off, pause_after, silence

TIMEOUT = timedelta(seconds=900)
VISIBILITY = 6 * TIMEOUT


def test_the_pause_doubles_from_half_a_minute_to_a_quarter_of_an_hour() -> None:
    assert [pause_after(receives) for receives in range(1, 8)] == [30, 60, 120, 240, 480, 900, 900]
    assert pause_after(10**9) == MAX_PAUSE


def test_an_outage_of_six_hours_makes_no_dead_letter() -> None:
    # A pause lies between two deliveries: the last one has none behind it.
    pauses = [pause_after(receives) for receives in range(1, MAX_RECEIVES)]
    assert (pauses[:5], pauses[5:]) == ([30, 60, 120, 240, 480], [900] * 24)
    assert sum(pauses) == 930 + 24 * 900 == 22_530
    assert timedelta(hours=6) < timedelta(seconds=sum(pauses)) < timedelta(hours=7)


@pytest.mark.parametrize(("receives", "errors", "killed"), [(1, 0, 0), (2, 0, 1), (2, 1, 0), (6, 0, 5), (6, 2, 3), (1, 4, 0)])
def test_what_neither_ended_nor_failed_was_cut_off(receives: int, errors: int, killed: int) -> None:
    assert cut_off(receives, errors) == killed


@pytest.mark.parametrize("errors", range(MAX_RECEIVES + 1))
def test_nobody_speaks_for_sqs_before_it_has_had_its_time(errors: int) -> None:
    """Something is heard of a message when it fails, and when it is delivered after an invocation was killed."""
    pause = timedelta(seconds=pause_after(errors) if errors else 0)
    until_it_fails_again = pause + TIMEOUT
    until_it_is_delivered_after_a_kill = pause + VISIBILITY
    assert silence(VISIBILITY, errors) > max(until_it_fails_again, until_it_is_delivered_after_a_kill) + TIMEOUT
