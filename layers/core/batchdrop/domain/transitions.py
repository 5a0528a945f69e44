"""The state machines: every change of a job, a batch or the admission record, with all its effects.

Each function is one named edge. It takes the record as it was read and returns a `Move`: what the record becomes, what is
counted, what must still hold, what changes in the same transaction, and which messages follow. Nothing is written here: a ledger
interprets the move, and `jobs.commit` sends its messages. A record in a state that an edge does not start from is a bug.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, NamedTuple

import msgspec
from msgspec.structs import replace

from batchdrop.domain.answer_counts import AnswerCounts
from batchdrop.domain.deadlines import due_at
from batchdrop.domain.fair_order import given_back as turn_given_back
from batchdrop.domain.ids import prefixes_of
from batchdrop.domain.keys import team_of
from batchdrop.domain.messages import CollectBatch, FinishJob, Message, ResumePlanning, RetryJob, SubmitBatch
from batchdrop.domain.money import Bill, Learned, Sizes, micro_up, rest_of
from batchdrop.domain.open_work import PLACE, PRICE
from batchdrop.domain.purses import Charge, charges, open_jobs
from batchdrop.domain.record import Record
from batchdrop.domain.records import (
    UNCHANGED,
    Admission,
    ApiCounts,
    Approval,
    Arrivals,
    Batch,
    BatchState,
    Checkpoint,
    Counters,
    Counts,
    Expected,
    Group,
    GroupQuestion,
    Job,
    JobState,
    ObjectRef,
    Part,
    Proof,
    Question,
    RefusedAs,
    RowStatus,
    Settled,
    Span,
    Streak,
    Taught,
    Told,
    Unsent,
    Usage,
    Wishes,
)

# ---------------------------------------------------------------- what a move is


class Progress(NamedTuple):
    """What tells whether a batch is the last one of its job. While a job is planned it may still gain batches."""

    state: JobState
    batches_total: int
    batches_collected: int

    @classmethod
    def of(cls, job: Job) -> Progress:
        return cls(job.state, job.batches_total, job.batches_collected)


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold of the job, of the admission record and of a team's arrivals at the moment of the write."""

    job_state: JobState | None = None
    """The job is in this state and nobody has asked to cancel it."""
    progress: Progress | None = None
    """The job's progress is the one that the move was made for."""
    queue_limit: int | None = None
    """Not more queued requests than this, those of the move included."""
    arrivals: Arrivals | None = None
    """So many recipes have arrived in this team, and no more."""
    may_use: int | None = None
    """The job's batches have used no more than this, in micro-dollars, those of the move included."""


class Move[R: (Job, Batch, Admission, Arrivals, Group)](msgspec.Struct, frozen=True):
    """One transaction. A record is written only if its revision is still the one of `before`."""

    before: R | None
    """None: the record is created, and must not exist yet."""
    after: R
    """Its counters and its revision are not written: the ledger keeps them."""
    counters: Counters = UNCHANGED
    guard: Guard = Guard()
    charges: tuple[Charge, ...] = ()
    also: tuple[Move[Any], ...] = ()
    """What moves in the same transaction. Their counters, charges, guards and messages count as this move's own."""
    messages: tuple[Message, ...] = ()
    """Sent after the commit. A message that is lost is sent again by `poll`."""
    edge: str = ""
    """The name of the function that made it."""


class ForbiddenMove(Exception):
    """A record in a state that the edge does not start from: a bug in Batchdrop, never the user's doing."""


type State = JobState | BatchState


class Edge(NamedTuple):
    sources: frozenset[State]
    """Empty: the edge creates the record."""
    targets: frozenset[State]
    """Empty: the state stays."""

    def leads_to(self, source: State) -> frozenset[State]:
        return self.targets or frozenset({source})


JOB_EDGES: dict[str, Edge] = {}
BATCH_EDGES: dict[str, Edge] = {}


class _Declared[R: (Job, Batch)]:
    """A decorator: the function below it is an edge, and is held to it."""

    def __init__(self, edges: dict[str, Edge], sources: tuple[State, ...], to: tuple[State, ...]) -> None:
        self._edges = edges
        self._edge = Edge(frozenset(sources), frozenset(to))

    def __call__[**P](self, function: Callable[Concatenate[R, P], Move[R]]) -> Callable[Concatenate[R, P], Move[R]]:
        edge, name = self._edge, function.__name__
        self._edges[name] = edge

        @wraps(function)
        def move(record: R, /, *args: P.args, **kwargs: P.kwargs) -> Move[R]:
            if edge.sources and record.state not in edge.sources:
                raise ForbiddenMove(f"{name}: from {record.state}")
            made = function(record, *args, **kwargs)
            if made.after.state not in edge.leads_to(record.state):
                raise ForbiddenMove(f"{name}: to {made.after.state}")
            return replace(made, edge=name)

        return move


def _job_edge(*sources: JobState, to: tuple[JobState, ...] = ()) -> _Declared[Job]:
    """`to` is left out where the state stays."""
    return _Declared(JOB_EDGES, sources, to)


def _batch_edge(*sources: BatchState, to: tuple[BatchState, ...] = ()) -> _Declared[Batch]:
    return _Declared(BATCH_EDGES, sources, to)


def _admission_edge[**P](function: Callable[P, Move[Admission]]) -> Callable[P, Move[Admission]]:
    @wraps(function)
    def move(*args: P.args, **kwargs: P.kwargs) -> Move[Admission]:
        return replace(function(*args, **kwargs), edge=function.__name__)

    return move


# ---------------------------------------------------------------- jobs

TERMINAL_JOB_STATES = frozenset({JobState.done, JobState.rejected, JobState.canceled})

# A lease outlives its invocation by this much, so that clocks that differ a little do not let two of them in.
_LEASE_MARGIN = timedelta(seconds=15)


def lease(now: datetime, seconds: float) -> datetime:
    """Until when an invocation with so many seconds left may be at work."""
    return now + timedelta(seconds=seconds) + _LEASE_MARGIN


@_job_edge(to=(JobState.planning,))
def opened(job: Job, *, limit: int | None = None) -> Move[Job]:
    """`limit`: no more jobs of its team are open then, this one included."""
    return _in_place(Move(None, job), limit)


@_job_edge(to=(JobState.held,))
def lined_up(job: Job, reason: str, *, now: datetime) -> Move[Job]:
    """Too many jobs of its team are open: nothing of it is read before others have ended."""
    return Move(None, replace(job, state=JobState.held, needs=PLACE, reason=reason, held_at=now, lease_until=None, tries=0))


@_job_edge(JobState.held, to=(JobState.planning,))
def called(job: Job, *, limit: int, now: datetime) -> Move[Job]:
    """Its turn in the line has come. Whoever was asked to cancel it does not call it. `limit`: as in `opened`."""
    return _in_place(woken(replace(job, held_at=None), now=now), limit, before=job)


def _in_place(move: Move[Job], limit: int | None, before: Job | None = None) -> Move[Job]:
    place = open_jobs(team_of(move.after.input.key))
    return replace(
        move, before=before, after=replace(move.after, place=place), charges=(Charge(purse=place, used=1, limit=limit),)
    )


def _place_given_back(job: Job) -> tuple[Charge, ...]:
    return (Charge(purse=job.place, used=-1),) if job.place else ()


