"""One run: files, and what happens to them. Printed, a trial is the Python that plays it again."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from datetime import timedelta
from typing import Literal, NamedTuple

from batchdrop.domain.errors import BatchdropError
from batchdrop.domain.messages import Message, Queue, Upload
from batchdrop.domain.records import Job
from batchdrop.domain.redelivery import MAX_RECEIVES
from batchdrop.domain.retries import RESULTS_KEPT
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.fakes.objects import FakeObjects
from tests.faults.api import SlowApi
from tests.faults.ledger import LateLedger
from tests.faults.promises import Allowed, all_ended, api_of, indexes_agree, is_table, paid_once, rows_kept, waits_kept
from tests.faults.tables import TEAM, Recipe, table_of, words_for
from tests.faults.threads import Asides
from tests.money import purses_kept
from tests.stack import BUCKET, Killed, Stack, row

GRACE = timedelta(minutes=15)
# How the world is harmed is over by then, unless a happening takes longer.
_PLAYED = 60
# Once the world is healthy: every message that was lost is sent again within 6 hours, for each of four stages and three attempts.
_PATIENCE = timedelta(hours=6 * 4 * 3)
# So long a batch waits for answers that the API has counted and does not give.
_LOST_ANSWERS = timedelta(days=7)
# So long a table waits for a recipe.
_HELD = timedelta(days=7)
# Minutes of a run, and those between two ticks until then.
_STEPS = ((30, 1), (180, 5), (24 * 60, 60))
# Between two ticks, in the end: what nobody watches for need not be watched every minute.
_LONGEST_PAUSE = 6 * 3600.0


@dataclass(frozen=True)
class Shown:
    """A record that shows only what differs from the usual, as Python."""

    def __repr__(self) -> str:
        given = [
            repr(getattr(self, field.name)) if field.default is MISSING else f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.default is MISSING or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(frozen=True, repr=False)
class File(Shown):
    """`fates`: a word for each line, of `api.FATES`, or `garbage`, `twice` (a custom id that was there) or `blank`.

    `kind`: lines with requests, a table with its recipe, or a table that waits until a happening brings one. `same`: of requests,
    every other one is the one before it once more, and both are to be sent once.
    """

    fates: tuple[str, ...]
    at: int = 0
    """The minute in which it is dropped."""
    priority: str = "normal"
    packed: bool = False
    kind: Literal["requests", "table", "table that waits"] = "requests"
    same: bool = False

    def key(self, name: str) -> str:
        """Of a table: in a folder of its own, below that of its team."""
        return f"inbox/{name}.jsonl" if self.kind == "requests" else f"{TEAM}{name}/{name}.csv{'.gz' * self.packed}"

    def body(self, name: str) -> bytes:
        lines = [self._line(name, number, fate) for number, fate in enumerate(self.fates, start=1)]
        body = b"\n".join(lines) + b"\n" if self.kind == "requests" else table_of(name, self.fates)
        return gzip.compress(body, mtime=0) if self.packed else body

    def _line(self, name: str, number: int, fate: str) -> bytes:
        match fate:
            case "garbage":
                return b"not json"
            case "blank":
                return b""
            case "twice":
                return row("the same", f"{name} {number} ok")
            case _:
                place = number
                if self.same and number % 2 == 0 and self.fates[number - 2] not in ("garbage", "blank", "twice"):
                    place, fate = number - 1, self.fates[number - 2]
                return row(None if number % 3 == 0 else f"{name} row {number}", f"{name} {place} {fate}")


@dataclass(frozen=True, repr=False)
class Happening(Shown, ABC):
    """Something that happens to a stack. What it does not override does not concern it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is counted as."""

    def span(self) -> tuple[int, int]:
        """The minutes in which it begins and is over."""
        return 0, 0

    def leaves_a_doubt(self) -> bool:
        """Whether a create may have no definite answer."""
        return False

    def patience(self) -> timedelta:
        """How much longer a job may take because of it, once the world is healthy again."""
        return timedelta()

    def allows(self) -> Allowed:
        return Allowed()

    def begin(self, play: Play) -> None: ...

    def minute(self, play: Play) -> None:
        """Before every step."""

    def before(self, play: Play, call: str) -> None: ...

    def after(self, play: Play, call: str) -> None: ...

    def heal(self, play: Play) -> None: ...


@dataclass(frozen=True, repr=False)
class Trial(Shown):
    files: tuple[File, ...]
    happenings: tuple[Happening, ...] = ()
    max_requests: int = 3
    queue_limit: int = 1000
    batch_seconds: int = 60
    """Until a batch has ended at the API."""
    seed: int = 0


class Play:
    """A trial under way: the stack, and what of the trial has come true."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.fired: Counter[str] = Counter()
        self.happened: set[Happening] = set()
        self.calls = 0
        self.uploads: list[Upload] = []
        self.recipes: list[Recipe] = []
        """In the order of their arrival."""
        self.recipes_seen: dict[str, int] = {}
        """How many of them there were when a table was dropped, by its key."""
        self.dropped = 0
        """Files of the trial so far."""
        self.messages: list[tuple[Queue, Message]] = []
        """Everything that was ever sent: a queue may deliver it again."""
        self.asides = Asides()
        self.marks: set[Happening] = set()
        """Those that have done one of their two parts."""
        self.armed: Happening | None = None
        """What has still to happen after the call that is under way."""
        self.creates = -1
        """The number of the last create."""
        self.unproven = False
        """The key was replaced before anything showed which workspace the old one belongs to."""
        self.deletions: list[tuple[str, int]] = []
        """Batches that somebody will delete, so many minutes after their end."""
        self._dead: set[int] = set()
        self.busy = False
        self.stack = Stack(
            max_requests=trial.max_requests,
            queue_limit=trial.queue_limit,
            grace=int(GRACE.total_seconds()),
            parts=lambda clock, hooks: (FakeObjects(clock, hooks, bucket=BUCKET), LateLedger(clock, hooks, trial.seed)),
            api=lambda clock, hooks: SlowApi(clock, hooks, seed=trial.seed, seconds=trial.batch_seconds),
        )
        self.stack.max_receives = MAX_RECEIVES
        self.stack.hooks.before = self._before
        self.stack.hooks.after = self._after
        self.stack.ended = self.asides.go_on_after

    @property
    def api(self) -> SlowApi:
        return api_of(self.stack)

    @property
    def ledger(self) -> LateLedger:
        assert isinstance(self.stack.ledger, LateLedger)
        return self.stack.ledger

    @property
    def minutes(self) -> float:
        """Since the beginning."""
        return (self.stack.clock.now() - self._began).total_seconds() / 60

    @property
    def posted_requests(self) -> int:
        """Requests of the batch that was last about to be created."""
        posted = [(batch.intent_at, batch.requests) for batch in self.ledger.stored.values() if batch.intent_at is not None]
        return max(posted)[1]

    # ---------------------------------------------------------------- what happenings do

    def fire(self, happening: Happening) -> None:
        """It has come true."""
        self.fired[happening.name] += 1
        self.happened.add(happening)

    def once(self, happening: Happening) -> bool:
        """Whether this is its first time."""
        if happening in self.happened:
            return False
        self.fire(happening)
        return True

    def marked(self, happening: Happening) -> bool:
        """Whether this is the first time that it is marked."""
        first = happening not in self.marks
        self.marks.add(happening)
        return first

    def aside(self, act: Callable[[], None]) -> None:
        """Somebody else's doing in the middle of a call: it is not interrupted in turn."""
        if self.busy:
            return
        self.busy = True
        try:
            act()
        finally:
            self.busy = False

    @property
    def tables_wait(self) -> bool:
        """Whether it is a trial with tables that have no recipe of their own."""
        return any(file.kind == "table that waits" for file in self.trial.files)

    def bring(self, recipe: Recipe) -> Upload:
        """Somebody puts it into the inbox; its event has still to be delivered."""
        self.recipes.append(recipe)
        return self.stack.drop(recipe.key, recipe.body(), deliver=False)

    def delivery(self, stage: str) -> Callable[[], None] | None:
        """Something for that stage to do: what waits for it, else what it was told last. None if it was never told anything."""
        stack = self.stack
        match stage:
            case "again":
                invocation = stack.invocation
                return (lambda: stack.repeat(invocation)) if invocation else None
            case "poll":
                return stack.tick
            case "control":
                jobs = stack.jobs()
                return (lambda: stack.command("cancel", jobs[-1].id)) if jobs else None
            case "plan" if self.uploads:
                return lambda: stack.deliver(self.uploads[-1])
            case _:
                told = [message for queue, message in self.messages if queue == stage]
                waiting = stack.queues.take(Queue(stage))
                if waiting is not None:
                    return lambda: stack.receive(Queue(stage), waiting.message, waiting.receives + 1)
                return (lambda: stack.receive(Queue(stage), told[-1])) if told else None

    # ---------------------------------------------------------------- the run

    def run(self) -> None:
        self._began = self.stack.clock.now()
        for happening in self.trial.happenings:
            happening.begin(self)
        over = max((happening.span()[1] for happening in self.trial.happenings), default=0)
        while self.minutes < over or not (self.minutes >= _PLAYED or self._is_over()):
            self._minute(self._next_step())
        self._heal()
        until = self.stack.clock.now() + sum((one.patience() for one in self.trial.happenings), self._patience())
        pause = 60.0
        while self.stack.clock.now() < until and not self._is_over():
            self._minute(pause)
            pause = min(pause * 1.25, _LONGEST_PAUSE)
        self.stack.hooks.clear()

    def _patience(self) -> timedelta:
        """How long all jobs may take in a healthy world: messages sent again, and what the room at the API makes wait."""
        requests = 3 * sum(len(file.fates) for file in self.trial.files)
        lost = _LOST_ANSWERS if any("lost" in file.fates for file in self.trial.files) else timedelta()
        told_by_nothing = RESULTS_KEPT if self._is_told_by_nothing() else timedelta()
        return (
            _PATIENCE
            + lost
            + told_by_nothing
            + (_HELD if self._waits_in_vain() else timedelta())
            + requests / self.trial.queue_limit * timedelta(seconds=self.trial.batch_seconds + _LONGEST_PAUSE)
        )

    def _waits_in_vain(self) -> bool:
        """Whether a table has no recipe in the end. One that has is woken by its event or by a tick, not after seven days."""
        return any(words_for(key, self.recipes, seen)[-1] is None for key, seen in self.recipes_seen.items())

    def _is_told_by_nothing(self) -> bool:
        """Whether a batch may stay in doubt until its results would be deleted: no look counts, or no result tells whose."""
        doubts = sum(one.leaves_a_doubt() for one in self.happened)
        nameless = any(fate in ("lost", "silent") for file in self.trial.files for fate in file.fates)
        return self.unproven or (nameless and doubts > 1)

    def _minute(self, seconds: float) -> None:
        for number, file in enumerate(self.trial.files):
            if number == self.dropped and self.minutes >= file.at:
                self.dropped += 1
                self._drop(file, f"file{number}")
        for happening in self.trial.happenings:
            happening.minute(self)
        self._delete()
        self.stack.step(seconds)
        self._deliver_retries()

    def _drop(self, file: File, name: str) -> None:
        if file.kind == "table":
            self.stack.deliver(self.bring(Recipe(f"{TEAM}{name}/recipe.yaml")))
        key = file.key(name)
        self.recipes_seen[key] = len(self.recipes)
        metadata = {"batchdrop-priority": file.priority} | ({"batchdrop-dedupe": "true"} if file.same else {})
        self.uploads.append(self.stack.drop(key, file.body(name), metadata, deliver=False))
        self.stack.deliver(self.uploads[-1])

    def _next_step(self) -> float:
        """A minute at first, later more, but never past the beginning or the end of anything."""
        moments = [moment for happening in self.trial.happenings for moment in happening.span()]
        moments += [file.at for file in self.trial.files]
        left = min((moment - self.minutes for moment in moments if moment > self.minutes), default=60.0)
        usual = next((step for until, step in _STEPS if self.minutes < until), _LONGEST_PAUSE / 60)
        return max(min(left, usual), 0.1) * 60

    def _delete(self) -> None:
        now = self.stack.clock.now()
        for api_id, minutes in list(self.deletions):
            if now >= self.api.traces[api_id].held.ends_at + timedelta(minutes=minutes):
                self.api.lose(api_id)
                self.deletions.remove((api_id, minutes))

    def _deliver_retries(self) -> None:
        """What a command drops into the inbox is an upload like any other."""
        known = {upload.key for upload in self.uploads} | {recipe.key for recipe in self.recipes}
        for key in self.stack.objects.keys("inbox/"):
            if key not in known:
                ref = self.stack.objects.head(key).ref
                now = self.stack.clock.now()
                self.uploads.append(Upload(key=key, version_id=ref.version_id, etag=ref.etag, size=ref.size, at=now))
                self.stack.deliver(self.uploads[-1])

    def _is_over(self) -> bool:
        stack = self.stack
        return (
            self.dropped == len(self.trial.files)
            and not (stack.queues.waiting or stack.commands)
            and all(job.state in TERMINAL_JOB_STATES for job in stack.ledger.jobs.values())
            and not stack.ledger.marks
            and len(stack.ledger.jobs) >= len(self.uploads)
        )

    def _heal(self) -> None:
        for happening in self.trial.happenings:
            happening.heal(self)
        self.asides.finish()
        self.stack.redrive()
        self.stack.hooks.before = self._before_healthy
        self.stack.hooks.after = lambda call: None

    # ---------------------------------------------------------------- every call that leaves a process

    def _before(self, call: str) -> None:
        self._before_healthy(call)
        self.asides.pause()
        self.calls += 1
        if call == "claude.create":
            self.creates += 1
        self._act(lambda happening: happening.before(self, call))

    def _after(self, call: str) -> None:
        if call == "queues.send":
            sent = self.stack.queues.waiting[-1]
            if not isinstance(sent.message, Upload):
                self.messages.append((sent.queue, sent.message))
        self._act(lambda happening: happening.after(self, call))

    def _before_healthy(self, call: str) -> None:
        """A process that was killed does nothing any more, nor does one whose time is over."""
        invocation = self.stack.invocation
        if invocation is None:
            return
        invocation.calls += 1
        late = (self.stack.clock.now() - invocation.began).total_seconds() > self.stack.timeout
        if late or invocation.number in self._dead:
            self._dead.add(invocation.number)
            raise Killed

    def _act(self, tell: Callable[[Happening], None]) -> None:
        if self.stack.invocation is None:
            return
        number = self.stack.invocation.number
        try:
            for happening in self.trial.happenings:
                tell(happening)
        except Killed:
            self._dead.add(number)
            raise

    # ---------------------------------------------------------------- what came of it

    def broken(self) -> Iterator[str]:
        """The promises that this run broke."""
        stack = self.stack
        yield from all_ended(stack)
        yield from indexes_agree(stack)
        yield from paid_once(stack, GRACE)
        yield from purses_kept(stack.ledger)
        allowed = self._allowed()
        for job in stack.jobs():
            if job.state in TERMINAL_JOB_STATES:
                yield from self._of_job(job, allowed)
        for who, error in stack.failures:
            if not isinstance(error, (BatchdropError, Killed)):
                yield f"{who} failed with {error!r}"

    def _of_job(self, job: Job, allowed: Allowed) -> Iterator[str]:
        key = job.input.key
        words = words_for(key, self.recipes, self.recipes_seen.get(key, 0)) if is_table(job) else ()
        if words:
            yield from waits_kept(self.stack, job, words, allowed)
        yield from rows_kept(self.stack, job, allowed, frozenset(word for word in words if word))

    def _allowed(self) -> Allowed:
        leave = [happening.allows() for happening in self.happened]
        return Allowed(
            statuses=frozenset[str](["missing"] if self._is_told_by_nothing() else []).union(*(one.statuses for one in leave)),
            steps=any(one.steps for one in leave),
            withheld=any(one.withheld for one in leave),
            unnamed=any(one.unnamed for one in leave),
            unread=any(one.unread for one in leave),
        )


class Result(NamedTuple):
    trial: Trial
    """With those happenings that came true: none of them, and it is no run."""
    fired: frozenset[str]
    """Their names."""
    broken: list[str]


def played(trial: Trial) -> Result:
    play = Play(trial)
    play.run()
    came_true = tuple(happening for happening in trial.happenings if happening in play.happened)
    return Result(replace(trial, happenings=came_true), frozenset(play.fired), list(play.broken()))
