"""Tell subscribers of jobs that wait for a person, and of those that ended and of which nobody was told.

A question is told once. Programs get an event for each job; people get one mail for all files of a folder that wait for the same,
and of the files that join them one more at most every 15 minutes: 500 files dropped at once are no 500 mails.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import LostRace
from batchdrop.domain.open_work import APPROVAL, PRICE, RECIPE, OpenWork
from batchdrop.domain.records import PILOT, Job, JobState
from batchdrop.jobs.announce import Announce
from batchdrop.jobs.commit import Commit
from batchdrop.ports import Clock, Ledger
from batchdrop.reports import notice
from batchdrop.reports.sentences import word_of
from batchdrop.stages.poll.in_turn import InTurn

# Of each kind of open work, in one tick.
_LOOKED_AT = 300
# Ends of one folder that are told in one tick by a mail each; more than these in one mail together.
_ONE_BY_ONE = 3
MAILS_APART = timedelta(minutes=15)
_PROGRAMS, _PEOPLE = "programs", "people"
_REMEMBERED = 10_000
# A price that is not known yet may be by the next tick.
_SETTLED = timedelta(minutes=3)

type _Kind = tuple[str, str, str]
"""Folder, what is needed, and which question of that kind: jobs that have it in common share a mail."""


class TellSubscribers:
    """Where it is among many waiting jobs, and when it last wrote of what, it keeps in memory: a new process may write early.

    What was told stands in the job, written after all were told: who dies in between tells it again. While only people or only
    programs can be told, it remembers those too.
    """

    def __init__(self, ledger: Ledger, clock: Clock, commit: Commit, announce: Callable[[], Announce]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._commit = commit
        self._make_announce = announce
        self._in_turn = InTurn(ledger, _LOOKED_AT)
        self._mailed: dict[_Kind, datetime] = {}
        self._heard: dict[tuple[str, str, str], None] = {}
        """Who was told of which job, and what, where it is not written down yet; the oldest first."""

    def __call__(self) -> None:
        now = self._clock.now()
        self._tell_ends(self._in_turn(OpenWork.untold))
        self._mailed = {kind: at for kind, at in self._mailed.items() if now < at + MAILS_APART}
        asking: dict[_Kind, list[Job]] = defaultdict(list)
        for work in (OpenWork.held, OpenWork.asking, OpenWork.limited):
            for job in self._in_turn(work):
                if question_of(job, now):
                    asking[_kind(job)].append(job)
        for kind, jobs in asking.items():
            self._tell_question(kind, jobs, now)

    @property
    def _announce(self) -> Announce:
        """Made once there is something to tell: most processes never load it."""
        return self._make_announce()

    def _tell_ends(self, jobs: Iterable[Job]) -> None:
        alike: dict[tuple[str, str], list[Job]] = defaultdict(list)
        for job in self._as_stored(jobs):
            if job.untold:
                alike[keys.folder_of(job.input.key), word_of(job)].append(job)
        for ended in alike.values():
            together = len(ended) > _ONE_BY_ONE
            for told in (ended,) if together else ([job] for job in ended):
                what = [(job, job.state.value) for job in told]
                programs = self._tell(_PROGRAMS, what, self._announce.to_programs)
                people = self._tell(_PEOPLE, what, lambda jobs: self._announce.to_people(self._ends(jobs)))
                if programs and people:
                    for job in told:
                        with suppress(LostRace):
                            self._commit(transitions.end_told(job))
                    self._written_down(_PROGRAMS, what)
                    self._written_down(_PEOPLE, what)

    def _tell_question(self, kind: _Kind, jobs: list[Job], now: datetime) -> None:
        mailed = max((job.told.mailed_at for job in jobs if job.told and job.told.mailed_at), default=None)
        mailed = max(filter(None, (mailed, self._mailed.get(kind))), default=None)
        may_mail = mailed is None or now >= mailed + MAILS_APART
        due = [job for job in jobs if not _is_told(job, now) or (may_mail and not _is_mailed(job, now))]
        waiting = [job for job in self._as_stored(due) if question_of(job, now)]
        untold = [job for job in waiting if not _is_told(job, now)]
        unmailed = [job for job in waiting if not _is_mailed(job, now)]
        to_tell = [(job, question_of(job, now)) for job in untold]
        programs = self._tell(_PROGRAMS, to_tell, self._announce.to_programs)
        to_mail = [(job, question_of(job, now)) for job in unmailed if may_mail]
        people = bool(to_mail) and self._tell(_PEOPLE, to_mail, lambda jobs: self._announce.to_people(self._question(jobs)))
        if people:
            self._mailed[kind] = now
        if not programs:
            return
        for job in unmailed if people else untold:
            with suppress(LostRace):  # it goes on by now, or is told once more
                self._commit(transitions.told(job, question_of(job, now), mailed_at=now if people else None))
        self._written_down(_PROGRAMS, to_tell)
        if people:
            self._written_down(_PEOPLE, to_mail)

    def _tell(self, whom: str, what: Iterable[tuple[Job, str]], tell: Callable[[list[Job]], bool]) -> bool:
        """Whether they know it of all these jobs, from now or from before."""
        new = {(whom, job.id, said): job for job, said in what}
        new = {key: job for key, job in new.items() if key not in self._heard}
        if new and not tell([*new.values()]):
            return False
        self._heard |= dict.fromkeys(new)
        for key in [*islice(self._heard, max(0, len(self._heard) - _REMEMBERED))]:
            del self._heard[key]
        return True

    def _written_down(self, whom: str, what: Iterable[tuple[Job, str]]) -> None:
        for job, said in what:
            self._heard.pop((whom, job.id, said), None)

    def _ends(self, jobs: list[Job]) -> notice.Notice:
        region = self._announce.region
        return notice.of_ends(jobs, region) if len(jobs) > 1 else notice.of_end(jobs[0], region)

    def _question(self, jobs: list[Job]) -> notice.Notice:
        """One that asks for others of its group asks first."""
        ordered = sorted(jobs, key=lambda job: (job.group is None or job.group.leader != job.id, job.id))
        pilot = self._ledger.get_batch(ordered[0].id, PILOT) if ordered[0].tried else None
        return notice.of_question(ordered, pilot.answer_counts if pilot is not None else None, self._announce.region)

    def _as_stored(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """The index is a hint, and late."""
        for job in jobs:
            stored = self._ledger.get_job(job.id)
            if stored is not None:
                yield stored


def question_of(job: Job, now: datetime) -> str:
    """Names what a job asks a person; empty if it asks nothing, or nothing that lasts. Another question has another name."""
    if job.state is not JobState.held or job.cancel_requested:
        return ""
    match job.needs:
        case needs if needs == APPROVAL and job.question is not None:
            return f"{needs} {job.question.code}"
        case needs if needs == RECIPE:
            return f"{needs} {zlib.crc32(job.reason.encode(errors='replace')):08x}"
        case needs if needs == PRICE and not job.mate and job.held_at is not None and now >= job.held_at + _SETTLED:
            return f"{needs} {zlib.crc32(job.reason.encode(errors='replace')):08x}"
        case _:
            return ""


def _kind(job: Job) -> _Kind:
    which = str(job.arrivals) if job.needs == RECIPE else job.group_key
    return keys.folder_of(job.input.key), job.needs, which


def _is_told(job: Job, now: datetime) -> bool:
    return job.told is not None and job.told.what == question_of(job, now)


def _is_mailed(job: Job, now: datetime) -> bool:
    return _is_told(job, now) and job.told is not None and job.told.mailed_at is not None
