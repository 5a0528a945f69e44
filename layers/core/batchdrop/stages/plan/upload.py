"""Turn a dropped object into a job: read it once, check every row, cut it into batches, admit what fits.

Safe to run twice, late and at the same time: the job id comes from the object version, one invocation holds the lease, and a file
that was read in part is carried on from its checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from batchdrop.domain import ids, keys, transitions
from batchdrop.domain.admission import is_waiting
from batchdrop.domain.call_headers import AllowedHeaders, headers_of
from batchdrop.domain.errors import AlreadyExists, Forbidden, Incomplete, Leased, LostRace, ObjectGone, OutOfDisk, Rejected, Waits
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.high_priority import HighPriority
from batchdrop.domain.messages import ResumePlanning, Upload
from batchdrop.domain.open_work import APPROVAL, PRICE, RECIPE
from batchdrop.domain.records import (
    DEDUPE,
    MAX_REFERENCE_CHARS,
    NORMAL,
    PILOT_ROWS,
    PRIORITIES,
    PRIORITY,
    REFERENCE,
    Checkpoint,
    Job,
    JobState,
    Names,
    ObjectRef,
    Sample,
    Wishes,
)
from batchdrop.domain.retries import MAX_FRUITLESS, given_up
from batchdrop.domain.transitions import CacheVerdict, Hold, Move
from batchdrop.jobs.admit import Admit
from batchdrop.jobs.cancel import CancelJob, planners_failed
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.pause import Pause
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.time_left import time_left
from batchdrop.jobs.to_wake import waited_long
from batchdrop.ports import Clock, Deadline, Ledger, ObjectInfo, Objects
from batchdrop.recipes.caching import AUTO
from batchdrop.recipes.form import Kind
from batchdrop.reports import sentences
from batchdrop.stages.plan.batches import CutFile
from batchdrop.stages.plan.check import NamesFiles
from batchdrop.stages.plan.dropped_document import DroppedDocument
from batchdrop.stages.plan.find_recipe import FindRecipe
from batchdrop.stages.plan.improve import Improve
from batchdrop.stages.plan.kinds import LookAt, kind_of, no_rows_in
from batchdrop.stages.plan.prepare import Made, Source, Text, Unpacking, prepare
from batchdrop.stages.plan.try_first import ENOUGH_TO_CACHE, TryFirst, warms_up
from batchdrop.stages.plan.wake import Wake
from batchdrop.stages.plan.whole_table import whole_table

log = logging.getLogger(__name__)

_NO_NAMES = Names()
# How long a cancel goes unnoticed while lines are made of a file.
_LOOK_EVERY = timedelta(seconds=15)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    ledger: Ledger
    clock: Clock
    commit: Commit
    admit: Admit
    pause: Pause
    try_first: TryFirst
    cancel_job: CancelJob
    publish: Publish
    cut_file: CutFile
    headers: AllowedHeaders
    wake: Wake
    look_at: LookAt
    find_recipe: FindRecipe
    dropped_document: DroppedDocument
    improve: Improve
    render: Callable[[Job, ObjectRef, bool, Callable[[], bool]], Made]
    """Makes lines of the rows of a job with a recipe, of a file that is packed or not. May raise Waits and Rejected."""
    list_documents: Callable[[Job, ObjectRef, Callable[[], bool]], Text | Unpacking | None]
    """Makes a file of rows of the documents of a folder whose start was dropped. May raise Waits and Rejected."""
    fill_requests: Callable[[Job, ObjectRef, Callable[[], bool]], Source | Unpacking]
    """Puts into the lines of a file of requests what is known of the files that they name."""
    bucket: str
    max_input_bytes: int
    separate_teams: bool
    high_priority: HighPriority
    open_jobs: int
    """Of one team, at a time."""

    def __call__(self, message: Upload | ResumePlanning, deadline: Deadline) -> None:
        """A file was dropped, a long file is carried on, a planner that died is replaced, or a recipe may have been improved."""
        match message:
            case Upload():
                self._dropped(message, deadline)
            case ResumePlanning():
                job = self.ledger.get_job(message.job_id)
                if job is not None and (leased := self._take_over(job, deadline)) is not None:
                    self._work(leased, deadline)
                elif (newer := self.improve(message.job_id, lambda info: self._new_job(info, deadline))) is not None:
                    self._work(newer, deadline)

    def _dropped(self, upload: Upload, deadline: Deadline) -> None:
        if keys.is_recipe(upload.key):
            self.wake(upload.key)
            return
        if self.dropped_document(upload.key) or not keys.is_input(upload.key):
            return
        try:
            info = self.objects.head(upload.key, upload.version_id)
        except ObjectGone:
            self._reject_unopened(upload, sentences.DELETED_BEFORE_READING)
            return
        except Forbidden as refusal:
            self._reject_unopened(upload, sentences.unreadable(refusal.code))
            return
        job = self._opened(self._new_job(info, deadline), deadline)
        if job is not None:
            self._work(job, deadline)

    # ------------------------------------------------------------ opening

    def _opened(self, job: Job, deadline: Deadline) -> Job | None:
        """The job, if this invocation holds its lease. None: it waits in line, or another invocation has opened it."""
        try:
            return self.commit(transitions.opened(job, limit=self.open_jobs))
        except AlreadyExists:
            return self._opened_before(job.id, deadline)
        except LostRace:  # as many are open as may be
            reason = sentences.waits_in_line(keys.team_of(job.input.key), self.open_jobs)
        try:
            self.commit(transitions.lined_up(job, reason, now=self.clock.now()))
        except AlreadyExists:
            return self._opened_before(job.id, deadline)
        self.publish(job.id)
        return None

    def _opened_before(self, job_id: str, deadline: Deadline) -> Job | None:
        stored = self.ledger.get_job(job_id)
        return self._take_over(stored, deadline) if stored is not None else None

    def _new_job(self, info: ObjectInfo, deadline: Deadline) -> Job:
        now = self.clock.now()
        headers = self.headers.asked(info.metadata)
        priority = PRIORITIES.get(info.metadata.get(PRIORITY, "").lower(), NORMAL)
        refused = self.high_priority.refuses(priority, info.ref.key)
        return Job(
            id=ids.job_id(info.ref, info.written_at),
            token=ids.job_token(info.ref),
            input=info.ref,
            state=JobState.planning,
            priority=NORMAL if refused else priority,
            warnings=sentences.NOT_HIGH if refused else "",
            api_version=headers.api_version,
            betas=headers.betas,
            reference=info.metadata.get(REFERENCE, "")[:MAX_REFERENCE_CHARS],
            dedupe=info.metadata.get(DEDUPE, "").strip().lower() == "true",
            may_use=0,
            created_at=now,
            updated_at=now,
            lease_until=self._lease(deadline),
            tries=1,
        )

    def _lease(self, deadline: Deadline) -> datetime:
        return transitions.lease(self.clock.now(), deadline.remaining())

    def _take_over(self, job: Job, deadline: Deadline) -> Job | None:
        """The job, if this invocation now holds its lease. A repeated event of a planned job ends here. Raises Leased."""
        if job.state is JobState.held:
            self.publish(job.id)  # who held it may have died before its status said so
        if job.state is not JobState.planning:
            return None
        if job.lease_until is not None and self.clock.now() < job.lease_until:
            raise Leased(f"another invocation is planning job {job.id}", until=job.lease_until)
        if planners_failed(job):
            self.cancel_job(job)
            self.publish(job.id)
            return None
        if given_up(job.tries, job.errors):
            self._reject(job.id, sentences.not_planned(job.tries))
            return None
        try:
            return self.commit(transitions.leased(job, until=self._lease(deadline)))
        except LostRace:
            # A planner or a command came in between: then read again.
            stored = self.ledger.get_job(job.id)
            return self._take_over(stored, deadline) if stored is not None else None

    def _reject_unopened(self, upload: Upload, reason: str) -> None:
        """No job: the object's own time, and so its id, cannot be read. The event's time stands in."""
        now = self.clock.now()
        ref = ObjectRef(bucket=self.bucket, key=upload.key, version_id=upload.version_id, etag=upload.etag, size=upload.size)
        job = Job(
            id=ids.job_id(ref, upload.at),
            token=ids.job_token(ref),
            input=ref,
            state=JobState.planning,
            created_at=upload.at,
            updated_at=now,
        )
        if self.ledger.get_job(job.id) is not None:
            log.info("a late event of a version that is a job already", extra={"job_id": job.id})
            return
        self.publish.end_without_rows(transitions.rejected(job, reason, now=now).after)

    # ------------------------------------------------------------ reading

    def _work(self, leased: Job, deadline: Deadline) -> None:
        try:
            self._read(leased.id, time_left(deadline))
        except Exception:
            self._give_back(leased)
            raise

    def _give_back(self, leased: Job) -> None:
        """The lease, so that the message need not wait for its end. Where that fails too, it does."""
        try:
            while (job := self.ledger.get_job(leased.id)) is not None and job.lease_until == leased.lease_until:
                if job.state is not JobState.planning:
                    return
                # A command may have come in between: then read again.
                with suppress(LostRace):
                    self.commit(transitions.planning_failed(job, now=self.clock.now()))
        except Exception as error:
            log.warning("the lease is not given back", extra={"job_id": leased.id, "kind": type(error).__name__})

    def _read(self, job_id: str, go_on: Callable[[], bool]) -> None:
        job = self.publish(job_id)
        if job is None:
            return
        # Counted before anything is looked for: what arrives after this is not missed.
        arrivals = job.arrivals if job.recipe else self.ledger.get_arrivals(keys.team_of(job.input.key)).count
        try:
            sourced = self._with_source(job, arrivals, self._unless_canceled(job_id, go_on))
            if sourced is None:
                return
            job, source = sourced
            reached = self._cut(job, source, go_on)
        except Rejected as reason:
            self._reject(job.id, str(reason))
        except Waits as reason:
            self._hold(job, str(reason), arrivals)
        except ObjectGone:
            self._reject(job.id, sentences.DELETED_WHILE_READING)
        except Forbidden as refusal:
            self._reject(job.id, self._why_unreadable(job, refusal))
        except OutOfDisk:
            self._reject(job.id, sentences.TOO_MANY_CUSTOM_IDS)
        else:
            self._go_on_from(job, source, reached)

    def _go_on_from(self, job: Job, source: ObjectRef, reached: Checkpoint | None) -> None:
        if reached is None:
            self._change(job.id, lambda job: transitions.names_files(job, now=self.clock.now()))
        elif reached.offset < source.size:
            self._change(job.id, lambda job: transitions.handed_over(job, reached, now=self.clock.now()))
        else:
            self._conclude(job.id, reached)

    def _cut(self, job: Job, source: ObjectRef, go_on: Callable[[], bool]) -> Checkpoint | None:
        """None: what is known of files that its rows name has to be put into its lines before that."""
        try:
            return self.cut_file(job, source, go_on)
        except NamesFiles:
            return None

    def _why_unreadable(self, job: Job, refusal: Forbidden) -> str:
        try:
            info = self.objects.head(job.input.key, job.input.version_id)
        except (ObjectGone, Forbidden):
            return sentences.unreadable(refusal.code)
        return sentences.unreadable(refusal.code, storage_class=info.storage_class, kms_key=info.kms_key)

    def _with_source(self, job: Job, arrivals: int, go_on: Callable[[], bool]) -> tuple[Job, ObjectRef] | None:
        """The job, and the object to read its lines from: the input, or the lines made from it.

        `arrivals`: how many recipes had arrived before this. None: they are not all made yet, and another invocation goes on; or
        it is not being planned any more. Raises Waits.
        """
        if job.source is not None:
            return job, job.source
        if self.separate_teams and not keys.team_of(job.input.key):
            raise Rejected(sentences.NO_TEAM)
        if (refused := self.headers.refused(headers_of(job))) is not None:
            raise Rejected(sentences.not_allowed(refused))
        made = self._made(job, arrivals, go_on)
        match made:
            case None:
                return None
            case Source():
                wishes, lines = self._granted(job, made.wishes), self._as_written(job, made.object)
                changed = self._change(job.id, lambda job: transitions.sourced(job, lines, made.broken, wishes))
                return (changed, lines) if changed is not None else None
            case Text():
                text = self._as_written(job, made.object)
                handed_over = self._change(job.id, lambda job: transitions.unpacked(job, text, now=self.clock.now()))
            case Unpacking():
                handed_over = self._made_in_part(job, made)
        self.publish(job.id)
        if handed_over is not None and handed_over.cancel_requested:
            self._end_unread(handed_over)
        return None

    def _made(self, job: Job, arrivals: int, go_on: Callable[[], bool]) -> Made | None:
        """None: the job is not being planned any more."""
        starts = is_start(job.input)
        start = self.look_at(job)
        if not starts and (why := no_rows_in(start, job.input.key)):
            raise Rejected(why)
        kind = Kind.jsonl if starts else kind_of(start, job.input.key)
        if kind is None:
            return self._lines_of(job, packed=start.packed, go_on=go_on)
        pinned = job if job.recipe else self._pinned(job, kind, arrivals)
        if pinned is None or pinned.recipe is None:
            return None
        if starts and (listed := self.list_documents(pinned, pinned.recipe, go_on)) is not None:
            return listed
        if keys.is_document(job.input.key, texts=True) and self.dropped_document.reads_documents(pinned.recipe):
            raise Rejected(sentences.is_a_document(job.input.key))
        return self.render(pinned, pinned.recipe, start.packed, go_on)

    def _lines_of(self, job: Job, *, packed: bool, go_on: Callable[[], bool]) -> Made:
        """Of a file of requests."""
        text = job.text or job.input
        made = prepare(self.objects, text, keys.unpacked(job.id), self.max_input_bytes, go_on, packed=packed)
        if not job.names_files or not isinstance(made, Source):
            return made
        filled = self.fill_requests(job, made.object, go_on)
        return filled._replace(broken=job.broken) if isinstance(filled, Source) else filled

    def _granted(self, job: Job, wishes: Wishes | None) -> Wishes | None:
        if wishes is None or wishes.priority is None or not self.high_priority.refuses(wishes.priority, job.input.key):
            return wishes
        warnings = " ".join(part for part in (wishes.warnings, sentences.NOT_HIGH) if part)
        return replace(wishes, priority=NORMAL, warnings=warnings)

    def _as_written(self, job: Job, lines: ObjectRef) -> ObjectRef:
        """With its version, so that nobody puts other rows in the place of those that were checked."""
        if lines.key == job.input.key:
            return lines
        found = self.objects.head(lines.key).ref
        if found.size != lines.size:
            raise Incomplete(f"{lines.key} has {found.size} bytes where {lines.size} were written")
        return found

    def _unless_canceled(self, job_id: str, go_on: Callable[[], bool]) -> Callable[[], bool]:
        """Making lines of a file may take hours, and nothing of them is of use once the job is to be canceled."""
        look_at = self.clock.now() + _LOOK_EVERY

        def unless_canceled() -> bool:
            nonlocal look_at
            now = self.clock.now()
            if now >= look_at:
                look_at = now + _LOOK_EVERY
                job = self.ledger.get_job(job_id)
                if job is None or job.cancel_requested:
                    return False
            return go_on()

        return unless_canceled

    def _end_unread(self, job: Job) -> None:
        self.objects.abandon(keys.work_folder(job.id))
        self.cancel_job.end_unread(job)

    def _pinned(self, job: Job, kind: Kind, arrivals: int) -> Job | None:
        found = self.find_recipe(job, kind)
        return self._change(job.id, lambda job: transitions.pinned(job, found, kind=kind, arrivals=arrivals))

    def _made_in_part(self, job: Job, made: Unpacking) -> Job | None:
        fruitless = 0 if made.went_on else job.fruitless + 1
        if fruitless == MAX_FRUITLESS:
            raise Rejected(sentences.unpacking_takes_too_long(made.done))
        return self._change(
            job.id,
            lambda job: transitions.unpacked_in_part(
                job, now=self.clock.now(), done=made.done, total=made.total, fruitless=fruitless
            ),
        )

    # ------------------------------------------------------------ ending

    def _change(self, job_id: str, edge: Callable[[Job], Move[Job]]) -> Job | None:
        """Makes a move, and returns the job; None if it is not being planned any more."""
        while True:
            job = self.ledger.get_job(job_id)
            if job is None or job.state is not JobState.planning:
                return None
            # A command may have come in between: then read again.
            with suppress(LostRace):
                return self.commit(edge(job))

    def _hold(self, job: Job, reason: str, arrivals: int) -> None:
        """It waits for a recipe, unless one has arrived since it looked, or it has waited too long.

        `arrivals`: how many had arrived before it looked.
        """
        while True:
            now, stored = self.clock.now(), self.ledger.get_job(job.id)
            if stored is None or stored.state is not JobState.planning or stored.lease_until != job.lease_until:
                return
            if stored.batches_total:
                self._reject(job.id, reason)
                return
            if stored.cancel_requested:
                self.cancel_job.end_unread(stored)
                return
            if self.ledger.get_arrivals(keys.team_of(job.input.key)).count != arrivals:
                move = transitions.looked_again(stored, now=now)
            elif stored.arrivals == arrivals and waited_long(stored, now):
                self._reject(job.id, sentences.no_recipe_came(reason))
                return
            else:
                move = transitions.held(stored, reason, needs=RECIPE, arrivals=arrivals, now=now)
            self.objects.abandon(keys.work_folder(job.id))
            # A recipe or a command may have come in between: then read again.
            with suppress(LostRace):
                self.commit(move)
                self.publish(job.id)
                return

    def _conclude(self, job_id: str, reached: Checkpoint) -> None:
        job = self.ledger.get_job(job_id)
        if job is not None and not job.batches_total:
            self._reject(job_id, sentences.no_rows(reached.line - 1))
            return
        rejection = ""
        if job is not None and not any(batch.requests for batch in self.ledger.list_batches(job_id)):
            rejection = sentences.no_valid_rows(job)
        self._run(
            job_id,
            reached.line - 1,
            rejection,
            repeated=reached.repeated,
            drawn=reached.pilot,
            names=reached.names,
            strange=reached.strange,
        )

    def _run(
        self,
        job_id: str,
        lines: int,
        rejection: str = "",
        *,
        cancel: bool = False,
        repeated: int = 0,
        drawn: tuple[Sample, ...] = (),
        names: Names = _NO_NAMES,
        strange: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """planning -> running, or held for want of money, and what can go, goes.

        `drawn`: rows to try before anybody is asked. `strange`: as in Job.
        """
        batches = list(self.ledger.list_batches(job_id))
        unsendable = tuple(batch for batch in batches if not batch.requests)
        ready = [batch for batch in batches if is_waiting(batch)]

        def edge(job: Job) -> Move[Job]:
            now = self.clock.now()
            completes, no_table = whole_table(self.ledger, job, names)
            if cancel or rejection or job.cancel_requested:
                return transitions.planned(
                    job,
                    now=now,
                    lines=lines,
                    repeated=repeated,
                    unsendable=unsendable,
                    rejection=rejection,
                    cancel=cancel,
                    completes=completes,
                    note=no_table,
                )
            job = replace(self.pause.learned_before(job, now), strange=dict(strange))
            hold, expected, cover = self.pause.verdict(job, ready, now)
            auto = job.cache == AUTO
            # Their rows do not tell how often those of this job would be found cached.
            mates = self.pause.mates(job, now) if hold is not None and hold.needs == APPROVAL and not auto else []
            tries = hold is not None or (job.learned is None and self.pause.budget.never_fits(job, ready, now))
            rows = sum(batch.requests for batch in ready)
            tries |= auto and rows >= ENOUGH_TO_CACHE
            warm_up = self.try_first.warm_up(job, drawn, now) if warms_up(job, rows) and (tries or not auto) else None
            aside = 0 if warm_up is None else 1
            pilot = self.try_first(job, drawn, now, mates, aside=aside) if tries else None
            mate = mates[0] if mates and pilot is None else None
            spare = None
            if mate is not None:
                hold = Hold(PRICE, sentences.waits_for(mate), None)
                spare = self.try_first(job, drawn, now, [], aside=aside)
            if pilot is not None and (hold is None or hold.needs != PRICE):
                first = [batch for batch in (warm_up, pilot) if batch is not None]
                hold, _, cover = self.pause.verdict(replace(job, trying=True), first, now)
            return transitions.planned(
                job,
                now=now,
                lines=lines,
                repeated=repeated,
                unsendable=unsendable,
                hold=hold,
                cover=cover,
                mate=mate.id if mate is not None else "",
                spare=spare,
                group_key=self.pause.group_key(job, now),
                pilot=pilot,
                warm_up=warm_up,
                cache=_not_cached(rows) if auto and warm_up is None else None,
                expected=expected,
                virtual_time=self.ledger.get_admission().virtual_time,
                completes=completes,
                note=no_table,
                tries_all=pilot is not None and pilot.requests + aside == rows,
            )

        job = self._change(job_id, edge)
        if job is None:
            return
        if job.cancel_requested:
            self.cancel_job(job)
        if job.state is JobState.running:
            self.admit(job)
        self.publish(job_id)

    def _reject(self, job_id: str, reason: str) -> None:
        """The documents come first: whoever dies here leaves a job that is still planned, and so rejected again."""
        job = self.ledger.get_job(job_id)
        if job is None or job.state is not JobState.planning:
            return
        if job.batches_total:
            # Rows were read before it broke off: they end as canceled, through the same door as everybody's.
            lines = max(batch.last_line for batch in self.ledger.list_batches(job_id))
            self._run(job_id, lines, reason, cancel=True)
            return
        self.objects.abandon(keys.work_folder(job.id))
        rejected = transitions.rejected(job, reason, now=self.clock.now())
        self.publish.end_without_rows(rejected.after)
        with suppress(LostRace):
            self.commit(rejected)


def _not_cached(rows: int) -> CacheVerdict:
    """Of `auto`, if no rows are tried to find out."""
    few = rows <= PILOT_ROWS
    return CacheVerdict(cached=False, why=sentences.too_few_to_cache(rows) if few else sentences.not_tried_to_cache(rows))
