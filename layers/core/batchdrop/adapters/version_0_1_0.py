"""What version 0.1.0 sees of the items of this one, should a stack be rolled back to it: nothing that it acts on.

0.1.0 does not know our custom ids, and takes answers that carry them for missing: it would send their rows again. It stores a
batch without the fields that it does not know, so that nobody could recognize these answers later. Therefore, in its eyes, each
of our open jobs is `held` and each of our batches `collected`, states in which it does nothing. The true state is stored as
`phase`, and open work lies in partitions of the index that 0.1.0 does not read.

What 0.1.0 has stored has no `phase` and lies in its own partitions: it is found there, and gets the new form when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import Batch, BatchState, Job, JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES

PHASE = "phase"
OF_JOBS_WRITTEN_BY_BOTH = "held"
"""Its partition for jobs that it has seen as `held` and has written itself, such as after a command."""
_ITS_PARTITIONS = frozenset(
    {
        *(OpenWork.planning, OpenWork.held, OpenWork.canceling, OpenWork.finishing),
        *(OpenWork.admitted, OpenWork.submitting, OpenWork.watched, OpenWork.ended),
    }
)


def states_to_store(record: Job | Batch) -> dict[str, str]:
    """Fields of an item instead of `state`."""
    return {"state": str(_state_that_it_sees(record)), PHASE: str(record.state)}


def _state_that_it_sees(record: Job | Batch) -> JobState | BatchState:
    match record:
        case Batch():
            return BatchState.collected
        case Job() if record.state in TERMINAL_JOB_STATES:
            return record.state
        case Job():
            return JobState.held


def with_state(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields of an item as a record has them."""
    return {**fields, "state": fields[PHASE]} if PHASE in fields else dict(fields)


def partition(shelf: str) -> str:
    """The partition of the index for what the domain calls `shelf`."""
    return f"{shelf}.2" if shelf in _ITS_PARTITIONS else shelf


def its_partition(work: OpenWork) -> str | None:
    """Where 0.1.0 keeps such open work. The jobs in `held` have a partition of another meaning there."""
    return str(work) if work in _ITS_PARTITIONS and work is not OpenWork.held else None