@_job_edge(JobState.planning)
def leased(job: Job, *, until: datetime) -> Move[Job]:
    """One invocation of `plan` is at work until then."""
    return Move(job, replace(job, lease_until=until, tries=job.tries + 1))


@_job_edge(JobState.planning)
def planning_failed(job: Job, *, now: datetime) -> Move[Job]:
    """A handled error: this invocation gives up its lease, and its message comes back."""
    return Move(job, replace(job, lease_until=now, errors=job.errors + 1))


@_job_edge(JobState.planning)
def sourced(job: Job, source: ObjectRef, broken: Unsent | None, wishes: Wishes | None = None) -> Move[Job]:
    """Where its lines are read from is known. `wishes`: what its recipe says of the job as a whole."""
    after = replace(job, source=source, broken=broken, bytes_done=0, bytes_total=0, fruitless=0)
    if wishes is not None:
        after = replace(
            after,
            priority=wishes.priority or job.priority,
            api_version=wishes.api_version or job.api_version,
            betas=tuple(dict.fromkeys((*job.betas, *wishes.betas))),
            limits=wishes.limits,
            deadline=wishes.deadline,
            dedupe=wishes.dedupe,
            cache=wishes.cache,
            about_cache=wishes.about_cache,
            separator=wishes.separator,
            newline=wishes.newline,
            warnings=_with_warnings(job, wishes.warnings),
        )
    return Move(job, after)


@_job_edge(JobState.planning)
def unpacked(job: Job, text: ObjectRef, *, now: datetime) -> Move[Job]:
    """A packed file of rows is unpacked: another invocation renders them."""
    after = replace(_next_invocation(job, now), text=text, bytes_done=0, bytes_total=0, fruitless=0)
    return Move(job, after, messages=(_next_step(job),))


@_job_edge(JobState.planning)
def names_files(job: Job, *, now: datetime) -> Move[Job]:
    """Rows name files: another invocation looks at them and makes lines of what it finds, before anything is cut."""
    text = job.source if job.source is not None and job.source.key != job.input.key else job.text
    after = replace(job, names_files=True, source=None, text=text, checkpoint=None, lease_until=now, message_sent_at=now)
    return Move(job, replace(after, tries=0, errors=0), messages=(_next_step(job),))


@_job_edge(JobState.planning)
def handed_over(job: Job, checkpoint: Checkpoint, *, now: datetime) -> Move[Job]:
    """This invocation gives up its lease, and another one reads on."""
    after = replace(_next_invocation(job, now), checkpoint=checkpoint)
    return Move(job, after, messages=(_next_step(job),))


@_job_edge(JobState.planning)
def unpacked_in_part(job: Job, *, now: datetime, done: int, total: int, fruitless: int) -> Move[Job]:
    """This invocation gives up its lease, and another one unpacks the rest of the file."""
    after = replace(_next_invocation(job, now), bytes_done=done, bytes_total=total, fruitless=fruitless)
    return Move(job, after, messages=(_next_step(job),))


def _next_invocation(job: Job, now: datetime) -> Job:
    """Its planner has come further, so a message that was lost before is no matter any more."""
    return replace(job, lease_until=now, message_sent_at=now, tries=0, errors=0, repairs=0)


class Hold(NamedTuple):
    """Why nothing more of a job is sent: what it needs, as in Job, and the sentence that says so."""

    needs: str
    reason: str
    question: Question | None
    expected: Expected | None = None
    """As in Job, if that is known better now; `learned` too."""
    learned: Learned | None = None


class CacheVerdict(NamedTuple):
    """As `cached` and `about_cache` in Job."""

    cached: bool
    why: str


class Cover(NamedTuple):
    """An approval that lets a job go."""

    approval: Approval
    may_use: int
    """As in Job."""
    charges: tuple[Charge, ...] = ()


@_job_edge(JobState.planning, to=(JobState.running, JobState.held))
def planned(
    job: Job,
    *,
    now: datetime,
    lines: int,
    repeated: int = 0,
    unsendable: tuple[Batch, ...] = (),
    rejection: str = "",
    cancel: bool = False,
    reason: str = "",
    hold: Hold | None = None,
    pilot: Batch | None = None,
    warm_up: Batch | None = None,
    cache: CacheVerdict | None = None,
    expected: Expected | None = None,
    cover: Cover | None = None,
    mate: str = "",
    spare: Batch | None = None,
    group_key: str = "",
    virtual_time: int = 0,
    completes: str = "",
    note: str = "",
    tries_all: bool = False,
) -> Move[Job]:
    """All its batches are stored. `unsendable`: those without a request, which can be collected at once. `repeated`: as in Job.

    `rejection`: why the job will end as rejected. `cancel`: its batches are not to be sent. `reason`: why, if that is new.
    `cache`: if that is decided. `warm_up`: it goes before all others. `pilot`: it goes before the rest. `cover`: an earlier
    approval that holds for it. `mate`, `spare`, `group_key`, `tries_all`: as in Job.
    `virtual_time`: of the stack, now that they begin to wait. `completes`: as in Job. `note`: what else there is to say of them.
    """
    after = replace(
        job,
        state=JobState.running,
        planned_at=now,
        updated_at=now,
        lease_until=None,
        lines=lines,
        repeated=repeated,
        reason=reason or job.reason,
        expected=expected,
        waits_from=virtual_time,
        repairs=0,
        errors=0,
    )
    if rejection:
        after = replace(after, outcome=JobState.rejected, reason=rejection)
    elif hold is not None:
        after = replace(_held(after, hold, now), mate=mate, spare=spare)
    elif cover is not None:
        after = _covered(after, cover)
    after = replace(
        _with_cache(after, cache),
        cancel_requested=job.cancel_requested or cancel,
        warming=warm_up is not None,
        trying=pilot is not None,
        tried=0 if pilot is None else pilot.requests + (warm_up is not None),
        tries_all=tries_all,
        group_key=group_key,
        completes=completes,
        note=" ".join(part for part in (after.note, note) if part),
    )
    return Move(
        job,
        _released(after, now),
        charges=() if cover is None else cover.charges,
        also=tuple(added(batch) for batch in (warm_up, pilot) if batch is not None),
        messages=tuple(_collect(batch) for batch in unsendable),
    )


@_job_edge(JobState.planning, to=(JobState.rejected,))
def rejected(job: Job, reason: str, *, now: datetime) -> Move[Job]:
    """It ends without a batch."""
    return Move(
        job,
        replace(
            job,
            state=JobState.rejected,
            outcome=JobState.rejected,
            reason=reason,
            updated_at=now,
            finished_at=now,
            lease_until=None,
            place="",
            untold=True,
        ),
        charges=_place_given_back(job),
    )


@_job_edge(JobState.planning)
def pinned(job: Job, recipe: ObjectRef, *, kind: str, arrivals: int) -> Move[Job]:
    """It is planned with this version of this recipe. `arrivals`: how many had arrived before it was found."""
    held_at = job.held_at if arrivals == job.arrivals else None
    return Move(job, replace(job, recipe=recipe, kind=kind, arrivals=arrivals, held_at=held_at))


