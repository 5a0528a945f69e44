"""Drop the rows that may work next time into the inbox again, as a job of its own.

A long `failed.jsonl` takes several invocations. The file in the inbox is written by all of them, each going on where S3 has its
parts; where in `failed.jsonl` that is, a checkpoint in `work/` tells. Two invocations at once write the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.call_headers import headers_of
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import DEDUPE, PRIORITIES, PRIORITY, Job
from batchdrop.domain.retries import goes_again
from batchdrop.formats.failed_line import read_failure
from batchdrop.formats.lines import MAX_OUTPUT_LINE_BYTES, read_lines
from batchdrop.formats.retry_checkpoint import RetryCheckpoint, decode_retry_checkpoint, encode_retry_checkpoint
from batchdrop.jobs.resumed import Behind
from batchdrop.ports import Objects
from batchdrop.reports import sentences


class DropAgain(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects

    def __call__(self, job: Job, go_on: Callable[[], bool], *, begun: bool) -> RetryCheckpoint | str:
        """A sentence on what became of it, or how far it came before time ran out.

        `begun`: an earlier invocation began it. Where nothing shows that, nobody asked for it.
        """
        key = keys.retried_input(job.input.key, job.id)
        try:
            failed = self.objects.head(keys.outbox_folder(job.input.key, job.id) + "failed.jsonl").ref
        except ObjectGone:
            return sentences.NOTHING_TO_RETRY
        with self.objects.resume(key, metadata=_asked_by(job)) as out:
            if out.complete:
                return sentences.already_retried(key)
            checkpoint = self._checkpoint(job)
            if begun and checkpoint is None and not out.stored:
                out.abort()
                return sentences.RETRY_NOT_BEGUN
            # Without the upload that the checkpoint belongs to, at the start.
            goes_on = checkpoint is not None and checkpoint[0].written <= out.stored
            start, rest = checkpoint if checkpoint and goes_on else (RetryCheckpoint(failed=failed), b"")
            rows = Behind(out, start.written)
            rows.write(rest)
            reached = self._filter(start, rows, go_on)
            if reached.offset < reached.failed.size:
                rest = out.suspend()
                stored = msgspec.structs.replace(reached, written=rows.stored)
                self.objects.put(keys.retry_checkpoint(job.id), encode_retry_checkpoint(stored, rest))
                return stored
            if not reached.rows:
                out.abort()
                return sentences.NOTHING_TO_RETRY
        return sentences.retried(reached.rows, key)

    def _checkpoint(self, job: Job) -> tuple[RetryCheckpoint, bytes] | None:
        try:
            return decode_retry_checkpoint(self.objects.get(keys.retry_checkpoint(job.id)))
        except ObjectGone:
            return None

    def _filter(self, start: RetryCheckpoint, out: Behind, go_on: Callable[[], bool]) -> RetryCheckpoint:
        offset, rows = start.offset, start.rows
        with self.objects.read(start.failed, offset) as stream:
            for line in read_lines(stream, start=offset, max_line=MAX_OUTPUT_LINE_BYTES):
                failure = read_failure(line.data)
                # Who wants to pay for one twice puts its line in again.
                if goes_again(failure.status, failure.error.type) and not failure.may_be_paid:
                    out.write(line.data + b"\n")
                    rows += 1
                offset = line.end
                if not go_on():
                    break
        return msgspec.structs.replace(start, offset=offset, rows=rows)


def _asked_by(job: Job) -> dict[str, str]:
    """The metadata of a file that asks for what the job asks for."""
    word = next(word for word, priority in PRIORITIES.items() if priority == job.priority)
    return {**headers_of(job).as_sent(), PRIORITY: word, **({DEDUPE: "true"} if job.dedupe else {})}
