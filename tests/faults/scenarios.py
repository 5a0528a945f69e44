"""What goes through the stack while it is being harmed: small jobs that visit every stage."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from batchdrop.domain import keys
from batchdrop.domain.errors import Refused
from batchdrop.domain.records import JobState
from tests.fakes.claude import Answer, Withheld, greet
from tests.faults.api import SlowApi
from tests.named_files import pdf
from tests.stack import TICK, Stack, row

RETRYABLE = ("overloaded_error", "api_error", "rate_limit_error", "timeout_error")


def errored(kind: str) -> dict[str, object]:
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": f"a {kind}"}}}


EXPIRED: dict[str, object] = {"type": "expired"}

# What the API makes of a line, attempt after attempt. The last one holds for all later attempts.
_FATES: dict[int, tuple[Mapping[str, object] | Withheld, ...]] = {
    2: (errored("overloaded_error"), {}),
    3: (EXPIRED, errored("api_error"), {}),
    5: (Withheld("expired"), {}),
    6: (errored("invalid_request_error"),),
    9: (errored("timeout_error"),),
    11: (errored("rate_limit_error"), {}),
}


def fated(attempt_of: Callable[[str], int]) -> Answer:
    """An answer for each kind of end; it depends on nothing but the request and its attempt."""

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object] | Withheld:
        attempt, line = attempt_of(custom_id), custom_id.rpartition("-")[2]
        fates = _FATES.get(int(line), ()) if attempt else ()
        fate = fates[min(attempt, len(fates)) - 1] if fates else {}
        return greet(custom_id, params) if fate == {} else fate

    return answer


def mixed_rows() -> bytes:
    """12 lines in batches of three: answers, retries, a blank line, and three rows that are never sent."""
    words = {2: "busy", 3: "expires", 5: "silent", 6: "bad", 9: "hopeless", 11: "busy"}
    lines = [row(f"row {i}", f"prompt {i} {words.get(i, 'ok')}") for i in range(1, 13)]
    lines[3] = b"not json"
    lines[6] = b""
    lines[7] = row("row 1")
    lines[11] = b'{"params": {"model": "m"}}'
    return b"\n".join(lines) + b"\n"


def _nothing_more(stack: Stack) -> Iterator[str]:
    """What is asked of every scenario will do."""
    yield from ()


class Scenario(NamedTuple):
    """`play` drops files and commands; the harness then lets time pass until everything has ended."""

    name: str
    build: Callable[[], Stack]
    play: Callable[[Stack], None]
    same_outputs: bool = True
    """Whether a run with a fault must give the very bytes of a run without one."""
    also: Callable[[Stack], Iterator[str]] = _nothing_more
    """What else is wrong in the end, in sentences."""


def _small_batches() -> Stack:
    return Stack(max_requests=3, api=SlowApi)


def _mixed(stack: Stack) -> None:
    upload = stack.drop("inbox/team/mixed.jsonl", mixed_rows())
    stack.deliver(upload)


def _deleting() -> Stack:
    return Stack(max_requests=3, api=SlowApi, delete_batches=True)


def _deleted(stack: Stack) -> None:
    """Days after its end, which come at the same time whatever has happened; a pass begins every six hours."""
    ended = stack.clock.now() + timedelta(hours=5)
    _mixed(stack)
    stack.run()
    stack.clock.advance((ended - stack.clock.now()).total_seconds())
    for _ in range(8):
        stack.step(timedelta(hours=6, minutes=5).total_seconds())


def _still_there(stack: Stack) -> Iterator[str]:
    """Of what the job had at the API and in `work/`."""
    yield from (f"{api_id} is still at the API" for api_id in stack.claude.ids if api_id not in stack.claude.deleted)
    yield from (f"{key} is still in the bucket" for key in stack.objects.keys(keys.WORK))


def _little_disk() -> Stack:
    return Stack(max_requests=6, spool_bytes=700, api=SlowApi)


def _compressed(stack: Stack) -> None:
    stack.drop("inbox/packed.jsonl.gz", gzip.compress(mixed_rows(), mtime=0))


def _canceled(stack: Stack) -> None:
    stack.drop("inbox/canceled.jsonl", mixed_rows())
    for _ in range(20):
        if any(batch.api_id for batch in stack.ledger.stored.values()):
            break
        stack.step()
    for job in stack.jobs():
        stack.command("cancel", job.id)


def _two_jobs() -> Stack:
    return Stack(max_requests=3, queue_limit=4, api=SlowApi)


def _crowded(stack: Stack) -> None:
    """Two jobs share little room, so that batches have to wait."""
    first = stack.drop("inbox/first.jsonl", b"\n".join(row(f"a {i}", f"first {i}") for i in range(5)), deliver=False)
    second = stack.drop(
        "inbox/second.jsonl",
        b"\n".join(row(f"b {i}", f"second {i}") for i in range(4)),
        {"batchdrop-priority": "high"},
        deliver=False,
    )
    stack.deliver(first)
    stack.deliver(second)


def _one_at_a_time() -> Stack:
    return Stack(max_requests=3, queue_limit=4, open_jobs=1, api=SlowApi)


def _lines(stack: Stack) -> None:
    """Two teams, of which each may have one open file; what is dropped later waits in line."""
    uploads = [
        stack.drop(f"inbox/{key}.jsonl", b"\n".join(row(f"{key} {i}", f"{key} {i}") for i in range(4)), deliver=False)
        for key in ("a/first", "a/second", "b/first", "a/third")
    ]
    for upload in uploads:
        stack.deliver(upload)


_RECIPE = b'model: claude-haiku-4-5\nprompt: "{{ text }}"\nretry: [truncated]\n'
_FAULTY = _RECIPE.replace(b"prompt", b"promt")
_TERSE = _RECIPE + b"max_tokens: 6\n"
_ROWS = ("one ok", "two busy", "three refuses", "", "five cut", "six\nok", "seven expires", "eight bad")


def _table(name: str = "") -> bytes:
    texts = [f"{name} {text}".strip() if text else "" for text in _ROWS]
    return b"id;text\n" + b"".join(f'{number};"{text}"\n'.encode() for number, text in enumerate(texts, 1))


def _rows(stack: Stack) -> None:
    """Answers that cannot be used, one of them asked for again, and a row that is never sent."""
    uploads = [
        stack.drop("inbox/team/recipe.yaml", _RECIPE, deliver=False),
        stack.drop("inbox/team/rows.csv", _table(), deliver=False),
    ]
    for upload in uploads:
        stack.deliver(upload)


def _waiting(stack: Stack) -> None:
    """Two files wait for a recipe; the first that comes is faulty."""
    uploads = [
        stack.drop("inbox/team/a/rows.csv.gz", gzip.compress(_table(), mtime=0), deliver=False),
        stack.drop("inbox/team/b/rows.csv", b"text\nother ok\nother cut\n", deliver=False),
    ]
    for upload in uploads:
        stack.deliver(upload)
    for recipe in (_FAULTY, _RECIPE):
        stack.step()
        stack.drop("inbox/team/recipe.yaml", recipe)


_IMPROVED = _TERSE.replace(b"{{ text }}", b"Better: {{ text }}")


def _improved(stack: Stack) -> None:
    """A file asks; then comes a faulty recipe, and then a better one, twice."""
    texts = (f"{name} {text}" for name in "abcdef" for text in _ROWS if text)
    stack.drop("inbox/team/recipe.yaml", _TERSE)
    stack.drop("inbox/team/rows.csv", b"text\n" + b"".join(f'"{text}"\n'.encode() for text in texts))
    for _ in range(60):
        if any(job.state is JobState.held and job.question and not job.question.for_pilot for job in stack.jobs()):
            break
        stack.step()
    stack.drop("inbox/team/recipe.yaml", _FAULTY)
    stack.step()
    stack.deliver(stack.drop("inbox/team/recipe.yaml", _IMPROVED))


# By then others would have joined.
_ALONE = timedelta(minutes=5)


class _Answered(Stack):
    """Whatever a job asks is approved within the minute, or refused: then it is canceled."""

    def __init__(self, *, says: str, ask_above: str, max_requests: int = 3) -> None:
        super().__init__(max_requests=max_requests, api=SlowApi, ask_above=ask_above)
        self._says = says

    def step(self, seconds: float = TICK) -> None:
        super().step(seconds)
        for job in self.jobs():
            if job.state is not JobState.held or job.question is None or job.cancel_requested:
                continue
            if self._says == "all" and not job.question.for_pilot:
                if job.group is not None and job.group.leader == job.id:
                    self._control(f"control/approve/team/all-{job.group.code}/")
                elif job.group is None and self.clock.now() - job.question.asked_at > _ALONE:
                    self._control(f"control/approve/{job.id}-{job.question.code}/")
            elif self._says in ("approve", "all"):
                self._control(f"control/approve/{job.id}-{job.question.code}/")
            elif not job.question.for_pilot:
                self.command("cancel", job.id)


class _Improving(Stack):
    """Rows may be tried; what is asked about the others is approved only for the recipe that is there in the end."""

    def __init__(self) -> None:
        super().__init__(max_requests=3, api=SlowApi, ask_above=_HALF)

    def step(self, seconds: float = TICK) -> None:
        super().step(seconds)
        for job in self.jobs():
            if job.state is not JobState.held or job.question is None or job.recipe is None:
                continue
            if job.question.for_pilot or job.recipe.size == len(_IMPROVED):
                self._control(f"control/approve/{job.id}-{job.question.code}/")


def _approving() -> Stack:
    return _Answered(says="approve", ask_above=_HALF)


def _refusing() -> Stack:
    return _Answered(says="cancel", ask_above=_HALF)


def _together() -> Stack:
    return _Answered(says="all", ask_above="0.00001")


def _asking_for_all() -> Stack:
    return _Answered(says="approve", ask_above="0.00001")


def _limited() -> Stack:
    """About half of the rows may be sent before midnight."""
    stack = Stack(max_requests=3, api=SlowApi, daily_limit="0.00018")
    stack.clock.advance(23.35 * 3600)
    return stack


# Twenty rows of `_dear` cost less than this at worst, and what they really cost leaves too little for the others.
_HALF = "0.00067"


def _dear(stack: Stack) -> None:
    """40 rows, of which twenty are tried first, so that some batches are left with little to send, or nothing."""
    words = {2: "busy", 5: "silent", 6: "bad", 9: "hopeless", 11: "expires", 17: "busy", 21: "bad", 30: "hopeless"}
    lines = [row(f"row {i}", f"prompt {i} {words.get(i, 'ok')}", max_tokens=6) for i in range(1, 41)]
    stack.deliver(stack.drop("inbox/team/dear.jsonl", b"\n".join(lines)))


def _family(stack: Stack) -> None:
    """Three files of one folder with one recipe: the rows of one are tried, and all of them ask together."""
    uploads = [stack.drop("inbox/team/recipe.yaml", _TERSE, deliver=False)]
    uploads += [stack.drop(f"inbox/team/{name}.csv", _table(name), deliver=False) for name in ("a", "b", "c")]
    for upload in uploads:
        stack.deliver(upload)


def _asked_again(stack: Stack) -> None:
    """Rows go again in three ways: as they are, with more room, and to another model."""
    other = b"model: claude-haiku-4-5\nprompt: '{{ text }}'\nretry:\n  truncated: {max_tokens: 500}\n"
    uploads = [
        stack.drop("inbox/team/recipe.yaml", other + b"  errored: {model: claude-sonnet-4-6}\n", deliver=False),
        stack.drop("inbox/team/rows.csv", _table(), deliver=False),
    ]
    for upload in uploads:
        stack.deliver(upload)


def _little_room() -> Stack:
    return Stack(max_requests=2, queue_limit=4, api=SlowApi)


def _overdue(stack: Stack) -> None:
    """When the time comes, some rows have their answers, some are at the API for the second time, and some were never sent."""
    stack.claude.seconds = 20 * 60
    uploads = [
        stack.drop("inbox/team/recipe.yaml", _RECIPE + b"deadline: 50m\n", deliver=False),
        stack.drop("inbox/team/rows.csv", _table() + _table("more")[8:], deliver=False),
    ]
    for upload in uploads:
        stack.deliver(upload)


_DEDUPE = {"batchdrop-dedupe": "true"}


class _Refusing(SlowApi):
    """It takes no batch with this word in it."""

    def _check(self, body: bytes) -> list[dict[str, Any]]:
        if b"poison" in body:
            raise Refused("something in it", status=400, kind="invalid_request_error")
        return super()._check(body)


def _sent_once() -> Stack:
    return Stack(max_requests=9, api=_Refusing)


def _same(stack: Stack) -> None:
    """Rows with the same request, side by side, so that no cut goes through them; one is refused, and some go again."""
    texts = ("ok", "ok", "poison", "poison", "busy", "busy", "ok 2", "ok 2", "ok 2")
    others = ("expires", "expires", "expires", "hopeless", "hopeless", "silent", "silent", "bad", "bad")
    lines = [row(f"row {i}", f"of {i // 9} {text}") for i, text in enumerate((*texts, *others), 1)]
    lines[9:9] = [b"not json", b"", row("row 1", "of 0 ok")]
    stack.deliver(stack.drop("inbox/team/same.jsonl", b"\n".join(lines), _DEDUPE))


def _same_rows(stack: Stack) -> None:
    """Some are tried first, and answer the others of their batch; what cannot be used goes again, or does not."""
    words = ("ok", "busy", "bad", "cut", "expires", "refuses", "silent", "ok 2", "ok 3", "hopeless", "ok 4", "lost not")
    texts = [f"{number // 6} {words[(number // 2) % 12]}" for number in range(48)]
    uploads = [
        stack.drop("inbox/team/recipe.yaml", _TERSE + b"dedupe: true\n", deliver=False),
        stack.drop("inbox/team/rows.csv", b"text\n" + b"".join(f"{text}\n".encode() for text in texts), deliver=False),
    ]
    for upload in uploads:
        stack.deliver(upload)


def _six_at_a_time() -> Stack:
    return _Answered(says="approve", ask_above=_HALF, max_requests=6)


def _completing() -> Stack:
    stack = Stack(api=SlowApi)
    stack.objects.part_bytes = 200  # the whole table has several parts
    return stack


def _completed(stack: Stack) -> None:
    """Rows without an answer are corrected, and dropped again in another order, half a day later whatever has happened."""
    later = stack.clock.now() + timedelta(hours=12)
    stack.drop("inbox/team/recipe.yaml", _RECIPE)
    stack.drop("inbox/team/rows.csv", b'text\none ok\ntwo bad\nthree bad\n""\n')
    stack.run()
    stack.clock.advance((later - stack.clock.now()).total_seconds())
    job = stack.jobs()[0]
    key = f"{keys.outbox_folder(job.input.key, job.id)}failed.csv"
    if stack.objects.keys(key):  # unless the harm that was done has left none
        header, *rows = stack.objects.body(key).replace(b"bad", b"good").splitlines(keepends=True)
        stack.drop("inbox/team/failed.csv", header + b"".join(reversed(rows)))


def _cached(stack: Stack) -> None:
    """One row writes the cache before any other goes, those that are tried among them."""
    recipe = b"model: claude-haiku-5-5\nthinking: off\ncache: 1h\nsystem: %b\nprompt: '{{ text }}'\nmax_tokens: 6\n"
    words = ("ok", "busy", "bad", "cut", "expires", "refuses", "silent", "hopeless")
    texts = [f"{number} {words[number % 8]}" for number in range(1, 33)]
    uploads = [
        stack.drop("inbox/team/recipe.yaml", recipe % (b"Be brief. " * 400), deliver=False),
        stack.drop("inbox/team/rows.csv", b"text\n" + b"".join(f"{text}\n".encode() for text in texts), deliver=False),
    ]
    for upload in uploads:
        stack.deliver(upload)


def _ten_at_a_time() -> Stack:
    return Stack(max_requests=10, api=SlowApi)


def _rejected(stack: Stack) -> None:
    empty = stack.drop("inbox/empty.jsonl", b"\n\n", deliver=False)
    hopeless = stack.drop("inbox/hopeless.jsonl", b"nothing\nof use\n", deliver=False)
    stack.deliver(empty)
    stack.deliver(hopeless)


_OF_FILES = b'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: What is it?\n'


def _request_about(key: str) -> bytes:
    blocks = [{"type": "document", "source": f"s3://bucket/{key}"}, {"type": "text", "text": "What does it say?"}]
    return row(f"about {key}", messages=[{"role": "user", "content": blocks}]) + b"\n"


def _files(stack: Stack) -> None:
    """Documents that rows name, in a table and in requests; some cannot be sent."""
    for number in range(1, 6):
        stack.objects.drop(f"inbox/team/{number}.pdf", pdf(number))
    stack.objects.drop("inbox/team/6.pdf", pdf(encrypted=True))
    stack.drop("inbox/team/recipe.yaml", _OF_FILES)
    table = stack.drop(
        "inbox/team/files.csv", b"path\n" + b"".join(b"%d.pdf\n" % number for number in range(1, 8)), deliver=False
    )
    lines = b"".join(_request_about(f"inbox/team/{number}.pdf") for number in range(1, 8))
    requests = stack.drop("inbox/team/files.jsonl", lines, deliver=False)
    for upload in (table, requests):
        stack.deliver(upload)


def _files_go(stack: Stack) -> None:
    """One is replaced and one deleted for good while the rows that name them wait to be sent."""
    _files(stack)
    stack.objects.drop("inbox/team/1.pdf", pdf(9))
    stack.objects.purge("inbox/team/2.pdf")


def _started(stack: Stack) -> None:
    """A folder whose documents are rows of one job, and a second start while the first one may still be under way."""
    stack.drop("inbox/team/bills/recipe.yaml", _OF_FILES)
    for number in range(1, 6):
        stack.objects.drop(f"inbox/team/bills/{number}.pdf", pdf(number))
    first = stack.drop("inbox/team/bills/start/", b"", deliver=False)
    stack.deliver(first)
    stack.objects.drop("inbox/team/bills/3.pdf", pdf(8))
    stack.deliver(stack.drop("inbox/team/bills/start", b"", deliver=False))


MIXED = Scenario("mixed", _small_batches, _mixed)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        MIXED,
        Scenario("packed", _little_disk, _compressed),
        Scenario("canceled", _small_batches, _canceled, same_outputs=False),
        Scenario("crowded", _two_jobs, _crowded),
        Scenario("lines", _one_at_a_time, _lines),
        Scenario("rows", _small_batches, _rows),
        Scenario("files", _small_batches, _files),
        Scenario("files go", _small_batches, _files_go, same_outputs=False),
        Scenario("folder started", _small_batches, _started, same_outputs=False),
        Scenario("waiting", _small_batches, _waiting),
        Scenario("asked again", _small_batches, _asked_again),
        Scenario("overdue", _little_room, _overdue, same_outputs=False),
        Scenario("sent once", _sent_once, _same),
        Scenario("sent once, tried", _six_at_a_time, _same_rows),
        Scenario("completed", _completing, _completed),
        Scenario("warmed up", _ten_at_a_time, _cached),
        Scenario("warmed up, tried", _six_at_a_time, _cached),
        Scenario("rejected", _small_batches, _rejected),
        Scenario("deleted", _deleting, _deleted, also=_still_there),
        Scenario("approved", _approving, _dear),
        Scenario("refused", _refusing, _dear, same_outputs=False),
        Scenario("asked for all", _asking_for_all, _mixed),
        Scenario("limited", _limited, _mixed),
        Scenario("improved", _Improving, _improved, same_outputs=False),
        Scenario("together", _together, _family, same_outputs=False),
    )
}
