"""An answer for all files of a folder that ask together, and what an answer means for later files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from batchdrop.domain import transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.keys import INBOX, Command, folder_of, team_of
from batchdrop.domain.open_work import OpenWork, before_team
from batchdrop.domain.records import Approval, Group, Job, JobState
from batchdrop.domain.transitions import Cover, Move
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.publish import Publish
from batchdrop.ports import Clock, Ledger
from batchdrop.reports import sentences

# Security and design: an earlier approval covers twice its amount, for 30 days.
_COVERS = 2
_LASTS = timedelta(days=30)


def for_later_files(group: Group, yes: Approval, amount: int, now: datetime, covers: tuple[str, ...] = ()) -> Move[Group]:
    """Later files with the same recipe may use twice the amount within 30 days. `covers`: questions that it answers now.

    `amount`: micro-dollars that the files may use in all to which it was said, what they had used before among it.
    """
    return transitions.agreed(group, yes, covers=covers, limit=_COVERS * amount, until=now + _LASTS)


class ApproveAll(msgspec.Struct, frozen=True, kw_only=True):
    ledger: Ledger
    clock: Clock
    commit: Commit
    publish: Publish

    def __call__(self, command: Command, yes: Approval) -> bool:
        """Whether anybody in the folder asks. The answer is stored first: whoever dies then leaves the rest to the next tick."""
        first: Job | None = None
        groups: set[str] = set()
        for job in self._asking(command.folder or ""):
            if job.group is not None and job.group.code == command.code and job.question is not None:
                covers = job.group.covers
                yes = replace(yes, amount=job.group.high)
                group = self.ledger.get_group(job.question.group)
                if group.covered_by is None or group.covered_by.code != command.code:
                    self.commit(for_later_files(group, yes, job.used + yes.amount, self.clock.now(), covers))
                self._let_go(covers, yes)
                return True
            first = first or job
            groups |= {job.question.group} if job.question is not None else set()
        if first is None:
            return False
        for group in map(self.ledger.get_group, sorted(groups)):
            if group.covered_by is not None and group.covered_by.code == command.code:
                # Delivered again: who heard it first may have died before all went on.
                self._let_go(group.covers, group.covered_by)
                return True
        with suppress(LostRace):  # it changes, and will say what it asks then
            if first.note != sentences.ANOTHER_QUESTION:
                self.commit(transitions.noted(first, sentences.ANOTHER_QUESTION))
        self.publish(first.id)
        return True

    def _asking(self, folder: str) -> Iterator[Job]:
        team = team_of(f"{INBOX}{folder}/")
        of_team = self.ledger.list_open_jobs(OpenWork.asking, behind=before_team(team))
        for job in takewhile(lambda job: team_of(job.input.key) == team, of_team):
            if job.question is not None and folder_of(job.input.key) == folder:
                yield job

    def _let_go(self, covers: Iterable[str], yes: Approval) -> None:
        for cover in covers:
            job_id, _, code = cover.rpartition("-")
            job = self.ledger.get_job(job_id)
            question = job.question if job is not None and _asks(job) else None
            if job is not None and question is not None and question.code == code:
                now, virtual_time = self.clock.now(), self.ledger.get_admission().virtual_time
                covered = Cover(yes, question.may_use(job.used))
                with suppress(LostRace):  # the next tick does it
                    self.commit(transitions.let_go(job, now=now, virtual_time=virtual_time, cover=covered))
                self.publish(job_id)


def _asks(job: Job) -> bool:
    return job.state is JobState.held and not job.cancel_requested
