"""Everything that can happen to a stack, as data: faults, delays, outages, refusals, other people, second deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from batchdrop.domain.errors import Ambiguous, Refused, Throttled, Unavailable
from batchdrop.domain.messages import Upload
from batchdrop.domain.records import JobState
from batchdrop.domain.retries import RESULTS_KEPT
from tests.faults.api import batch_of
from tests.faults.faults import Act, Fault, faults_of
from tests.faults.promises import Allowed, is_table
from tests.faults.tables import CHANGED, TEAM, USUAL, Recipe
from tests.faults.trial import Happening, Play

# ---------------------------------------------------------------- one call


@dataclass(frozen=True, repr=False)
class Harm(Happening):
    """A fault of the matrix at the first call from the `call`-th on at which it can happen."""

    fault: str
    call: int

    @property
    def name(self) -> str:
        return f"fault: {self.fault}"

    def before(self, play: Play, call: str) -> None:
        if play.calls > self.call and self not in play.happened and (fault := self._of(call)):
            play.fire(self)
            if fault.before:
                self._act(play, fault.before)
            else:
                play.armed = self

    def leaves_a_doubt(self) -> bool:
        return True

    def after(self, play: Play, call: str) -> None:
        if play.armed == self and (fault := self._of(call)):
            play.armed = None
            if fault.after:
                if call == "claude.create":
                    play.api.last_of_ours.unanswered = True
                self._act(play, fault.after)

    def allows(self) -> Allowed:
        # A row alone that is refused as malformed ends there.
        return Allowed(frozenset({"errored"}) if self.fault in ("400", "413") else frozenset())

    def _of(self, call: str) -> Fault | None:
        return next((fault for fault in faults_of(call) if fault.name == self.fault), None)

    def _act(self, play: Play, act: Act) -> None:
        play.aside(lambda: act(play.stack))


@dataclass(frozen=True, repr=False)
class Unanswered(Happening):
    """The `create`-th POST has no definite answer. `seconds`: how long after it the batch appears; None: never."""

    create: int
    seconds: int | None = 0

    @property
    def name(self) -> str:
        return (
            "create lost" if self.seconds is None else "create accepted late" if self.seconds else "create accepted, unanswered"
        )

    def leaves_a_doubt(self) -> bool:
        return True

    def before(self, play: Play, call: str) -> None:
        if call != "claude.create":
            return
        if play.creates == self.create and play.once(self):
            if self.seconds is None:
                raise Ambiguous("connection lost", kind="ReadError")
            play.api.create_late = float(self.seconds)
            play.armed = self

    def after(self, play: Play, call: str) -> None:
        if call == "claude.create" and play.armed == self:
            play.armed = None
            play.api.last_of_ours.unanswered = True
            raise Ambiguous("500", status=500)


@dataclass(frozen=True, repr=False)
class Lost(Happening):
    """The `number`-th message ends among the dead letters."""

    number: int

    @property
    def name(self) -> str:
        return "message lost"

    def after(self, play: Play, call: str) -> None:
        if call == "queues.send" and len(play.messages) > self.number and play.once(self):
            play.stack.queues.waiting.pop()


# ---------------------------------------------------------------- some time

OUTAGES: dict[str, Exception] = {
    "claude.create": Ambiguous("no answer", status=504),
    "claude.page": Unavailable("no answer", status=503),
    "claude.retrieve": Unavailable("no answer", status=503),
    "claude._results": Unavailable("no answer", status=503),
    "claude.cancel": Unavailable("no answer", status=503),
    "objects.": Throttled("slow down"),
    "ledger.": Throttled("busy"),
    "queues.": Throttled("busy"),
    "switch.": Throttled("busy"),
}


@dataclass(frozen=True, repr=False)
class Outage(Happening):
    """Calls of that name have no answer. The list may be as old as the outage for `stale` minutes more."""

    endpoint: str
    at: int
    minutes: int
    stale: int = 0

    @property
    def name(self) -> str:
        return f"outage: {self.endpoint.rstrip('.')}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + self.minutes

    def begin(self, play: Play) -> None:
        if self.endpoint == "claude.page":
            start = play.stack.clock.now() + timedelta(minutes=self.at)
            play.api.frozen.append((start, start + timedelta(minutes=self.minutes + self.stale)))

    def before(self, play: Play, call: str) -> None:
        if call.startswith(self.endpoint) and self.at <= play.minutes < self.at + self.minutes:
            play.fire(self)
            raise OUTAGES[self.endpoint].with_traceback(None)


def _no(status: int, kind: str, text: str = "no", code: str = "", retry_after: float | None = None) -> Refused:
    return Refused(text, status=status, kind=kind, code=code, retry_after=retry_after)


REFUSALS = {
    "no credit": _no(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    "own limit": _no(
        400, "invalid_request_error", "You have reached your specified API usage limits. You will regain access soon."
    ),
    "on hold": _no(400, "invalid_request_error", "This organization is on hold.", "organization_on_hold"),
    "spend limit": _no(429, "rate_limit_error", code="enforced_spend_limit_reached"),
    "contract": _no(429, "rate_limit_error", code="contract_spend_limit_reached"),
    "ramp": _no(429, "rate_limit_error", code="ramp_limit_exceeded", retry_after=600),
    "rate limit": _no(429, "rate_limit_error", retry_after=30),
    "key": _no(401, "authentication_error"),
    "billing": _no(402, "billing_error"),
    "permission": _no(403, "permission_error"),
    "not found": _no(404, "not_found_error"),
    "overloaded": _no(529, "overloaded_error"),
}


@dataclass(frozen=True, repr=False)
class Refusal(Happening):
    """Every create is refused, whatever is in it."""

    kind: str
    at: int
    minutes: int

    @property
    def name(self) -> str:
        return f"refused: {self.kind}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + self.minutes

    def before(self, play: Play, call: str) -> None:
        if call == "claude.create" and self.at <= play.minutes < self.at + self.minutes:
            play.fire(self)
            raise REFUSALS[self.kind].with_traceback(None)


@dataclass(frozen=True, repr=False)
class Switched(Happening):
    to: Literal["pause", "stop"]
    at: int
    minutes: int

    @property
    def name(self) -> str:
        return f"switch: {self.to}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + self.minutes

    def minute(self, play: Play) -> None:
        if self.at <= play.minutes < self.at + self.minutes:
            play.stack.switch.text = self.to
            play.once(self)
        elif self in play.happened:
            play.stack.switch.text = "run"

    def heal(self, play: Play) -> None:
        play.stack.switch.text = "run"

    def allows(self) -> Allowed:
        return Allowed(frozenset({"canceled"}), steps=True) if self.to == "stop" else Allowed()


# ---------------------------------------------------------------- all the time


@dataclass(frozen=True, repr=False)
class Late(Happening):
    """What the API shows is right only some time after it is true: at most `seconds`, each batch by a time of its own."""

    what: Literal["list", "status", "counts", "results"]
    seconds: int
    short: bool = False

    @property
    def name(self) -> str:
        return f"late: {self.what}{', short' if self.short else ''}"

    def begin(self, play: Play) -> None:
        play.api.late[self.what] = float(self.seconds)
        play.api.short |= self.short

    def after(self, play: Play, call: str) -> None:
        if self not in play.happened and play.api.seen_late[self.what]:
            play.fire(self)

    def heal(self, play: Play) -> None:
        play.api.late.pop(self.what, None)

    def patience(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def allows(self) -> Allowed:
        return Allowed(withheld=self.short)


@dataclass(frozen=True, repr=False)
class LateIndex(Happening):
    seconds: int

    @property
    def name(self) -> str:
        return "late: index"

    def begin(self, play: Play) -> None:
        play.ledger.late = float(self.seconds)

    def after(self, play: Play, call: str) -> None:
        if self not in play.happened and play.ledger.fired["late"]:
            play.fire(self)

    def heal(self, play: Play) -> None:
        play.ledger.late = 0.0


@dataclass(frozen=True, repr=False)
class Conflicts(Happening):
    percent: int

    @property
    def name(self) -> str:
        return "transaction conflicts"

    def begin(self, play: Play) -> None:
        play.ledger.conflicts = self.percent / 100

    def before(self, play: Play, call: str) -> None:
        if self not in play.happened and play.ledger.fired["conflicts"]:
            play.fire(self)

    def heal(self, play: Play) -> None:
        play.ledger.conflicts = 0.0


# ---------------------------------------------------------------- other people


@dataclass(frozen=True, repr=False)
class Stranger(Happening):
    """Somebody creates a batch of the same size right before or after our `create`-th one.

    `forges`: with the custom ids that would follow those in any batch of ours that has ended. `deletes`: and deletes it so many
    minutes after its end.
    """

    create: int
    first: bool = False
    forges: bool = False
    deletes: int | None = None

    @property
    def name(self) -> str:
        deeds = ["forges ids"] * self.forges + ["deletes its batch"] * (self.deletes is not None)
        return " ".join(["a stranger", " and ".join(deeds)]).strip()

    def before(self, play: Play, call: str) -> None:
        if call == "claude.create" and self.first and play.creates == self.create:
            self._create(play)

    def after(self, play: Play, call: str) -> None:
        if call == "claude.create" and not self.first and play.creates == self.create:
            self._create(play)

    def _create(self, play: Play) -> None:
        requests = play.posted_requests
        ids = self._forged(play, requests) if self.forges else [f"theirs-{number}" for number in range(requests)]
        if ids and play.once(self):
            theirs = play.api.inject(batch_of(ids))
            if self.deletes is not None:
                play.deletions.append((theirs.id, self.deletes))

    def _forged(self, play: Play, requests: int) -> list[str]:
        """What a reader of our ended batches can know: the ids go on from line to line."""
        now = play.stack.clock.now()
        seen = [trace for trace in play.api.traces.values() if trace.ours and trace.held.ends_at <= now]
        known = [one["custom_id"].rpartition("-") for trace in seen for one in trace.held.requests]
        if not known:
            return []
        prefix, last = known[-1][0], max(int(line) for _, _, line in known)
        return [f"{prefix}-{last + number}" for number in range(1, requests + 1)]


@dataclass(frozen=True, repr=False)
class Deletion(Happening):
    """Somebody deletes our `create`-th batch so many minutes after its end."""

    create: int
    minutes: int

    @property
    def name(self) -> str:
        return "our batch is deleted"

    def after(self, play: Play, call: str) -> None:
        if call == "claude.create" and play.creates == self.create and play.once(self):
            play.deletions.append((play.api.last_of_ours.held.id, self.minutes))

    def patience(self) -> timedelta:
        return RESULTS_KEPT

    def allows(self) -> Allowed:
        return Allowed(frozenset({"missing"}))


@dataclass(frozen=True, repr=False)
class NewKey(Happening):
    """The key in the secret is replaced; `elsewhere`: by one of another workspace; `revoked`: the old one is refused at once."""

    at: int
    elsewhere: bool = False
    revoked: bool = True

    @property
    def name(self) -> str:
        return f"new key{' of another workspace' if self.elsewhere else ''}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + 1

    def minute(self, play: Play) -> None:
        if play.minutes >= self.at and play.once(self):
            old, new = play.api.secret, f"key of minute {self.at}"
            play.api.secret = new
            play.unproven = not play.ledger.admission.proofs
            if self.elsewhere:
                play.api.workspaces[new] = f"workspace of minute {self.at}"
            if self.revoked:
                play.api.revoked.add(old)

    def patience(self) -> timedelta:
        # What lies in the other workspace can be neither read nor ruled out, until it is gone.
        return RESULTS_KEPT if self.elsewhere else timedelta()

    def allows(self) -> Allowed:
        return Allowed(frozenset({"missing"})) if self.elsewhere else Allowed()


@dataclass(frozen=True, repr=False)
class Shut(Happening):
    """S3 answers 403 to reads of the first file: to one stage or to all, and for ever if `minutes` is None."""

    reader: Literal["plan", "submit", "collect", "all"]
    at: int
    minutes: int | None = None

    @property
    def name(self) -> str:
        return f"input shut to {self.reader}{' for ever' if self.minutes is None else ''}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + (self.minutes or 0) + 1

    def begin(self, play: Play) -> None:
        play.stack.objects.forbid(play.trial.files[0].key("file0"), when=lambda: self._is_shut(play))

    def _is_shut(self, play: Play) -> bool:
        stage = play.stack.at_work
        for_it = stage == self.reader or (self.reader == "all" and stage != "")
        if not for_it or play.minutes < self.at or (self.minutes is not None and play.minutes >= self.at + self.minutes):
            return False
        play.fire(self)
        return True

    def allows(self) -> Allowed:
        # Rows that cannot be read cannot be sent; those of a job that is rejected half-way end as canceled.
        return Allowed(frozenset({"canceled", "errored", "missing", "invalid"}), steps=True, unnamed=True)


# ---------------------------------------------------------------- recipes


@dataclass(frozen=True, repr=False)
class RecipeArrives(Happening):
    """In some minute a recipe comes for all tables of the team that wait, or another version of it."""

    at: int
    word: str = USUAL

    @property
    def name(self) -> str:
        return "a recipe arrives late" if self.word == USUAL else "a recipe changes"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + 1

    def minute(self, play: Play) -> None:
        there = self.word == USUAL or any(recipe.key == _TEAMS for recipe in play.recipes)
        if play.minutes >= self.at and play.tables_wait and there and play.once(self):
            play.stack.deliver(play.bring(Recipe(_TEAMS, self.word)))


@dataclass(frozen=True, repr=False)
class FaultyRecipe(Happening):
    """A recipe that cannot be used; `corrected`: so many minutes later another version can. None: never."""

    at: int
    corrected: int | None = None

    @property
    def name(self) -> str:
        return "a faulty recipe" + ("" if self.corrected is None else " is corrected")

    def span(self) -> tuple[int, int]:
        return self.at, self.at + (self.corrected or 0) + 1

    def minute(self, play: Play) -> None:
        if play.minutes >= self.at and play.tables_wait and play.once(self):
            play.stack.deliver(play.bring(Recipe(_TEAMS, None)))
        due = self.corrected is not None and self in play.happened and play.minutes >= self.at + self.corrected
        if due and play.marked(self):
            play.stack.deliver(play.bring(Recipe(_TEAMS)))


@dataclass(frozen=True, repr=False)
class RecipeAmidPlan(Happening):
    """A recipe arrives before the `call`-th call of an invocation that plans a table."""

    call: int
    faulty: bool = False

    @property
    def name(self) -> str:
        return f"a {'faulty ' * self.faulty}recipe arrives amid plan"

    def before(self, play: Play, call: str) -> None:
        invocation = play.stack.invocation
        if not (invocation and invocation.stage == "plan" and invocation.calls > self.call) or play.busy:
            return
        planned = any(job.state is JobState.planning and is_table(job) for job in play.stack.ledger.jobs.values())
        if planned and play.tables_wait and play.once(self):
            recipe = Recipe(_TEAMS, None if self.faulty else USUAL)
            play.aside(lambda: play.stack.deliver(play.bring(recipe)))


@dataclass(frozen=True, repr=False)
class TwoRecipes(Happening):
    """While one is being dealt with, before its `call`-th call, another one arrives, in a folder below."""

    at: int
    call: int

    @property
    def name(self) -> str:
        return "two recipes at once"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + 1

    def minute(self, play: Play) -> None:
        if play.minutes >= self.at and play.tables_wait and self not in play.happened:
            play.happened.add(self)
            play.stack.deliver(play.bring(Recipe(_TEAMS)))

    def before(self, play: Play, call: str) -> None:
        invocation = play.stack.invocation
        if self not in play.happened or play.busy or not invocation:
            return
        if invocation.stage == "plan" and invocation.calls > self.call and play.marked(self):
            play.fire(self)
            below = Recipe(f"{TEAM}file0/recipe.yaml", CHANGED)
            play.aside(lambda: play.stack.deliver(play.bring(below)))


@dataclass(frozen=True, repr=False)
class WokenTwice(Happening):
    """Just before a job is woken, somebody else does so: a tick, or the event of the same recipe once more."""

    by: Literal["a tick", "the event"]

    @property
    def name(self) -> str:
        return f"woken twice, by {self.by}"

    def before(self, play: Play, call: str) -> None:
        if call == "ledger.commit.woken" and play.recipes and not play.busy and play.once(self):
            play.aside(play.stack.tick if self.by == "a tick" else lambda: self._again(play))

    def _again(self, play: Play) -> None:
        ref = play.stack.objects.head(play.recipes[-1].key).ref
        at = play.stack.clock.now()
        play.stack.deliver(Upload(key=ref.key, version_id=ref.version_id, etag=ref.etag, size=ref.size, at=at))


@dataclass(frozen=True, repr=False)
class NoRecipe(Happening):
    """None comes for a table in its seven days."""

    @property
    def name(self) -> str:
        return "no recipe comes"

    def minute(self, play: Play) -> None:
        if play.minutes > _DAYS_OF_WAITING and any(job.state is JobState.held for job in play.stack.ledger.jobs.values()):
            play.once(self)


_TEAMS = f"{TEAM}recipe.yaml"
# After six of its seven.
_DAYS_OF_WAITING = 6 * 24 * 60


# ---------------------------------------------------------------- users, and everything that is delivered twice


@dataclass(frozen=True, repr=False)
class Command(Happening):
    command: Literal["cancel", "retry", "approve"]
    at: int
    job: int = 0

    @property
    def name(self) -> str:
        return f"command: {self.command}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + 1

    def minute(self, play: Play) -> None:
        jobs = play.stack.jobs()
        if play.minutes >= self.at and jobs and play.once(self):
            play.stack.command(self.command, jobs[self.job % len(jobs)].id)

    def allows(self) -> Allowed:
        return _CANCELED if self.command == "cancel" else _RETRIED if self.command == "retry" else Allowed()


_CANCELED = Allowed(frozenset({"canceled"}), steps=True, unread=True)
# A row that is dropped again goes on in its fate.
_RETRIED = Allowed(frozenset({"succeeded", "errored", "expired", "missing"}))


@dataclass(frozen=True, repr=False)
class Beside(Happening):
    """While an invocation of `first` is about to make its `call`-th call, one of `second` begins.

    `second` may be `again`: the same message once more. It runs to its end, or makes `calls` calls, and the rest when the first
    has ended. `pause`: seconds that pass before.
    """

    first: str
    call: int
    second: str
    calls: int | None = None
    pause: int = 0

    @property
    def name(self) -> str:
        return f"{self.first} beside {self.second}{'' if self.calls is None else ', by turns'}"

    def before(self, play: Play, call: str) -> None:
        invocation = play.stack.invocation
        if invocation is None or invocation.stage != self.first or invocation.calls <= self.call:
            return
        if self in play.happened or play.asides.under_way or play.busy:
            return
        work = play.delivery(self.second)
        if work is None:
            return
        play.fire(self)
        play.stack.clock.advance(self.pause)
        if self.calls is None:
            play.aside(work)
        else:
            play.asides.start(work, self.calls, invocation)

    def allows(self) -> Allowed:
        return _CANCELED if "control" in (self.first, self.second) else Allowed()


@dataclass(frozen=True, repr=False)
class Again(Happening):
    """A message, or the event of a file, is delivered once more in some minute, long after it was dealt with."""

    queue: Literal["plan", "submit", "collect", "finish"]
    at: int

    @property
    def name(self) -> str:
        return f"delivered again: {self.queue}"

    def span(self) -> tuple[int, int]:
        return self.at, self.at + 1

    def minute(self, play: Play) -> None:
        if play.minutes >= self.at and self not in play.happened and (work := play.delivery(self.queue)):
            play.fire(self)
            work()
