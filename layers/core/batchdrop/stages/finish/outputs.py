"""Put the pieces of a job together: results, failures, and last of all the manifest.

Safe to run twice: every output is written once (`If-None-Match`), and both runs would write the same. What takes longer than one
invocation is continued by the next one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

import msgspec

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace, ObjectGone
from batchdrop.domain.messages import FinishJob
from batchdrop.domain.money import Bill
from batchdrop.domain.records import Batch, Job, JobState, ObjectRef, Part, Taught
from batchdrop.domain.transitions import Move
from batchdrop.formats import checksums
from batchdrop.jobs.announce import Announce
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.teaching import taught_by
from batchdrop.jobs.time_left import time_left
from batchdrop.ports import Clock, Deadline, Ledger, Metrics, Objects
from batchdrop.reports import sentences
from batchdrop.reports.manifest import OutputFile, Whole, lacks_tables, manifest, output_file, read_manifest
from batchdrop.stages.finish.complete_table import CompleteTable, Completing
from batchdrop.stages.finish.table_pieces import TablePieces

log = logging.getLogger(__name__)

# Up to here the file passes through the function, which gives it a sha256; above, its pieces are copied on the server.
_THROUGH_BYTES = 8_000_000
# Commands that arrive while the job is being finished change its record; there are never many.
_TRIES = 10
# Versions of objects that one run removes: a second or two for each 1,000.
_REMOVED = 50_000


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    announce: Announce
    metrics: Metrics
    commit: Commit
    publish: Publish
    table_pieces: TablePieces
    complete_table: CompleteTable
    tidies: bool
    """Else `poll` removes the folder in `work/`, when nothing of the job is at the API any more."""

    def __call__(self, message: FinishJob, deadline: Deadline) -> None:
        job_id = message.job_id
        job = self.ledger.get_job(job_id)
        if job is None or job.state is not JobState.finishing:
            log.info("nothing to finish", extra={"job_id": job_id, "state": job and job.state})
            self.publish(job_id)  # a run that died right after ending the job left an old status behind
            if job is not None:
                self.objects.abandon(keys.outbox_folder(job.input.key, job.id))  # and one that ran beside it, an upload
            return
        batches = list(self.ledger.list_batches(job_id))
        try:
            files, done = self._join_all(job, batches, time_left(deadline))
        except ObjectGone:
            if self._is_written(job):
                # A run that was killed before it recorded the end has written everything.
                self._conclude(job, batches)
            elif self._count_losses(job, batches):
                self(message, deadline)
            else:
                raise
            return
        total = sum(file.size for file in files.values())
        if done < total:
            self._hand_over(job, done, total)
            return
        whole = None
        if job.completes:
            made = self.complete_table(job, time_left(deadline))
            if isinstance(made, Completing):
                self._hand_over(job, made.done, made.total)
                return
            whole = made.whole
            files |= made.files
        self._write_manifest(job, batches, files, whole)
        self._conclude(job, batches)
        self._measure(job, batches)

    def _hand_over(self, job: Job, done: int, total: int) -> None:
        self._change(job, lambda job: transitions.joined_in_part(job, now=self.clock.now(), done=done, total=total))
        self.publish(job.id)

    def _taught(self, job: Job, batches: list[Batch]) -> Taught | None:
        """What its rows took tells what those of the next file will take. Of a canceled job many were not sent."""
        return None if not job.group_key or job.cancel_requested else taught_by(batches, job.created_at)

    def _measure(self, job: Job, batches: list[Batch]) -> None:
        """At the end of a job and then only: a metric costs nothing in a month in which it has no value."""
        bill = sum((batch.bill for batch in batches if batch.bill is not None), Bill())
        if not bill.real_time_usd:
            return
        spent, saved = float(bill.usd), float(bill.real_time_usd - bill.usd)
        scopes = [{}, {"folder": keys.team_of(job.input.key)}]
        if job.recipe is not None:
            scopes.append({"recipe": job.recipe.key.removeprefix(keys.INBOX)})
        for scope in scopes:
            self.metrics.count("SpentUsd", spent, **scope)
            self.metrics.count("SavedUsd", saved, **scope)

    def _is_written(self, job: Job) -> bool:
        """The manifest is the last of the output files; one of these counts was written by a run that had every piece."""
        try:
            written = read_manifest(self.objects.get(self._key(job, "manifest.json")))
        except ObjectGone:
            return False
        return written.counts == msgspec.structs.asdict(job.counts)

    def _count_losses(self, job: Job, batches: list[Batch]) -> bool:
        """Somebody has deleted pieces. What they held cannot be delivered, and waiting brings nothing back: it is told.

        Returns whether any piece is gone.
        """
        written = {name: self._exists(self._key(job, name)) for name in ("results.jsonl", "failed.jsonl")}
        lost, gone = 0, False
        for last in _last_attempts(batches):
            results = last.results is not None and not written["results.jsonl"] and not self._exists(last.results.key)
            failed = last.failed is not None and not written["failed.jsonl"] and not self._exists(last.failed.key)
            tables = any(not self._exists(piece.key) for piece in (last.table, last.failed_table) if piece)
            if not (results or failed or tables):
                continue
            gone = True
            # The pieces of the last attempt hold the rows of all attempts.
            for batch in (one for one in batches if one.first_line == last.first_line):
                move = transitions.pieces_lost(batch, results=results, failed=failed, tables=tables)
                self.commit(move)
                lost += move.counters.rows_lost
        if gone:
            log.error("pieces of the output were deleted", extra={"job_id": job.id, "rows": lost})
            # Parts that were joined with the deleted pieces in mind do not fit the file any more.
            self.objects.abandon(keys.outbox_folder(job.input.key, job.id))
        if lost:
            self.metrics.count("AnswersAtRisk", lost)
        return gone

    def _exists(self, key: str) -> bool:
        try:
            self.objects.head(key)
        except ObjectGone:
            return False
        return True

    def _conclude(self, job: Job, batches: list[Batch]) -> None:
        note = self._note(job)
        ended = transitions.finished(job, now=self.clock.now(), note=note).after
        self.publish.latest(ended)
        # The manifest is written: subscribers are told before the end is recorded, at least once.
        told = self.announce.end(ended)
        self._end(job, note, self._taught(job, batches), untold=not told)
        self._tidy(job)

    def _join_all(self, job: Job, batches: list[Batch], go_on: Callable[[], bool]) -> tuple[dict[str, OutputFile], int]:
        """What the output files will be, and how many bytes of them are in place."""
        last = _last_attempts(batches)
        pieces = {"results.jsonl": [one.results for one in last if one.results]}
        failed = [one.failed for one in last if one.failed]
        if failed:
            pieces["failed.jsonl"] = failed
        if job.recipe is not None:
            pieces |= self.table_pieces(job, last)
        files: dict[str, OutputFile] = {}
        done = 0
        for name, parts in pieces.items():
            through = sum(part.size for part in parts) <= _THROUGH_BYTES
            placed, checksum = self._write(job, name, parts) if through else self._join(job, name, parts, go_on)
            files[name] = output_file(parts, checksum)
            done += placed
        return files, done

    def _write(self, job: Job, name: str, parts: list[Part]) -> tuple[int, str]:
        key = self._key(job, name)
        try:
            body = b"".join(self.objects.get(part.key) for part in parts)
        except ObjectGone:
            body = self.objects.get(key)  # if an earlier run has written it
        else:
            self.objects.put(key, body, content_type=_content_type(name), once=True)
        return len(body), f"sha256:{hashlib.sha256(body).hexdigest()}"

    def _join(self, job: Job, name: str, parts: list[Part], go_on: Callable[[], bool]) -> tuple[int, str]:
        sources = [ObjectRef(bucket=job.input.bucket, key=part.key, size=part.size) for part in parts]
        placed = self.objects.join(self._key(job, name), sources, go_on=go_on, content_type=_content_type(name))
        return placed, f"crc64nvme:{checksums.joined(parts)}"

    def _write_manifest(self, job: Job, batches: list[Batch], files: dict[str, OutputFile], whole: Whole | None) -> None:
        now = self.clock.now()
        note = sentences.NO_TABLES if lacks_tables(job, files) else ""
        finished = transitions.finished(job, now=now, note=note).after
        self.objects.put(self._key(job, "manifest.json"), manifest(finished, batches, files, now, whole=whole), once=True)

    def _note(self, job: Job) -> str:
        """What there is to say of the output files, by the manifest: whoever wrote it may have been killed since."""
        if job.recipe is None and not job.completes:
            return ""
        written = read_manifest(self.objects.get(self._key(job, "manifest.json")))
        notes = [sentences.NO_TABLES] if lacks_tables(job, written.files) else []
        notes += [written.complete.note] if written.complete is not None else []
        return " ".join(notes)

    def _end(self, job: Job, note: str, taught: Taught | None, *, untold: bool) -> None:
        """Returns once the stored state of the job is final, whoever made it so."""

        def edge(job: Job) -> Move[Job]:
            told = transitions.taught(self.ledger.get_group(job.group_key), taught) if taught is not None else None
            return transitions.finished(job, now=self.clock.now(), note=note, taught=told, untold=untold)

        self._change(job, edge)
        self.publish(job.id)

    def _change(self, job: Job, edge: Callable[[Job], Move[Job]]) -> None:
        """Makes a move, unless the job has ended meanwhile. Raises LostRace if the job never holds still."""
        for _ in range(_TRIES):
            try:
                self.commit(edge(job))
            except LostRace:
                # Another run has finished it, or a command has left its answer in the record.
                current = self.ledger.get_job(job.id)
                if current is None or current.state is not JobState.finishing:
                    return
                job = current
            else:
                return
        raise LostRace(f"job {job.id} changes faster than it can be finished")

    def _tidy(self, job: Job) -> None:
        """Only once the stored state is final: until then, a run that is delivered again needs what is there.

        What is left then, `poll` removes. Another run that still reads here fails; delivered again, it finds the job ended.
        """
        if self.tidies:
            self.objects.remove_all(keys.work_folder(job.id), limit=_REMOVED)

    @staticmethod
    def _key(job: Job, name: str) -> str:
        return keys.outbox_folder(job.input.key, job.id) + name


def _last_attempts(batches: list[Batch]) -> list[Batch]:
    """Their pieces hold every row: those of the pilot too, and of attempts before."""
    return [batch for batch in batches if batch.retry is None and not batch.tries]


def _content_type(name: str) -> str:
    return "text/csv; charset=utf-8" if name.endswith(".csv") else "application/jsonl"
