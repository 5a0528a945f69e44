"""What takes longer than one invocation: it is continued, whenever it stops, and leaves nothing behind."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from batchdrop.domain import keys
from batchdrop.domain.messages import Queue
from batchdrop.domain.records import JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.stack import Killed, Stack, row, rows

PART_BYTES = 300
SECONDS = 11.0
"""What storing a part takes. A quarter of the 60 seconds of an invocation is kept back: it stores five parts."""


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a long file, many pieces are unpacked and output files are too long to pass through the function."""
    monkeypatch.setattr("batchdrop.stages.plan.prepare._CHUNK", 20)
    monkeypatch.setattr("batchdrop.formats.gzip_stream._PIECE_BYTES", 250)
    monkeypatch.setattr("batchdrop.stages.finish.outputs._THROUGH_BYTES", 100)


class Slow:
    """Parts take their time. The process is killed before the calls with these numbers, or after the ones that end as such."""

    def __init__(self, stack: Stack, kills: Iterable[int] = (), *, after: bool = False) -> None:
        self._stack = stack
        self._kills = set(kills)
        self._kill_after = after
        self._seen = -1
        self._dead: int | None = None
        self.made: dict[str, set[int]] = defaultdict(set)
        """In which invocations each call was made."""
        stack.hooks.before = self._before
        stack.hooks.after = self._after

    def _before(self, name: str) -> None:
        if self._dead == self._stack.invocations:
            raise Killed
        self.made[name].add(self._stack.invocations)
        if not self._kill_after:
            self._count()

    def _after(self, name: str) -> None:
        if name == "objects.add_part":
            self._stack.clock.advance(SECONDS)
        if self._kill_after:
            self._count()

    def _count(self) -> None:
        self._seen += 1
        if self._seen in self._kills:
            self._kills.remove(self._seen)
            self._dead = self._stack.invocations
            raise Killed


class Story(NamedTuple):
    stack: Callable[[], Stack]
    drop: Callable[[Stack], None]
    goes_on: str
    """The call with which an invocation goes on."""
    over: str
    """The call after which there is nothing more to go on with."""

    def play(self, kills: Iterable[int] = (), *, after: bool = False) -> tuple[Stack, int]:
        """The stack, and how many invocations it took."""
        stack = self.stack()
        slow = Slow(stack, kills, after=after)
        self.drop(stack)
        stack.run()
        assert stack.job().state in TERMINAL_JOB_STATES
        return stack, len(slow.made[self.goes_on])

    def window(self, stack: Stack) -> range:
        calls = stack.hooks.calls
        return range(calls.index(self.goes_on), calls.index(self.over) + 1)


def _short_parts() -> Stack:
    stack = Stack()
    stack.objects.part_bytes = PART_BYTES
    return stack


def _drop_packed(stack: Stack) -> None:
    stack.drop("inbox/packed.jsonl.gz", gzip.compress(rows(40), mtime=0))


def _drop_rows(stack: Stack) -> None:
    lines = [row(f"row {i}") for i in range(24)]
    lines[3::3] = [b"not json"] * len(lines[3::3])
    stack.drop("inbox/many.jsonl", b"\n".join(lines))


STORIES = {
    "unpacking": Story(_short_parts, _drop_packed, "objects.resume", "ledger.commit.sourced"),
    "joining": Story(lambda: Stack(max_requests=2), _drop_rows, "objects.join", "ledger.commit.finished"),
}


@pytest.fixture(params=STORIES)
def story(request: pytest.FixtureRequest) -> Story:
    return STORIES[request.param]


def test_it_takes_several_invocations_and_each_part_is_stored_once(story: Story) -> None:
    stack, invocations = story.play()
    assert invocations >= 3
    assert 5 * (invocations - 1) < stack.hooks.calls.count("objects.add_part") <= 5 * invocations
    assert stack.objects.uploads == {}
    assert stack.failures == []
    assert stack.audit() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_call_costs_at_most_one_invocation(story: Story, after: bool) -> None:
    whole, invocations = story.play()
    for call in story.window(whole):
        stack, taken = story.play([call], after=after)
        assert taken <= invocations + 1
        compare(stack, whole)


def test_so_many_kills_cost_at_most_so_many_invocations(story: Story) -> None:
    whole, invocations = story.play()
    for step in range(9, 30):
        kills = story.window(whole)[::step]
        stack, taken = story.play(kills)
        assert taken <= invocations + len(kills)
        compare(stack, whole)


def compare(stack: Stack, whole: Stack) -> None:
    """With a play that nobody disturbed."""
    assert stack.failures
    assert stack.objects.uploads == {}
    assert stack.audit() == []
    for name in ("results.jsonl", "failed.jsonl"):
        assert stack.lines(name) == whole.lines(name)


