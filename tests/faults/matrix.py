"""Find the points, do the harm, let time pass, and judge what came out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from functools import cache, reduce
from itertools import islice
from typing import NamedTuple

from batchdrop.domain import keys
from batchdrop.domain.errors import BatchdropError
from tests.faults.faults import Fault, faults_of
from tests.faults.promises import all_ended, paid_once
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.money import purses_kept
from tests.stack import Killed, Stack

_GRACE = timedelta(minutes=2)
# Whatever happens once is over well within this time.
MINUTES = 240


class Run(NamedTuple):
    """One fault at one call of one scenario."""

    scenario: Scenario
    call: int
    name: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.scenario.name}: call {self.call} {self.name}: {self.fault.name}"


class Piece(NamedTuple):
    """Every `step`-th run of a scenario, from the `first`: a piece of work for one process."""

    scenario: str
    first: int
    step: int


class Outcome(NamedTuple):
    fault: str
    run: str
    wrong: list[str]


class Harm:
    """Does one fault at one call, counted over the whole scenario; a process that was killed does nothing any more."""

    def __init__(self, stack: Stack, call: int, fault: Fault) -> None:
        self._stack = stack
        self._call = call
        self._fault = fault
        self._seen = -1
        self._dead: int | None = None
        self._busy = False
        self.done = False
        self.failed = False
        """The call had no answer to come after: it raised, as the look for a recipe does where there is none."""
        stack.hooks.before = self._before
        stack.hooks.after = self._after

    def _before(self, name: str) -> None:
        if self._busy:
            return
        if self._dead == self._stack.invocations:
            raise Killed
        self._seen += 1
        if self._seen == self._call:
            self.failed = True
            self._act(self._fault.before)

    def _after(self, name: str) -> None:
        if not self._busy and self._dead is None and self._seen == self._call and not self.done:
            self.failed = False
            self._act(self._fault.after)

    def _act(self, act: object) -> None:
        """Calls within the fault are somebody else's and stay unharmed."""
        if not callable(act):
            return
        self.done = self._busy = True
        here = self._stack.invocations
        try:
            act(self._stack)
        except Killed:
            self._dead = here
            raise
        finally:
            self._busy = False


def points(scenario: Scenario) -> list[str]:
    """The calls that leave the process in a run without a fault."""
    stack = scenario.build()
    play(scenario, stack)
    return list(stack.hooks.calls)


def runs(scenario: Scenario) -> Iterator[Run]:
    for call, name in enumerate(points(scenario)):
        for fault in faults_of(name):
            yield Run(scenario, call, name, fault)


def play(scenario: Scenario, stack: Stack) -> None:
    scenario.play(stack)
    stack.run(MINUTES)


def outputs(stack: Stack) -> dict[str, bytes]:
    """What users read, by job and name; times and ids of batches are in the manifest alone."""
    names = ("results.jsonl", "failed.jsonl", "results.csv", "failed.csv", "complete.jsonl", "complete.csv", "recipe.yaml")
    folders = {job.id: keys.outbox_folder(job.input.key, job.id) for job in stack.jobs()}
    # A file that is dropped after the harm has a version, and so its job an id, that depends on what was written before.
    later = [job.id for job in stack.jobs() if job.completes]

    def told(text: str) -> str:
        return reduce(lambda text, job_id: text.replace(job_id, "later"), later, text)

    return {
        told(folder + name): told(stack.objects.body(folder + name).decode()).encode()
        for folder in folders.values()
        for name in names
        if folder + name in stack.objects.keys(folder)
    }


@cache
def expected_outputs(scenario: Scenario) -> dict[str, bytes]:
    stack = scenario.build()
    play(scenario, stack)
    return outputs(stack)


def judge(run: Run) -> list[str]:
    """Runs it; what is wrong with its outcome, in sentences."""
    stack = run.scenario.build()
    harm = Harm(stack, run.call, run.fault)
    play(run.scenario, stack)
    stack.hooks.clear()
    wrong = [f"{finding.kind}: {finding.sentence} ({finding.batch}, line {finding.line})" for finding in stack.audit()]
    wrong += all_ended(stack)
    wrong += paid_once(stack, _GRACE)
    wrong += purses_kept(stack.ledger)
    wrong += [f"{who} failed with {error!r}" for who, error in stack.failures if not isinstance(error, (BatchdropError, Killed))]
    wrong += run.scenario.also(stack)
    if not (harm.done or harm.failed):
        wrong.append("the fault never happened")
    if run.scenario.same_outputs and run.fault.same_outputs and outputs(stack) != expected_outputs(run.scenario):
        wrong.append("the outputs differ from those of a run without a fault")
    return wrong


def judge_piece(piece: Piece) -> list[Outcome]:
    logging.disable(logging.CRITICAL)
    chosen = islice(runs(SCENARIOS[piece.scenario]), piece.first, None, piece.step)
    return [Outcome(run.fault.name, str(run), judge(run)) for run in chosen]