@_job_edge(JobState.planning, to=(JobState.held,))
def held(job: Job, reason: str, *, needs: str, arrivals: int, now: datetime) -> Move[Job]:
    """It cannot be planned without a recipe, or with the one that was found, and no other has arrived since it looked.

    Nothing of it is stored but the job: what was read so far is read again.
    """
    after = replace(
        _unread(job),
        state=JobState.held,
        reason=reason,
        needs=needs,
        held_at=now,
        arrivals=arrivals,
        updated_at=now,
        lease_until=None,
    )
    guard = Guard(
        job_state=JobState.planning,
        progress=Progress(JobState.planning, 0, 0),
        arrivals=Arrivals(team=team_of(job.input.key), count=arrivals),
    )
    return Move(job, after, guard=guard)


@_job_edge(JobState.running, to=(JobState.held,))
def paused(job: Job, hold: Hold, *, now: datetime) -> Move[Job]:
    """Nothing more of it is sent, for want of money; what is at the API is watched and collected all the same."""
    return Move(job, _held(job, hold, now))


@_job_edge(JobState.held)
def asked_anew(job: Job, hold: Hold, *, now: datetime) -> Move[Job]:
    """What it waits for, or the amount that it asks about, has changed."""
    return Move(job, _held(job, hold, now))


@_job_edge(JobState.held, to=(JobState.held, JobState.running))
def tries_itself(
    job: Job, pilot: Batch, *, now: datetime, virtual_time: int, hold: Hold | None, cover: Cover | None, tries_all: bool = False
) -> Move[Job]:
    """The one whose rows were to tell its price has told nothing. `hold`, `cover`: as in `planned`, of the pilot."""
    after = replace(
        job,
        trying=True,
        tried=pilot.requests + job.warming + job.warmed,
        tries_all=tries_all,
        mate="",
        spare=None,
        waits_from=virtual_time,
    )
    if hold is not None:
        after = _held(after, hold, now)
    else:
        after = replace(after, state=JobState.running, reason="", needs="", held_at=None, updated_at=now)
        after = after if cover is None else _covered(after, cover)
    return Move(job, _released(after, now), charges=() if cover is None else cover.charges, also=(added(pilot),))


@_job_edge(JobState.held, to=(JobState.running,))
def let_go(
    job: Job,
    *,
    now: datetime,
    virtual_time: int,
    cover: Cover | None = None,
    raised: Approval | None = None,
    expected: Expected | None = None,
    agreed: Move[Group] | None = None,
) -> Move[Job]:
    """Its batches may be sent again, and queue anew. Whoever was asked to cancel it does not let it go.

    `raised`: no limit holds for it until it has used that amount. `agreed`: what the approval means for later files.
    """
    if job.cancel_requested:
        raise ForbiddenMove("let_go: a cancel was requested")
    after = replace(
        job,
        state=JobState.running,
        reason="",
        needs="",
        question=None,
        group=None,
        mate="",
        spare=None,
        held_at=None,
        updated_at=now,
        expected=expected or job.expected,
        waits_from=virtual_time,
    )
    if raised is not None:
        after = replace(after, raised_to=job.used + raised.amount, approvals=(*job.approvals, raised))
    if cover is not None:
        after = _covered(after, cover)
    after = _released(after, now)
    return Move(job, after, charges=() if cover is None else cover.charges, also=() if agreed is None else (agreed,))


@_job_edge(JobState.planning)
def looked_again(job: Job, *, now: datetime) -> Move[Job]:
    """A recipe has arrived since it looked for one: another invocation plans it from the start."""
    after = replace(_unread(job), lease_until=now, message_sent_at=now)
    return Move(job, after, guard=Guard(progress=Progress(JobState.planning, 0, 0)), messages=(_next_step(job),))


@_job_edge(JobState.held, to=(JobState.planning,))
def woken(job: Job, *, now: datetime) -> Move[Job]:
    """It looks for a recipe again. Whoever was asked to cancel it does not wake it."""
    if job.cancel_requested:
        raise ForbiddenMove("woken: a cancel was requested")
    after = replace(job, state=JobState.planning, reason="", needs="", updated_at=now, lease_until=now, message_sent_at=now)
    return Move(job, after, messages=(ResumePlanning(job_id=job.id),))


@_job_edge(JobState.held)
def told_of_recipe(job: Job, *, now: datetime) -> Move[Job]:
    """A recipe has arrived in its team since it was planned: `plan` looks whether that is a newer one for its file."""
    return Move(job, replace(job, message_sent_at=now), messages=(ResumePlanning(job_id=job.id),))


@_job_edge(JobState.held)
def recipe_kept(job: Job, note: str, *, arrivals: int) -> Move[Job]:
    """It stays with its recipe. `arrivals`: how many had arrived before that was looked at."""
    return Move(job, replace(job, arrivals=arrivals, message_sent_at=None, note=note))


@_job_edge(JobState.held)
def superseded(job: Job, newer: Job, reason: str, note: str) -> Move[Job]:
    """Its recipe was improved: it ends, and `newer` takes its place. One that was asked to cancel has no successor."""
    if job.cancel_requested:
        raise ForbiddenMove("superseded: a cancel was requested")
    return Move(job, replace(job, cancel_requested=True, reason=reason, note=note), also=(opened(newer),))


@_job_edge(JobState.running, JobState.held, to=(JobState.running, JobState.held))
def pilot_ended(job: Job, rows: Collected, reason: str, *, now: datetime, note: str = "") -> Move[Job]:
    """Only as a part of `pilot_collected`. It is held until the rest has a price by what was tried; `reason` says so.

    `note`: why nothing was tried. A yes to the pilot was one to the pilot alone.
    """
    after = replace(job, trying=False, tried=job.warmed + len(rows.settled), learned=rows.learned or job.learned, updated_at=now)
    after = _with_cache(after, rows.cache)
    if job.may_use:
        after = replace(after, may_use=0)
    if job.cancel_requested:
        return Move(job, after)
    if note:
        after = replace(after, note=note)
    return Move(job, _held(after, Hold(PRICE, reason, None), now))


@_job_edge(JobState.running, JobState.held)
def warmed(job: Job, rows: Collected, *, now: datetime) -> Move[Job]:
    """Only as a part of `warm_up_collected`. Whatever became of its row, the others go: they may find the cache written."""
    return Move(job, replace(job, warming=False, warmed=len(rows.settled), updated_at=now))


@_job_edge(JobState.held)
def grouped(job: Job, group: GroupQuestion | None) -> Move[Job]:
    """Others ask the same, or no longer do. It has asked since it was held, and no new time begins."""
    return Move(job, replace(job, group=group))


def _released(job: Job, now: datetime) -> Job:
    """Its deadline counts from the first time that nobody has to be asked any more. A warm-up, which may take a day, counts."""
    lets_all_go = job.state is JobState.running and (job.tries_all or not job.trying)
    if not job.deadline or job.due_at is not None or not lets_all_go:
        return job
    return replace(job, due_at=due_at(job.deadline, now))


def _with_cache(job: Job, verdict: CacheVerdict | None) -> Job:
    return job if verdict is None else replace(job, cached=verdict.cached, about_cache=verdict.why)


def _covered(job: Job, cover: Cover) -> Job:
    return replace(job, may_use=cover.may_use, approvals=(*job.approvals, cover.approval))