def test_the_status_says_how_far_unpacking_is() -> None:
    stack = _short_parts()
    Slow(stack)
    _drop_packed(stack)
    assert stack.job().state is JobState.planning
    message = stack.document("status.json")["message"]
    found = re.fullmatch(r"Unpacking the file: ([\d,]+) bytes of about ([\d,]+) bytes so far\.", message)
    assert found, message
    done, total = (int(number.replace(",", "")) for number in found.groups())
    assert 5 * PART_BYTES <= done < 6 * PART_BYTES
    assert done < total
    stack.run()
    assert stack.job().state is JobState.done


def test_the_status_says_how_far_the_output_files_are() -> None:
    stack = Stack(max_requests=2)
    Slow(stack)
    said = set()
    commit = stack.hooks.after

    def listen(name: str) -> None:
        commit(name)
        if name == "objects.put" and stack.jobs() and stack.job().bytes_done and stack.job().state is JobState.finishing:
            said.add(stack.document("status.json")["message"])

    stack.hooks.after = listen
    _drop_rows(stack)
    stack.run()
    start = "Every row has come to its end; the files are being put together: "
    assert len(said) >= 2
    assert all(re.fullmatch(start + r"[\d,]+ bytes of [\d,]+ bytes so far\.", message) for message in said)


def test_a_file_that_no_invocation_can_unpack_is_rejected() -> None:
    """Every invocation begins anew; one that stores nothing that was not stored before it brings the file no further."""
    stack = _short_parts()

    def slow(name: str) -> None:
        if name == "objects.read":
            stack.clock.advance(50)

    stack.hooks.after = slow
    _drop_packed(stack)
    stack.run()
    assert stack.job().state is JobState.rejected
    assert stack.hooks.calls.count("objects.resume") == 3
    message = stack.document("status.json")["message"]
    assert message.startswith("The file takes too long to unpack")
    assert stack.objects.uploads == {}
    assert stack.claude.custom_ids() == []
    assert stack.document("manifest.json")["state"] == "rejected"


@pytest.mark.parametrize("slow_invocations", [1, 2])
def test_a_slow_invocation_rejects_nothing(slow_invocations: int) -> None:
    stack = _short_parts()
    left = [50.0] * slow_invocations

    def slow(name: str) -> None:
        if name == "objects.resume" and left:
            stack.clock.advance(left.pop())

    stack.hooks.after = slow
    _drop_packed(stack)
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.job().counts.succeeded == 40


def test_a_file_that_turns_out_too_large_leaves_no_upload() -> None:
    stack = Stack(max_input_bytes=4_000)
    stack.objects.part_bytes = PART_BYTES
    Slow(stack)
    _drop_packed(stack)
    stack.run()
    assert stack.hooks.calls.count("objects.resume") == 3
    assert "decompresses to more than" in stack.document("status.json")["message"]
    assert stack.objects.uploads == {}


def test_an_upload_that_the_bucket_has_aborted_begins_anew() -> None:
    """Its rule does so two days after the start: a job can have waited that long in a dead-letter queue."""
    stack = _short_parts()
    Slow(stack)
    _drop_packed(stack)
    assert stack.objects.uploads
    stack.objects.uploads.clear()
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.job().counts.succeeded == 40
    assert stack.audit() == []


def test_two_runs_of_finish_at_once_give_one_file() -> None:
    """At every call the run is overtaken by a second delivery of its message."""
    story = STORIES["joining"]
    whole, _ = story.play()
    for call in story.window(whole)[::3]:
        stack = story.stack()
        Slow(stack)
        overtaken = stack.hooks.before = _Overtaken(stack, call)
        story.drop(stack)
        stack.run()
        assert overtaken.seen > call
        assert stack.job().state is JobState.done
        assert stack.objects.uploads == {}
        assert stack.audit() == []
        assert stack.lines("results.jsonl") == whole.lines("results.jsonl")


def test_files_then_manifest_then_the_end_then_the_removal_of_pieces() -> None:
    """As somebody sees it who looks into the bucket and the table after every call."""
    stack = Stack(max_requests=2)
    Slow(stack)
    passing = stack.hooks.after
    early = set()

    def look(name: str) -> None:
        passing(name)
        for job in stack.jobs():
            folder = keys.outbox_folder(job.input.key, job.id)
            there = {key.removeprefix(folder) for key in stack.objects.keys(folder)}
            if "manifest.json" in there and not there >= {"results.jsonl", "failed.jsonl"}:
                early.add("the manifest")
            if "manifest.json" not in there and job.state is JobState.done:
                early.add("the end")
            pieces = {part.key for batch in stack.batches(job) for part in (batch.results, batch.failed) if part}
            if job.state is not JobState.done and not pieces <= set(stack.objects.keys("work/")):
                early.add("the removal of what they were joined from")

    stack.hooks.after = look
    _drop_rows(stack)
    stack.run()
    assert stack.job().state is JobState.done
    assert early == set()


