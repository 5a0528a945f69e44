"""A long packed file through the whole pipeline, killed at any call: each kill costs at most one invocation that works again."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable

import pytest

from batchdrop.domain.records import JobState
from tests.stack import Killed, Stack, row

PART_BYTES = 400
SECONDS = 11.0
"""What a slow call takes. A quarter of the 60 seconds of an invocation is kept back: it makes five of them."""
SLOW = ("objects.add_part", "ledger.commit.added")
PLAYS = 16
MOST_KILLS = 12
# What an invocation has to show for itself; reading and status.json do not count.
WORK = ("ledger.commit.", "objects.add_part", "objects.writer.close", "claude.create")


@pytest.fixture(autouse=True)
def long_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking, planning and joining take several invocations each."""
    monkeypatch.setattr("batchdrop.stages.plan.prepare._CHUNK", 60)
    monkeypatch.setattr("batchdrop.formats.gzip_stream._PIECE_BYTES", 500)
    monkeypatch.setattr("batchdrop.stages.plan.check._CHUNK_ROWS", 5)
    monkeypatch.setattr("batchdrop.stages.finish.outputs._THROUGH_BYTES", 100)


class Play:
    """One file from its drop to its end. The process dies before, or after, the calls with these numbers; `poll` lives."""

    def __init__(self, kills: Iterable[int] = (), *, after: bool = False) -> None:
        self._kills = set(kills)
        self._after = after
        self._seen = -1
        self._dead: object = None
        self.killed = 0
        self.returned = 0
        """Calls that had an answer; a look for a file that is not there has none."""
        self.worked: set[int] = set()
        """Invocations that came further, whatever became of them."""
        self.stages: dict[int, str] = {}
        self.stack = Stack(max_requests=4)
        self.stack.objects.part_bytes = PART_BYTES
        self.stack.hooks.before = self._before
        self.stack.hooks.after = self._ended
        self.stack.drop("inbox/packed.jsonl.gz", gzip.compress(_body(), mtime=0))
        self.stack.run(7 * 24 * 60)

    @property
    def calls(self) -> int:
        return self._seen + 1

    def _before(self, name: str) -> None:
        invocation = self.stack.invocation
        if invocation is None or invocation.stage == "poll":
            return
        if invocation is self._dead:
            raise Killed
        if not self._after:
            self._count()

    def _ended(self, name: str) -> None:
        invocation = self.stack.invocation
        if invocation is None or invocation.stage == "poll":
            return
        self.returned += 1
        if name in SLOW:
            self.stack.clock.advance(SECONDS)
        if name.startswith(WORK):
            self.worked.add(invocation.number)
            self.stages[invocation.number] = invocation.stage
        if self._after:
            self._count()

    def _count(self) -> None:
        self._seen += 1
        if self._seen in self._kills:
            self.killed += 1
            self._dead = self.stack.invocation
            raise Killed


def _body() -> bytes:
    lines = [row(f"row {i}") for i in range(40)]
    lines[3::5] = [b"not json"] * len(lines[3::5])
    lines[7] = row("again", "[[error:overloaded_error:1]]")
    return b"\n".join(lines)


@pytest.fixture(scope="module")
def whole() -> Play:
    with pytest.MonkeyPatch.context() as patch:
        long_files.__wrapped__(patch)  # type: ignore[attr-defined]
        return Play()


def test_each_stage_works_in_several_invocations(whole: Play) -> None:
    stages = list(whole.stages.values())
    assert all(stages.count(stage) >= 2 for stage in ("plan", "submit", "collect", "finish"))
    assert {f"ledger.commit.{edge}" for edge in ("unpacked_in_part", "handed_over", "joined_in_part")} <= set(
        whole.stack.hooks.calls
    )
    assert whole.killed == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("share", range(4))
def test_one_kill_costs_at_most_one_invocation(whole: Play, after: bool, share: int) -> None:
    for call in range(share, whole.returned if after else whole.calls, 4):
        compare(Play([call], after=after), whole)


@pytest.mark.parametrize("seed", range(PLAYS))
def test_so_many_kills_cost_at_most_so_many_invocations(whole: Play, seed: int) -> None:
    drawn = random.Random(seed)
    compare(
        Play(drawn.sample(range(min(whole.calls, whole.returned)), drawn.randint(2, MOST_KILLS)), after=drawn.random() < 0.5),
        whole,
    )


def compare(play: Play, whole: Play) -> None:
    assert play.killed
    assert play.stack.job().state is JobState.done
    assert len(play.worked) <= len(whole.worked) + play.killed
    assert play.stack.audit() == []
    assert play.stack.objects.uploads == {}
    for name in ("results.jsonl", "failed.jsonl"):
        assert [line["_batchdrop"] if "_batchdrop" in line else line["line"] for line in play.stack.lines(name)] == [
            line["_batchdrop"] if "_batchdrop" in line else line["line"] for line in whole.stack.lines(name)
        ]