def _held(job: Job, hold: Hold, now: datetime) -> Job:
    return replace(
        job,
        state=JobState.held,
        needs=hold.needs,
        reason=hold.reason,
        question=hold.question,
        group=None,
        expected=hold.expected or job.expected,
        learned=hold.learned or job.learned,
        held_at=now,
        updated_at=now,
    )


def _with_warnings(job: Job, warnings: str) -> str:
    """It may be planned anew from the start: none is said twice."""
    return job.warnings if warnings in job.warnings else " ".join(part for part in (job.warnings, warnings) if part)


def _unread(job: Job) -> Job:
    return replace(
        job,
        source=None,
        recipe=None,
        broken=None,
        checkpoint=None,
        tries=0,
        repairs=0,
        errors=0,
        bytes_done=0,
        bytes_total=0,
        fruitless=0,
    )


@_job_edge(JobState.planning, JobState.held, to=(JobState.canceled,))
def canceled_unread(job: Job, *, now: datetime) -> Move[Job]:
    """It ends without a batch: nobody could read the file before the cancel."""
    return Move(
        job,
        replace(
            job,
            state=JobState.canceled,
            outcome=JobState.canceled,
            needs="",
            updated_at=now,
            finished_at=now,
            lease_until=None,
            place="",
            untold=True,
        ),
        charges=_place_given_back(job),
    )


@_job_edge(JobState.planning, JobState.held, JobState.running)
def cancel_requested(job: Job, reason: str) -> Move[Job]:
    return Move(job, replace(job, cancel_requested=True, reason=reason))


@_job_edge(JobState.running, JobState.held)
def overdue(job: Job, reason: str) -> Move[Job]:
    """Its deadline has passed. It ends as a canceled job does, and is done: that is what it was to do."""
    outcome = job.outcome or JobState.done
    return Move(job, replace(job, cancel_requested=True, overdue=True, outcome=outcome, reason=reason))


@_job_edge(*JobState)
def noted(job: Job, note: str) -> Move[Job]:
    return Move(job, replace(job, note=note))


@_job_edge(JobState.held)
def told(job: Job, what: str, *, mailed_at: datetime | None) -> Move[Job]:
    """Subscribers know of its question. `mailed_at`: of the mail that told people of it too."""
    return Move(job, replace(job, told=Told(what=what, mailed_at=mailed_at)))


@_job_edge(*TERMINAL_JOB_STATES)
def end_told(job: Job) -> Move[Job]:
    """Subscribers know that it has ended."""
    return Move(job, replace(job, untold=False))


@_job_edge(JobState.running)
def refused_again(job: Job, streak: Streak) -> Move[Job]:
    return Move(job, replace(job, streak=streak))


@_job_edge(JobState.running)
def tried(job: Job, batch: str, *, next_at: datetime) -> Move[Job]:
    """While it waits: one batch goes, and the next one not before `next_at`. Only as a part of `admitted`."""
    return Move(job, replace(job, streak=job.streak and replace(job.streak, trying=batch, next_at=next_at)))


@_job_edge(JobState.running)
def streak_ended(job: Job, *, now: datetime, words_of_the_account: str) -> Move[Job]:
    """The API has accepted a batch again."""
    words = words_of_the_account or job.words_of_the_account
    return Move(job, replace(job, streak=None, accepted_at=now, words_of_the_account=words))


@_job_edge(JobState.running)
def doubted(job: Job, doubt: str) -> Move[Job]:
    """`doubt`: what is not known of a batch of it, or empty once the API has answered again."""
    return Move(job, replace(job, doubt=doubt))


@_job_edge(JobState.running, JobState.held)
def out_of_reach(job: Job, why: str) -> Move[Job]:
    """`why`: what keeps answers from being fetched, or empty once one was."""
    return Move(job, replace(job, out_of_reach=why))


@_job_edge(*TERMINAL_JOB_STATES)
def retried_in_part(job: Job, note: str) -> Move[Job]:
    """Another invocation of `control` drops the rest of its failed rows again."""
    return Move(job, replace(job, note=note), messages=(RetryJob(job_id=job.id),))


@_job_edge(JobState.running, JobState.held, to=(JobState.finishing,))
def finishing(job: Job, *, now: datetime) -> Move[Job]:
    """Only as a part of `collected`. `repairs` counts anew: the message of `finish` has not been repeated yet."""
    after = replace(
        job,
        state=JobState.finishing,
        # Why it was held is over; why it was canceled or rejected is not.
        reason=job.reason if job.cancel_requested or job.outcome is not None else "",
        needs="",
        question=None,
        group=None,
        mate="",
        spare=None,
        updated_at=now,
        message_sent_at=now,
        repairs=0,
        errors=0,
    )
    return Move(job, after, messages=(FinishJob(job_id=job.id),))


@_job_edge(JobState.finishing)
def joined_in_part(job: Job, *, now: datetime, done: int, total: int) -> Move[Job]:
    """Another invocation writes the rest of the output files."""
    after = replace(job, message_sent_at=now, repairs=0, errors=0, bytes_done=done, bytes_total=total)
    return Move(job, after, messages=(_next_step(job),))


@_job_edge(JobState.finishing)
def based(job: Job, root: Job) -> Move[Job]:
    """Its rows go into the whole table of `root` as it is now, and those of later jobs into the one that comes of it.

    In one transaction, so that of two jobs that end at once one builds on the other.
    """
    after = replace(job, base=root.completed_by or root.id)
    return Move(job, after, also=(Move(root, replace(root, completed_by=job.id)),))


@_job_edge(JobState.finishing, to=(JobState.done, JobState.rejected, JobState.canceled))
def finished(job: Job, *, now: datetime, note: str = "", taught: Move[Group] | None = None, untold: bool = False) -> Move[Job]:
    """Its manifest is written. `note`: what there is to say of the output files. `taught`: what it tells later ones, once.

    `untold`: subscribers could not be told, and `poll` tells them.
    """
    outcome = job.outcome or (JobState.canceled if job.cancel_requested else JobState.done)
    told = " ".join(part for part in (job.note, note) if part)
    after = replace(job, state=outcome, outcome=outcome, updated_at=now, finished_at=now, note=told, place="", untold=untold)
    return Move(job, after, charges=_place_given_back(job), also=() if taught is None else (taught,))


@_job_edge(JobState.planning, JobState.finishing)
def job_message_repeated(job: Job, *, now: datetime) -> Move[Job]:
    errors = job.errors if job.state is JobState.planning else 0  # which counts tries, not deliveries
    return Move(job, replace(job, message_sent_at=now, repairs=job.repairs + 1, errors=errors), messages=(_next_step(job),))


@_job_edge(JobState.finishing)
def job_message_returned(job: Job, *, now: datetime, errors: int) -> Move[Job]:
    """Its message is back in its queue, after a handled error or from an invocation that was cut off."""
    return Move(job, replace(job, message_sent_at=now, errors=errors))


@_job_edge(JobState.running, JobState.held, JobState.finishing)
def cut_off(job: Job, function: str, *, times: int) -> Move[Job]:
    """Its status says so, or no more: then `times` is 0."""
    return Move(job, replace(job, cut_off=times, cut_off_in=function if times else ""))