class _Overtaken:
    def __init__(self, stack: Stack, call: int) -> None:
        self._stack = stack
        self._call = call
        self.seen = 0

    def __call__(self, name: str) -> None:
        self.seen += 1
        if self.seen == self._call + 1 and (invocation := self._stack.invocation):
            self._stack.repeat(invocation)


# ---------------------------------------------------------------- a retry

_LINES = [b"not json" if number % 3 == 0 else row(f"row {number}") for number in range(1, 31)]


def _ended(lines: list[bytes]) -> Stack:
    """A job whose rows have all expired."""
    stack = Stack(max_attempts=1)
    stack.objects.part_bytes = PART_BYTES
    stack.claude.answer = lambda custom_id, params: {"type": "expired"}
    stack.drop("inbox/a.jsonl", b"\n".join(lines))
    stack.run()
    stack.hooks.clear()
    return stack


def _retried(kills: Iterable[int] = (), *, after: bool = False) -> tuple[Stack, int]:
    """The stack once the retry is dropped, and how many invocations of `control` went on with it."""
    stack = _ended(_LINES)
    slow = Slow(stack, kills, after=after)
    stack.command("retry", stack.job().id)
    while stack.commands or stack.queues.messages(Queue.control):
        stack.step()
    stack.run()
    return stack, len(slow.made["objects.resume"])


def _check_retry(stack: Stack) -> None:
    stack.hooks.clear()  # the last process may be dead, but this is another
    job = stack.jobs()[0]
    key = f"inbox/a.retry-of-{job.id}.jsonl"
    wanted = [line for line in stack.lines("failed.jsonl", job) if line["_batchdrop"]["status"] == "expired"]
    assert [json.loads(line) for line in stack.objects.body(key).splitlines()] == wanted
    assert stack.objects.count_versions(key) == 1
    assert stack.objects.uploads == {}
    assert stack.audit() == []
    assert key in stack.document("status.json", job)["message"]


def test_a_long_retry_takes_several_invocations() -> None:
    stack, invocations = _retried()
    assert invocations >= 3
    assert 5 * (invocations - 1) < stack.hooks.calls.count("objects.add_part") <= 5 * invocations
    assert stack.failures == []
    _check_retry(stack)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_call_of_a_retry_costs_at_most_one_invocation(after: bool) -> None:
    whole, invocations = _retried()
    for call in range(whole.hooks.calls.index("objects.finish_upload") + 8):
        stack, taken = _retried([call], after=after)
        assert taken <= invocations + 1
        _check_retry(stack)


def test_a_retry_that_is_killed_often_ends() -> None:
    whole, invocations = _retried()
    for step in range(9, 30, 4):
        kills = range(step, whole.hooks.calls.index("objects.finish_upload"), step)
        stack, taken = _retried(kills)
        assert taken <= invocations + len(kills)
        _check_retry(stack)


@pytest.mark.parametrize("lost", ["checkpoint", "upload"])
def test_a_retry_that_lost_its_checkpoint_or_its_upload_begins_anew(lost: str) -> None:
    stack = _ended(_LINES)
    Slow(stack)
    stack.command("retry", stack.job().id)
    assert stack.objects.uploads
    message = stack.document("status.json")["message"]
    assert re.search(r"being copied for a retry: [\d,]+ bytes of [\d,]+ bytes so far\.$", message), message
    if lost == "checkpoint":
        stack.objects.purge(keys.retry_checkpoint(stack.job().id))
    else:
        stack.objects.uploads.clear()
    stack.run()
    _check_retry(stack)


def test_few_rows_of_a_long_file_are_found_again_by_the_next_invocation() -> None:
    """They are less than a part, so S3 has none of them: the checkpoint does."""
    stack = _ended([row("first"), *[b"not json"] * 30, row("last")])
    stack.objects.part_bytes = 1_000_000

    def slow(name: str) -> None:
        if name == "objects.read":
            stack.clock.advance(50)

    stack.hooks.after = slow
    stack.command("retry", stack.job().id)
    while stack.queues.messages(Queue.control):
        stack.pump()
    assert stack.hooks.calls.count("objects.resume") == 32
    stack.hooks.clear()
    stack.run()
    key = f"inbox/a.retry-of-{stack.jobs()[0].id}.jsonl"
    assert [json.loads(line)["custom_id"] for line in stack.objects.body(key).splitlines()] == ["first", "last"]
    assert stack.audit() == []
