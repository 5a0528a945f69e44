"""One delivery of a message: what fails comes back soon, and its record tells `poll` that the queue still has it.

Nothing is written for a message that is dealt with at its first delivery, as nearly all are.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace, PutOff
from batchdrop.domain.messages import CollectBatch, Dropped, FinishJob, Message, Queue, RetryJob, SubmitBatch, Upload
from batchdrop.domain.records import Batch, BatchState, Job, JobState
from batchdrop.domain.redelivery import MAX_PAUSE, TELL_CUT_OFF, Delivery, cut_off, pause_after
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger, Queues
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

type _Any = Message | Upload | Dropped
_UNDER_WAY = frozenset({JobState.running, JobState.held, JobState.finishing})


class Deliver(msgspec.Struct, frozen=True, kw_only=True):
    """`queue`: the function's own. `plan` counts the tries of a job itself: at first its message names none."""

    queue: Queue
    queues: Queues
    ledger: Ledger
    clock: Clock
    commit: Commit
    publish: Publish

    def __call__[M: _Any](self, delivery: Delivery, read: Callable[[], M], work: Callable[[M], None]) -> None:
        """`read` decodes the message. Raises whatever the two raise, once the message has been put off."""
        message: M | None = None
        try:
            message = read()
            if delivery.receives > 1:
                self._begin_again(message, delivery.receives)
            work(message)
        except PutOff as later:
            self._put_off(delivery, math.ceil((later.until - self.clock.now()).total_seconds()))
            raise
        except Exception:
            self._put_off(delivery, pause_after(delivery.receives))
            if message is not None:
                self._count_error(message)
            raise
        if delivery.receives > 1:
            self._tell(message, 0)

    def _put_off(self, delivery: Delivery, seconds: int) -> None:
        with _beside("the message comes back after its visibility timeout"):
            self.queues.put_off(self.queue, delivery.receipt, max(0, min(seconds, MAX_PAUSE)))

    def _begin_again(self, message: _Any, receives: int) -> None:
        with _beside("a delivery that was cut off is not recorded"):
            if isinstance(message, Dropped | RetryJob):
                if receives > TELL_CUT_OFF:
                    self._note(message)
                return
            record = self._record(message)
            times = cut_off(receives, record.errors) if record is not None else 0
            if record is not None and times:
                self._returned(record, record.errors)
                if times >= TELL_CUT_OFF:
                    self._tell(message, times)

    def _count_error(self, message: _Any) -> None:
        with _beside("an error is not recorded"):
            record = self._record(message)
            if record is not None:
                self._returned(record, record.errors + 1)

    def _record(self, message: _Any) -> Batch | Job | None:
        """Whose next step the message is; None if that step has been taken."""
        match message:
            case SubmitBatch() | CollectBatch():
                batch = self.ledger.get_batch(message.job_id, message.batch)
                state = BatchState.ready if isinstance(message, SubmitBatch) else BatchState.ended
                return batch if batch is not None and batch.state is state and batch.message_sent_at else None
            case FinishJob():
                job = self.ledger.get_job(message.job_id)
                return job if job is not None and job.state is JobState.finishing else None
            case _:
                return None

    def _returned(self, record: Batch | Job, errors: int) -> None:
        now = self.clock.now()
        if isinstance(record, Batch):
            self.commit(transitions.batch_message_returned(record, now=now, errors=errors))
        else:
            self.commit(transitions.job_message_returned(record, now=now, errors=errors))

    def _tell(self, message: _Any, times: int) -> None:
        """0: it is over, and is not told any more."""
        if not isinstance(message, SubmitBatch | CollectBatch | FinishJob):
            return
        with _beside("the status does not tell what was cut off"):
            job = self.ledger.get_job(message.job_id)
            if job is not None and job.state in _UNDER_WAY and (times or job.cut_off_in == self.queue):
                self.commit(transitions.cut_off(job, self.queue, times=times))
                self.publish(job.id)

    def _note(self, message: Dropped | RetryJob) -> None:
        """A command has no record of its own: what cut it off is not known."""
        command = keys.command_of(message.key) if isinstance(message, Dropped) else None
        job = self.ledger.get_job(message.job_id if isinstance(message, RetryJob) else command.job_id if command else "")
        if job is not None and (command is None or keys.is_below(job.input.key, command.folder)):
            self.commit(transitions.noted(job, sentences.COMMAND_NOT_DONE))
            self.publish(job.id)


@contextmanager
def _beside(consequence: str) -> Iterator[None]:
    """It only informs, or only hurries: the work itself goes on, or its own error is raised."""
    try:
        yield
    except LostRace:
        log.info("the record was changed meanwhile")
    except Exception as error:
        log.warning(consequence, extra={"kind": type(error).__name__})