def _next_step(job: Job) -> Message:
    return ResumePlanning(job_id=job.id) if job.state is JobState.planning else FinishJob(job_id=job.id)


# ---------------------------------------------------------------- batches


@_batch_edge(to=(BatchState.ready, BatchState.ended))
def added(batch: Batch) -> Move[Batch]:
    """Cut from a file. A batch without a request is `ended` from the start; `plan` sends its message once the job runs.

    Rows of the pilot are counted in the batches that they lie in.
    """
    waits = batch.state is BatchState.ready
    return Move(
        None,
        replace(batch, waiting=waits),
        counters=Counters(
            rows=Counts() if batch.tries else Counts(total=batch.rows),
            batches_total=1,
            batches_waiting=int(waits),
            batches_ended=int(not waits),
        ),
    )


class Reserve(NamedTuple):
    """What a batch takes of money when it is admitted. `may_use`: as in Guard."""

    amount: int = 0
    charges: tuple[Charge, ...] = ()
    may_use: int | None = None


NOTHING = Reserve()


@_batch_edge(BatchState.ready)
def admitted(
    batch: Batch,
    *,
    now: datetime,
    queue_limit: int,
    reserve: Reserve = NOTHING,
    turn: Charge | None = None,
    turn_cost: int = 0,
    tried: Move[Job] | None = None,
) -> Move[Batch]:
    """Takes capacity, money and a turn of its team, and goes to `submit`.

    `tried`: the move of a job that waits, of which no other batch goes now.
    """
    purses = tuple(charge.purse for charge in reserve.charges)
    return Move(
        batch,
        replace(
            batch,
            waiting=False,
            admitted_at=now,
            message_sent_at=now,
            repairs=0,
            errors=0,
            reserved=reserve.amount,
            purses=purses,
            turn="" if turn is None else turn.purse,
            turn_cost=turn_cost,
        ),
        counters=Counters(queued=batch.requests, batches_waiting=-int(batch.waiting), used=reserve.amount),
        guard=Guard(job_state=JobState.running, queue_limit=queue_limit, may_use=reserve.may_use),
        charges=reserve.charges if turn is None else (*reserve.charges, turn),
        also=() if tried is None else (tried,),
        messages=(_submit(batch),),
    )


@_batch_edge(BatchState.ready)
def put_back(batch: Batch) -> Move[Batch]:
    """Admitted, but by now it may not be sent: it waits again."""
    return Move(
        batch,
        replace(
            batch,
            waiting=True,
            admitted_at=None,
            message_sent_at=None,
            repairs=0,
            errors=0,
            reserved=0,
            purses=(),
            turn="",
            turn_cost=0,
        ),
        counters=Counters(queued=-batch.requests, batches_waiting=1, used=-batch.reserved),
        charges=_given_back(batch),
    )


@_batch_edge(BatchState.ready, to=(BatchState.submitting,))
def intended(batch: Batch, prefix: str, key: str, *, now: datetime, lease_until: datetime) -> Move[Batch]:
    """Written before the POST: whoever dies after this leaves a trace.

    `prefix`: what its custom ids begin with this time. `key`: the fingerprint of the one it is sent with.
    """
    prefixes = (*prefixes_of(batch), prefix)
    after = replace(
        batch,
        state=BatchState.submitting,
        prefixes=prefixes,
        key=key,
        intent_at=now,
        lease_until=lease_until,
        repairs=0,
        errors=0,
    )
    return Move(batch, after)


@_batch_edge(BatchState.submitting)
def unanswered(batch: Batch, *, now: datetime) -> Move[Batch]:
    """The POST is over without a definite answer: only `poll`, which can look at the API, may decide, and it may look soon."""
    return Move(batch, replace(batch, lease_until=now))


@_batch_edge(BatchState.submitting, to=(BatchState.in_progress,))
def accepted(batch: Batch, api_id: str, *, created_at: datetime) -> Move[Batch]:
    return Move(batch, replace(batch, state=BatchState.in_progress, api_id=api_id, created_at=created_at, refusals=0))


@_batch_edge(BatchState.submitting, to=(BatchState.in_progress,))
def adopted(batch: Batch, api_id: str, *, certain: bool, key: str) -> Move[Batch]:
    """Found at the API. Unless `certain`, its first result still has to confirm it.

    `key`: the fingerprint of the one that it was found with. Where 0.1.0 stored none, it tells whose looks count from now on.
    """
    return Move(
        batch,
        replace(
            batch,
            state=BatchState.in_progress,
            api_id=api_id,
            adopted=not certain,
            key=batch.key or key,
            created_at=batch.first_intent_at or batch.intent_at,
            no_trace_at=(),
        ),
    )


@_batch_edge(BatchState.submitting)
def looked(batch: Batch, *, at: datetime, trace: bool) -> Move[Batch]:
    """A good look at the API's list. One without a trace counts towards a release, one with a trace starts the count anew."""
    no_trace_at = () if trace else (*batch.no_trace_at, at)
    return Move(batch, replace(batch, first_look_at=batch.first_look_at or at, no_trace_at=no_trace_at))


@_batch_edge(BatchState.submitting)
def ruled_out(batch: Batch, api_id: str) -> Move[Batch]:
    """This batch at the API looked like it, and is not."""
    return Move(batch, replace(batch, not_ours=(*batch.not_ours, api_id)))


@_batch_edge(BatchState.submitting, to=(BatchState.ready,))
def refused(batch: Batch, *, not_before: datetime | None = None, refused_as: tuple[RefusedAs, ...] = ()) -> Move[Batch]:
    """A definite no, after which it can be sent again. `refused_as` is left out if it says nothing about its rows."""
    after = replace(_waiting(batch), refusals=batch.refusals + 1, refused_as=refused_as or batch.refused_as)
    if not_before is not None:
        after = replace(after, not_before=not_before)
    counters = Counters(queued=-batch.requests, batches_waiting=1, used=-batch.reserved)
    return Move(batch, after, counters=counters, charges=_given_back(batch))


@_batch_edge(BatchState.submitting, to=(BatchState.ready,))
def released(batch: Batch, *, not_before: datetime) -> Move[Batch]:
    """The API holds no trace of it: it can be sent again."""
    after = replace(
        _waiting(batch),
        first_intent_at=batch.first_intent_at or batch.intent_at,
        releases=batch.releases + 1,
        not_before=not_before,
    )
    counters = Counters(queued=-batch.requests, batches_waiting=1, releases=1, used=-batch.reserved)
    return Move(batch, after, counters=counters, charges=_given_back(batch))


class Half(NamedTuple):
    """The first piece of a batch, in case it has to be cut in two: half of it, or a row alone."""

    next_line: int
    """Line of the first request of the second piece."""
    next_start: int
    """Byte offset of that line in the source."""
    requests: int
    invalid: int
    body_bytes: int
    """Size of a body of the first piece alone."""
    rest_body_bytes: int
    """Size of a body of the second piece alone."""


class Piece(NamedTuple):
    """What is in one of two pieces of a batch. The sizes are those of its requests."""

    requests: int
    copies: int
    invalid: int
    body_bytes: int
    sizes: Sizes


