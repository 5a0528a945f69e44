"""Write the indexes of the jobs that have changed: one of their team, and one of all.

At most one write a tick and index. A mark is removed once every index of its job shows it: who dies before does it again. Of two
ticks at once the later one to write finds another index than it has read, writes nothing, and leaves the marks to the next tick.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import Job, ObjectRef
from batchdrop.ports import Clock, Ledger, Metrics, Objects
from batchdrop.reports.job_index import JobIndex, merged, read_index, write_index

log = logging.getLogger(__name__)

# Of one tick: a third of a second for as many jobs. What is left comes with the next one.
_MOST_MARKS = 1_000


class IndexJobs(msgspec.Struct, kw_only=True):
    """Where it is among many marks, it keeps in memory only: those of an index that cannot be written hide no others."""

    objects: Objects
    ledger: Ledger
    clock: Clock
    metrics: Metrics
    region: str
    month_limit: int | None
    """Micro-dollars of all jobs together; None: there is no limit."""
    behind: str = ""

    def __call__(self) -> None:
        marks = self.ledger.list_marks(behind=self.behind, limit=_MOST_MARKS)
        self.behind = marks[-1].due if len(marks) == _MOST_MARKS else ""
        if not marks:
            return
        jobs = self.ledger.get_jobs(sorted({mark.job_id for mark in marks}))
        of_teams: dict[str, list[Job]] = {"": jobs}
        for job in jobs:
            if team := keys.team_of(job.input.key):
                of_teams.setdefault(team, []).append(job)
        unwritten = {team for team, changed in of_teams.items() if not self._written(team, changed)}
        unshown = {job.id for team in unwritten for job in of_teams[team]}
        if shown := [mark for mark in marks if mark.job_id not in unshown]:
            self.ledger.remove_marks(shown)

    def _written(self, team: str, changed: Sequence[Job]) -> bool:
        """An index that cannot be read or replaced, whatever it is, keeps no other one waiting."""
        try:
            return self._write(team, changed)
        except Exception:
            log.exception("an index could not be written", extra={"folder": keys.index_folder(team)})
            self.metrics.count("ReportFailed")
            return False

    def _write(self, team: str, changed: Sequence[Job]) -> bool:
        """False: another tick has written it meanwhile."""
        folder = keys.index_folder(team)
        if folder is None or not changed:
            return True
        # The page is looked at first: one that is still there when it is written was made of no newer index.
        page, document = self._there(f"{folder}index.html"), self._there(f"{folder}index.json")
        index = merged(self._read(document), folder, changed[0].input.bucket, changed, self.clock.now())
        if not self._put(f"{folder}index.json", document, write_index(index), "application/json"):
            return False
        body = self._page(index, team)
        return body is None or self._put(f"{folder}index.html", page, body, "text/html; charset=utf-8")

    def _there(self, key: str) -> ObjectRef | None:
        try:
            return replace(self.objects.head(key).ref, version_id=None)
        except ObjectGone:
            return None

    def _read(self, document: ObjectRef | None) -> JobIndex | None:
        if document is None:
            return None
        try:
            with self.objects.read(document) as body:
                return read_index(body.read())
        except ObjectGone:  # it is another one by now, and so it is not replaced
            return None

    def _put(self, key: str, was: ObjectRef | None, body: bytes, content_type: str) -> bool:
        if was is None:
            return self.objects.put(key, body, content_type=content_type, once=True, one_day=True)
        return self.objects.overwrite(was, body, content_type=content_type, one_day=True)

    def _page(self, index: JobIndex, team: str) -> bytes | None:
        from batchdrop.reports.index_page import index_page  # noqa: PLC0415 - most ticks have no mark

        try:
            return index_page(index, region=self.region, month_limit=None if team else self.month_limit)
        except Exception:  # whatever it is: the next tick has other marks to deal with
            log.exception("index.html could not be made", extra={"folder": index.folder})
            self.metrics.count("ReportFailed")
            return None
