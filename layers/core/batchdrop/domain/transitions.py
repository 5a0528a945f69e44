"""The state machines, as data. A move that is not in these tables is a bug, and raises."""

from __future__ import annotations

from batchdrop.domain.records import BatchState, JobState

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.planning: frozenset({JobState.held, JobState.running, JobState.rejected, JobState.canceled}),
    JobState.held: frozenset({JobState.running, JobState.canceled}),
    JobState.running: frozenset({JobState.finishing}),
    JobState.finishing: frozenset({JobState.done, JobState.rejected, JobState.canceled}),
    JobState.done: frozenset(),
    JobState.rejected: frozenset(),
    JobState.canceled: frozenset(),
}

BATCH_MOVES: dict[BatchState, frozenset[BatchState]] = {
    # ready -> ended: canceled before it was sent, or nothing in it to send.
    BatchState.ready: frozenset({BatchState.submitting, BatchState.ended}),
    # submitting -> ready: only after a definite refusal or a finished reconciliation. -> ended: refused for good.
    BatchState.submitting: frozenset({BatchState.in_progress, BatchState.ready, BatchState.ended}),
    BatchState.in_progress: frozenset({BatchState.canceling, BatchState.ended}),
    BatchState.canceling: frozenset({BatchState.ended}),
    # ended -> submitting: an adopted batch whose first result proved it somebody else's.
    BatchState.ended: frozenset({BatchState.collected, BatchState.submitting}),
    BatchState.collected: frozenset(),
}

TERMINAL_JOB_STATES = frozenset(state for state, onward in JOB_MOVES.items() if not onward)


class ForbiddenMove(Exception):
    """A move that the tables do not allow: a bug in Batchdrop, never the user's doing."""


def check_job_move(before: JobState, after: JobState) -> None:
    if after is not before and after not in JOB_MOVES[before]:
        raise ForbiddenMove(f"job: {before} -> {after}")


def check_batch_move(before: BatchState, after: BatchState) -> None:
    if after is not before and after not in BATCH_MOVES[before]:
        raise ForbiddenMove(f"batch: {before} -> {after}")