@_batch_edge(BatchState.submitting, to=(BatchState.ready,))
def split(
    batch: Batch, half: Half, sizes: Sizes, refused_as: tuple[RefusedAs, ...], *, anew: tuple[Piece, Piece] | None = None
) -> Move[Batch]:
    """Refused as a whole: the batch keeps its first piece, and a new one gets the rest. Neither was refused itself so far.

    `sizes`: what the requests of the first piece are expected to take. `anew`: both pieces of a batch with rows of the same
    request, as they are counted each for itself: a request may be in both of them then.
    """
    first_piece, rest_piece = anew or (
        Piece(half.requests, 0, half.invalid, half.body_bytes, sizes),
        Piece(batch.requests - half.requests, 0, batch.invalid - half.invalid, half.rest_body_bytes, rest_of(batch.sizes, sizes)),
    )
    waiting = replace(_waiting(batch), refusals=0, refused_as=tuple(replace(one, whole=False) for one in refused_as))
    first = replace(
        waiting,
        span=replace(batch.span, end=half.next_start),
        last_line=half.next_line - 1,
        settled=tuple(row for row in batch.settled if row.line < half.next_line),
        left_out=tuple(line for line in batch.left_out if line < half.next_line),
        **first_piece._asdict(),
    )
    rest = replace(
        waiting,
        first_line=half.next_line,
        span=replace(batch.span, start=half.next_start, first_line=half.next_line),
        settled=tuple(row for row in batch.settled if row.line >= half.next_line),
        left_out=tuple(line for line in batch.left_out if line >= half.next_line),
        revision=0,
        **rest_piece._asdict(),
    )
    return Move(
        batch,
        first,
        # No row is new: only the batch is.
        counters=Counters(queued=-batch.requests, batches_total=1, batches_waiting=2, splits=1, used=-batch.reserved),
        charges=_given_back(batch),
        also=(Move(None, rest),),
    )


@_batch_edge(BatchState.ready)
def left_out(batch: Batch, lines: tuple[int, ...], *, copies: int = 0, body_bytes: int) -> Move[Batch]:
    """Admitted, and some of its rows cannot be sent any more; others can. What is reserved for them is settled with the others.

    `copies`: how many of them would not have been sent, but have got the answer of another one of them.
    Rows of a pilot are not left out, but not tried: they count in the batches that they lie in.
    """
    requests = len(lines) - copies
    rest = replace(batch, requests=batch.requests - requests, copies=batch.copies - copies, body_bytes=body_bytes)
    if batch.tries:
        after = replace(rest, tries=tuple(row for row in batch.tries if row.line not in lines))
    else:
        after = replace(rest, invalid=batch.invalid + len(lines), left_out=tuple(sorted((*batch.left_out, *lines))))
    return Move(batch, after, counters=Counters(queued=-requests))


@_batch_edge(BatchState.ready, BatchState.submitting, to=(BatchState.ended,))
def unsent(batch: Batch, why: Unsent, *, now: datetime) -> Move[Batch]:
    """Every row of it ends so, without a result from the API. What may have been sent keeps what it has reserved."""
    took_capacity = batch.state is BatchState.submitting or batch.admitted_at is not None
    sent = why.status is RowStatus.missing
    given_back = 0 if sent else batch.reserved
    return Move(
        batch,
        replace(
            batch,
            state=BatchState.ended,
            unsent=why,
            ended_at=now,
            message_sent_at=now,
            waiting=False,
            admitted_at=None,
            repairs=0,
            errors=0,
            reserved=batch.reserved - given_back,
            purses=() if given_back else batch.purses,
            turn=batch.turn if sent else "",
            turn_cost=batch.turn_cost if sent else 0,
        ),
        counters=Counters(
            batches_ended=1,
            batches_waiting=-int(batch.waiting),
            queued=-batch.requests if took_capacity else 0,
            used=-given_back,
        ),
        charges=charges(batch.purses, -given_back) if sent else _given_back(batch),
        messages=(_collect(batch),),
    )


@_batch_edge(BatchState.in_progress, to=(BatchState.canceling,))
def canceling(batch: Batch) -> Move[Batch]:
    """The API has accepted the cancel."""
    return Move(batch, replace(batch, state=BatchState.canceling))


@_batch_edge(BatchState.in_progress, BatchState.canceling, to=(BatchState.ended,))
def ended(batch: Batch, *, ended_at: datetime, created_at: datetime, counts: ApiCounts, now: datetime) -> Move[Batch]:
    """The API says so. Its capacity is free again."""
    return Move(
        batch,
        replace(
            batch,
            state=BatchState.ended,
            ended_at=ended_at,
            created_at=created_at,
            not_found_since=None,
            not_found=0,
            result_lines=counts.all,
            api_counts=counts,
            message_sent_at=now,
            repairs=0,
            errors=0,
        ),
        counters=Counters(batches_ended=1, queued=-batch.requests),
        messages=(_collect(batch),),
    )


@_batch_edge(BatchState.in_progress, BatchState.canceling, BatchState.ended)
def not_found(batch: Batch, *, now: datetime) -> Move[Batch]:
    """The API does not know what it adopted, once more."""
    return Move(batch, replace(batch, not_found_since=batch.not_found_since or now, not_found=batch.not_found + 1))


@_batch_edge(BatchState.in_progress, BatchState.canceling, BatchState.ended)
def found_again(batch: Batch) -> Move[Batch]:
    """The 404 has passed."""
    return Move(batch, replace(batch, not_found_since=None, not_found=0))


@_batch_edge(BatchState.in_progress, BatchState.canceling, BatchState.ended, to=(BatchState.submitting,))
def disowned(batch: Batch, *, not_ours: bool) -> Move[Batch]:
    """The batch it adopted is not ours, or is gone: it is given back, and `poll` looks for ours again.

    `not_ours`: its results have shown that. One that is gone may be ours, and is found again if it reappears.
    """
    was_ended = int(batch.state is BatchState.ended)
    return Move(
        batch,
        replace(
            batch,
            state=BatchState.submitting,
            api_id=None,
            adopted=False,
            not_found_since=None,
            not_found=0,
            not_ours=(*batch.not_ours, batch.api_id) if not_ours and batch.api_id else batch.not_ours,
            created_at=None,
            ended_at=None,
            message_sent_at=None,
            repairs=0,
            errors=0,
            result_lines=0,
            api_counts=None,
            incomplete_since=None,
            collect_at=None,
        ),
        counters=Counters(batches_ended=-was_ended, queued=batch.requests * was_ended, batches_incomplete=-_incomplete(batch)),
    )


@_batch_edge(BatchState.ended)
def postponed(batch: Batch, *, counts: ApiCounts, until: datetime, now: datetime, confirmed: bool) -> Move[Batch]:
    """Its results lack answers that may have been given and billed: it waits for them, and no row of it goes again meanwhile.

    `confirmed`: the lines that were there are ours. From then on no 404 gives it back.
    """
    after = replace(
        batch,
        adopted=batch.adopted and not confirmed,
        result_lines=counts.all,
        api_counts=counts,
        incomplete_since=batch.incomplete_since or now,
        collect_at=until,
        repairs=0,
        errors=0,
    )
    return Move(batch, after, counters=Counters(batches_incomplete=1 - _incomplete(batch)))


@_batch_edge(BatchState.ended)
def resumed(batch: Batch, *, now: datetime) -> Move[Batch]:
    """The time has come to look at its results again."""
    return Move(batch, replace(batch, collect_at=None, message_sent_at=now), messages=(_collect(batch),))


class Collected(Record, frozen=True, kw_only=True):
    """What the rows of a batch came to."""

    counts: Counts
    usage: dict[str, Usage]
    bill: Bill = Bill()
    results: Part | None
    failed: Part | None
    retry: Part | None
    """Rows that go again."""
    retry_copies: int = 0
    """Of these, rows that have the request of another one."""
    retry_body_bytes: int
    """Size of the request body that holds them."""
    retry_sizes: Sizes = msgspec.field(default_factory=dict)
    """What they are expected to take."""
    table: Part | None = None
    failed_table: Part | None = None
    answer_counts: AnswerCounts | None = None
    rows_copied: int = 0
    """Rows that have ended as another one with the same request."""
    unaccounted: int = 0
    """Rows whose results are lost: they may have been billed."""
    settled: tuple[Settled, ...] = ()
    """Of a pilot: the rows whose end is final, by line."""
    settled_sizes: dict[int, Sizes] = msgspec.field(default_factory=dict)
    """What each of them was expected to take, by line; none of a row that nobody can read any more."""
    left: int = 0
    """Of a pilot: rows that are left to the batches that they lie in."""
    learned: Learned | None = None
    """Of a pilot: what its rows teach about the others."""
    cache: CacheVerdict | None = None
    """Of a pilot: whether the others are cached, if that was left to it."""
    losses: tuple[Move[Batch], ...] = ()
    """`pieces_lost` of earlier attempts, whose rows it could not take over."""

    @property
    def rows_lost(self) -> int:
        return sum(loss.counters.rows_lost for loss in self.losses)


@_batch_edge(BatchState.ended, to=(BatchState.collected,))
def collected(batch: Batch, job: Job, rows: Collected, *, now: datetime) -> Move[Batch]:
    """Its rows are in pieces of the output. Those that go again get a batch of their own; the last batch ends the job's run.

    `job` is as it is read for this write: whether this is its last batch is judged by it, and must be true of it when written.
    """
    move = _recorded(batch, rows, now)
    # A row that goes again has not ended; `total` has counted every row since the file was cut.
    counters = replace(move.counters, rows=replace(rows.counts, total=0))
    if rows.retry is not None:
        follow_up = _follow_up(batch, job, rows.retry, rows)
        return replace(
            move,
            counters=replace(counters, batches_total=1, batches_waiting=1),
            # Nothing new is opened for a job that is being canceled.
            guard=Guard(job_state=job.state),
            also=(*rows.losses, Move(None, follow_up)),
        )
    last = job.state in (JobState.running, JobState.held) and job.batches_collected + 1 == job.batches_total
    also = (*rows.losses, finishing(job, now=now)) if last else rows.losses
    return replace(move, counters=counters, guard=Guard(progress=Progress.of(job)), also=also)


class Holder(NamedTuple):
    """A waiting batch, and those of its rows that the pilot has settled."""

    batch: Batch
    rows: tuple[Settled, ...]
    sizes: Sizes
    """What these were expected to take."""


@_batch_edge(BatchState.ended, to=(BatchState.collected,))
def pilot_collected(
    batch: Batch,
    job: Job,
    rows: Collected,
    holders: tuple[Holder, ...],
    *,
    reason: str,
    note: str,
    now: datetime,
) -> Move[Batch]:
    """The rows that were tried are in pieces, and their batches do not send them again. `reason`, `note`: as in
    `pilot_ended`.

    They are counted when their batches are collected. It is the last one only where a version without pilots sent the others.
    """
    ended = pilot_ended(job, rows, reason, now=now, note=note)
    if job.batches_collected + 1 == job.batches_total:
        ended = replace(finishing(ended.after, now=now), before=job)
    strict = job.limits is not None and job.limits.strict
    settled = tuple(pilot_settled(one.batch, one.rows, one.sizes, now=now, strict=strict) for one in holders)
    return replace(_recorded(batch, rows, now), guard=Guard(progress=Progress.of(job)), also=(ended, *settled))


@_batch_edge(BatchState.ended, to=(BatchState.collected,))
def warm_up_collected(batch: Batch, job: Job, rows: Collected, holders: tuple[Holder, ...], *, now: datetime) -> Move[Batch]:
    """Its row is in a piece, and the batch that it lies in does not send it again, as in `pilot_collected`."""
    strict = job.limits is not None and job.limits.strict
    settled = tuple(pilot_settled(one.batch, one.rows, one.sizes, now=now, strict=strict) for one in holders)
    move = replace(_recorded(batch, rows, now), guard=Guard(progress=Progress.of(job)))
    return replace(move, also=(warmed(job, rows, now=now), *settled))


@_batch_edge(BatchState.ready, to=(BatchState.ready, BatchState.ended))
def pilot_settled(batch: Batch, rows: tuple[Settled, ...], sizes: Sizes, *, now: datetime, strict: bool = False) -> Move[Batch]:
    """Only as a part of `pilot_collected` and `warm_up_collected`. Without another request there is nothing to send.

    `sizes`: what its requests are expected to take shrinks by these; `strict`: not at all, since each is only a guess. No two of
    them have the same request, and whatever row of it would have been sent for one of them is a copy of it now.
    """
    requests = batch.requests - len(rows)
    sizes = batch.sizes if strict and requests else rest_of(batch.sizes, sizes)
    settled = tuple(sorted((*batch.settled, *rows), key=lambda row: row.line))
    after = replace(batch, settled=settled, requests=requests, sizes=sizes)
    if requests:
        return Move(batch, after)
    return Move(
        batch,
        replace(after, state=BatchState.ended, waiting=False, ended_at=now, message_sent_at=now),
        counters=Counters(batches_ended=1, batches_waiting=-int(batch.waiting)),
        messages=(_collect(batch),),
    )


def _recorded(batch: Batch, rows: Collected, now: datetime) -> Move[Batch]:
    """What it reserved is settled. Of rows whose results are lost, or which have no price any more, nobody knows the cost: their
    share counts as spent.
    """
    unknown = rows.unaccounted + sum(rows.bill.unpriced.values())
    spent = micro_up(rows.bill.usd) + -(-batch.reserved * unknown // max(1, batch.requests))
    return Move(
        batch,
        replace(
            batch,
            state=BatchState.collected,
            collect_at=None,
            collected_at=now,
            counts=rows.counts,
            usage=rows.usage,
            bill=rows.bill,
            results=rows.results,
            failed=rows.failed,
            retry=rows.retry,
            table=rows.table,
            failed_table=rows.failed_table,
            answer_counts=rows.answer_counts,
            reserved=0,
        ),
        counters=Counters(
            batches_collected=1,
            batches_incomplete=-_incomplete(batch),
            rows_copied=rows.rows_copied,
            used=spent - batch.reserved,
            spent=spent,
        ),
        charges=charges(batch.purses, spent - batch.reserved, spent),
    )


@_batch_edge(BatchState.collected)
def pieces_lost(batch: Batch, *, results: bool, failed: bool, tables: bool = False) -> Move[Batch]:
    """Somebody has deleted the piece of `results.jsonl` or of `failed.jsonl` that holds its rows: now no file has them.

    `tables`: a piece of a table is gone, whose rows are in the other files too. Rows that were lost before are not lost again.
    """
    before = batch.counts or Counts()
    lost = [status for status in RowStatus if (results if status is RowStatus.succeeded else failed)]
    rows = sum(getattr(before, status) for status in lost) - (batch.rows_lost if failed else 0)
    after = replace(before, **dict.fromkeys(lost, 0))
    after = replace(after, missing=after.missing + rows + (batch.rows_lost if failed else 0))
    return Move(
        batch,
        replace(
            batch,
            counts=after,
            rows_lost=batch.rows_lost + rows,
            results=None if results else batch.results,
            failed=None if failed else batch.failed,
            table=None if tables else batch.table,
            failed_table=None if tables else batch.failed_table,
        ),
        counters=Counters(rows=after - before, rows_lost=rows),
    )


@_batch_edge(BatchState.ready, BatchState.ended)
def batch_message_repeated(batch: Batch, *, now: datetime) -> Move[Batch]:
    return Move(
        batch,
        replace(batch, message_sent_at=now, repairs=batch.repairs + 1, errors=0),
        messages=(_submit(batch) if batch.state is BatchState.ready else _collect(batch),),
    )


@_batch_edge(BatchState.ready, BatchState.ended)
def batch_message_returned(batch: Batch, *, now: datetime, errors: int) -> Move[Batch]:
    """Its message is back in its queue, after a handled error or from an invocation that was cut off."""
    return Move(batch, replace(batch, message_sent_at=now, errors=errors))


def _follow_up(batch: Batch, job: Job, retry: Part, rows: Collected) -> Batch:
    source = ObjectRef(bucket=job.input.bucket, key=retry.key, size=retry.size)
    return Batch(
        job_id=batch.job_id,
        first_line=batch.first_line,
        last_line=batch.last_line,
        attempt=batch.attempt + 1,
        state=BatchState.ready,
        span=Span(object=source, start=0, end=retry.size, first_line=batch.first_line, numbered=True),
        requests=retry.lines - rows.retry_copies,
        copies=rows.retry_copies,
        prefixes=(),
        body_bytes=rows.retry_body_bytes,
        waiting=True,
        priority=batch.priority,
        # It keeps its place: rows that failed at Anthropic's side do not queue up again behind later files.
        start_tag=batch.start_tag,
        sizes=rows.retry_sizes,
    )


def _waiting(batch: Batch) -> Batch:
    return replace(
        batch,
        state=BatchState.ready,
        waiting=True,
        admitted_at=None,
        message_sent_at=None,
        intent_at=None,
        lease_until=None,
        key="",
        first_look_at=None,
        no_trace_at=(),
        reserved=0,
        purses=(),
        turn="",
        turn_cost=0,
    )


def _given_back(batch: Batch) -> tuple[Charge, ...]:
    """All that it has reserved, and the turn that its team has had for nothing."""
    return (*charges(batch.purses, -batch.reserved), *turn_given_back(batch))


def _incomplete(batch: Batch) -> int:
    """What an ended batch adds to its job's count of batches that wait for answers."""
    return int(batch.incomplete_since is not None)


def _submit(batch: Batch) -> Message:
    return SubmitBatch(job_id=batch.job_id, batch=batch.name)


def _collect(batch: Batch) -> Message:
    return CollectBatch(job_id=batch.job_id, batch=batch.name)


# ---------------------------------------------------------------- the admission record

# Bounds the record. Probes take turns among so many jobs.
_REFUSED_JOBS_KEPT = 20


@_admission_edge
def throttled(admission: Admission, *, until: datetime) -> Move[Admission]:
    """The API asked to slow down: nothing is sent before that time."""
    return Move(admission, replace(admission, throttled_until=until, throttles=admission.throttles + 1))


@_admission_edge
def suspected(admission: Admission, job_id: str) -> Move[Admission]:
    """A batch of this job was refused: perhaps every batch will be. A second job will tell."""
    return Move(admission, replace(admission, refused_jobs=_with_latest(admission.refused_jobs, job_id)))


@_admission_edge
def blocked(admission: Admission, sentence: str, job_id: str, *, now: datetime, probe_at: datetime) -> Move[Admission]:
    """No batch will be accepted until somebody acts."""
    refused_jobs = _with_latest(admission.refused_jobs, job_id)
    return Move(admission, replace(admission, blocked=sentence, blocked_at=now, probe_at=probe_at, refused_jobs=refused_jobs))


@_admission_edge
def probed(admission: Admission, job_id: str, *, next_at: datetime) -> Move[Admission]:
    """While blocked, one batch of this job was let through to see whether it works again.

    The next one is another job's, whatever became of this one: its file may be gone, so that nothing was sent.
    """
    return Move(admission, replace(admission, probe_at=next_at, refused_jobs=_with_latest(admission.refused_jobs, job_id)))


@_admission_edge
def cleared(admission: Admission) -> Move[Admission]:
    """A batch was accepted: nothing stands in the way any more."""
    unblocked = replace(admission, blocked="", blocked_at=None, probe_at=None, refused_jobs=())
    return Move(admission, replace(unblocked, throttles=0, throttled_until=None))


# Keys are replaced rarely, and what was posted under one is settled within a month.
_PROOFS = 8


@_admission_edge
def proven(admission: Admission, proof: Proof) -> Move[Admission]:
    """A batch was accepted under a key. It takes the place of an earlier one."""
    others = tuple(one for one in admission.proofs if one.key != proof.key)
    return Move(admission, replace(admission, proofs=(*others, proof)[-_PROOFS:]))


@_admission_edge
def advanced(admission: Admission, virtual_time: int) -> Move[Admission]:
    """The teams that wait have come further."""
    return Move(admission, replace(admission, virtual_time=virtual_time))


@_admission_edge
def noticed(admission: Admission, notice: str) -> Move[Admission]:
    """What waiting jobs tell about why they wait."""
    return Move(admission, replace(admission, notice=notice))


def _with_latest(jobs: tuple[str, ...], job_id: str) -> tuple[str, ...]:
    others = [other for other in jobs if other != job_id]
    return (*others[1 - _REFUSED_JOBS_KEPT :], job_id)


# ---------------------------------------------------------------- recipes that arrive


def recipe_arrived(arrivals: Arrivals) -> Move[Arrivals]:
    """In its team: whoever looked for one before is to look again."""
    return Move(arrivals, replace(arrivals, count=arrivals.count + 1), edge="recipe_arrived")


# ---------------------------------------------------------------- what was approved for the files of a folder


def agreed(group: Group, approval: Approval, *, covers: tuple[str, ...], limit: int, until: datetime) -> Move[Group]:
    """Somebody has said yes. `covers`, `limit`, `until`: as in Group. A yes to one job leaves in force what covers several."""
    after = replace(group, approval=approval, limit=limit, until=until)
    if covers:
        after = replace(after, covers=covers, covered_by=approval)
    return Move(group, after, edge="agreed")


def taught(group: Group, more: Taught) -> Move[Group]:
    """Only as a part of `finished`: one of its files has ended."""
    return Move(group, replace(group, taught=group.taught + more), edge="taught")
