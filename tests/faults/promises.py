"""What must be true after any run, whatever happened in it: the promise, asked of the outputs and of the API's own bill.

Nothing here trusts Batchdrop's records: what a row is comes from the input, what was paid from the model of the API, what was
delivered from the files in the outbox.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import timedelta
from typing import Any, NamedTuple

from batchdrop.domain import keys
from batchdrop.domain.open_work import place_of_batch, place_of_job
from batchdrop.domain.records import Job, JobState
from batchdrop.domain.retries import retryable
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.faults.api import UNUSABLE, SlowApi, Trace, answer_to, fate_of, prompt_of
from tests.faults.tables import TEAM, rows_of, tables_kept, text_of
from tests.stack import Stack

MAX_ATTEMPTS = 3


class Exempt(NamedTuple):
    """A second payment that no client of this API can rule out."""

    name: str
    reason: str
    holds: Callable[[Trace, timedelta], bool]
    """Of one of the batches that hold the row, and the grace of the stack."""


UNAVOIDABLE = (
    Exempt(
        "listed after the grace",
        "An accepted POST had no answer, and for longer than the grace the API listed no batch of it. "
        "A create takes no idempotency key, so after some time it has to be sent again.",
        lambda trace, grace: trace.unanswered and trace.listed_at - trace.posted_at > grace,
    ),
    Exempt(
        "deleted before it was found",
        "An accepted POST had no answer, and somebody with a key of the workspace deleted its batch.",
        lambda trace, grace: trace.unanswered and trace.held.deleted,
    ),
)


class Allowed(NamedTuple):
    """What a run may have done to rows besides their fate at the API."""

    statuses: Set[str] = frozenset()
    steps: bool = False
    """The end of an earlier attempt will do."""
    withheld: bool = False
    """A result that is not billed may have come too late, and the row may count as one without."""
    unnamed: bool = False
    """Where the input can be read no more, a row has lost its own custom id, and one without a result its place: a blank line
    cannot be told from it."""
    unread: bool = False
    """A canceled file may not have been read to its end; the manifest then says how many lines were."""


def api_of(stack: Stack) -> SlowApi:
    assert isinstance(stack.claude, SlowApi)
    return stack.claude


def paid_once(stack: Stack, grace: timedelta) -> Iterator[str]:
    """Each row succeeds at most once, over all batches that were ever accepted; rows of a batch that are equal, together."""
    for trace in api_of(stack).traces.values():
        prompts = Counter(prompt_of(request["params"]) for request in trace.held.requests if trace.ours)
        yield from (f"{trace.held.id[-4:]} asks {prompt!r} {times} times" for prompt, times in prompts.items() if times > 1)
    rows = Counter[str]()
    for job in stack.jobs():
        rows |= Counter(_prompts(stack, job))
    batches: dict[str, list[Trace]] = defaultdict(list)
    for prompt, trace in api_of(stack).paid():
        batches[text_of(prompt)].append(trace)
    asked_again = _asked_again(stack)
    for prompt, traces in batches.items():
        exempt = sum(any(one.holds(trace, grace) for one in UNAVOIDABLE) for trace in traces)
        times = len(traces) - min(exempt, len(traces) - 1) - asked_again[prompt]
        if times > max(1, rows[prompt]):
            yield f"row {prompt!r} was paid for {len(traces)} times: {', '.join(trace.held.id[-4:] for trace in traces)}"


def is_table(job: Job) -> bool:
    return job.input.key.startswith(TEAM)


def waits_kept(stack: Stack, job: Job, words: Sequence[str | None], allowed: Allowed) -> Iterator[str]:
    """A table is rejected only if there is no recipe for it in the end, and without one nothing of it is sent.

    `words`: what the recipes for it said, one after the other; None: nothing that can be used.
    """
    if job.state is JobState.rejected and words[-1] and not allowed.unnamed:
        yield f"{job.id} was rejected, though there is a recipe for it: {job.reason}"
    if any(words):
        return
    if job.state is JobState.done:
        yield f"{job.id} is done without a recipe"
    if job.batches_total:
        yield f"{job.id} has {job.batches_total} batches without a recipe"


def rows_kept(stack: Stack, job: Job, allowed: Allowed, words: Set[str] = frozenset()) -> Iterator[str]:
    """None lost, none invented, each with its own answer, its own id and an end that its fate allows; the counts add up.

    `words`: what its recipe may have said, if it is a table.
    """
    if job.state is JobState.rejected and not job.batches_total:
        return  # no row of it was read, or none could be sent
    expected = dict(_rows_expected(stack, job, allowed) if is_table(job) else _expected(stack, job, allowed))
    if allowed.unread and job.state is JobState.canceled:
        read = stack.document("manifest.json", job)["input"]["lines"]
        expected = {line: row for line, row in expected.items() if line <= read}
    delivered: Counter[int] = Counter()
    counts: Counter[str] = Counter()
    for line, status, custom_id, text in _delivered(stack, job):
        delivered[line] += 1
        counts[status] += 1
        if line in expected:
            row = expected[line]
            own_id = {row.custom_id, f"line-{line}"} if allowed.unnamed else {row.custom_id}
            yield from (f"{job.id}: line {line} {wrong}" for wrong in _end(row, status, custom_id, text, own_id, words))
        elif not (allowed.unnamed and status == "missing"):
            yield f"{job.id}: line {line} is no row of the input"
    yield from (f"{job.id}: {wrong}" for wrong in _places(delivered, set(expected), allowed))
    told = stack.document("manifest.json", job)["counts"]
    if told != {"total": len(expected), **{name: counts[name] for name in told if name != "total"}}:
        yield f"{job.id}: the manifest counts {told}; the files hold {dict(counts)} of {len(expected)} rows"
    if is_table(job):
        yield from (f"{job.id}: {wrong}" for wrong in _tables(stack, job, expected, words))


def _end(row: _Row, status: str, custom_id: str, text: str, own_id: Set[str], words: Set[str]) -> Iterator[str]:
    """What is wrong with the end of a row."""
    if status not in row.statuses:
        yield f"({row.prompt}) is {status}, not one of {sorted(row.statuses)}"
    if status == "succeeded" and text not in _answers(row.prompt, words):
        yield f"({row.prompt}) has the answer {text!r}"
    if status == "succeeded" and custom_id not in own_id:
        yield f"has the custom_id {custom_id!r}, not {row.custom_id!r}"


def _answers(prompt: str, words: Set[str]) -> Set[str]:
    return {answer_to(f"{word} {prompt}") for word in words} or {answer_to(prompt)}


def _tables(stack: Stack, job: Job, expected: Mapping[int, _Row], words: Set[str]) -> Iterator[str]:
    """The tables against the input and against the files of lines."""
    tables = {name: _output(stack, job, name) for name in ("results.csv", "failed.csv")}
    if not any(tables.values()) and job.state is JobState.canceled:
        return  # no row of it was read
    rows = [row for row in rows_of(_input(stack, job)) if row.number in expected]
    statuses = {line: status for line, status, _, _ in _delivered(stack, job)}
    apart = tables["failed.csv"] if job.input.key.endswith((".csv", ".csv.gz")) else None
    yield from tables_kept(rows, statuses, words, tables["results.csv"], apart)
    if len(asked := {answer.partition(row)[0] for row, answer in _answered(stack, job)}) > 1:
        yield f"the rows were asked about by {len(asked)} recipes: {sorted(asked)}"


def _answered(stack: Stack, job: Job) -> Iterator[tuple[str, str]]:
    """Own text and answer of each answered row of a table."""
    for row in stack.lines("results.jsonl", job):
        yield row["row"]["text"], row["output"]["answer"]


def _output(stack: Stack, job: Job, name: str) -> bytes:
    written = stack.objects.keys(keys.outbox_folder(job.input.key, job.id))
    return stack.output(name, job) if any(key.endswith(f"/{name}") for key in written) else b""


def _places(delivered: Counter[int], expected: Set[int], allowed: Allowed) -> Iterator[str]:
    """Every row stands in the outputs once."""
    if allowed.unnamed:
        if delivered.total() != len(expected) or max(delivered.values(), default=0) > 1:
            yield f"{delivered.total()} rows in the outputs, not {len(expected)}"
        return
    yield from (f"line {line} is in the outputs {delivered[line]} times" for line in expected if delivered[line] != 1)


def all_ended(stack: Stack) -> Iterator[str]:
    """Every job has come to its end, says so, and has left nothing behind that another one would wait for."""
    for job in stack.jobs():
        if job.state not in TERMINAL_JOB_STATES:
            states = Counter(str(batch.state) for batch in stack.batches(job))
            yield f"job {job.id} is still {job.state}, its batches {dict(states)}"
        elif (shown := stack.document("status.json", job)["state"]) != job.state:
            yield f"status.json says {shown} of a job that is {job.state}"
        if place := place_of_job(job):
            yield f"job {job.id} is still listed as {place.shelf}"
        for batch in stack.batches(job):
            if place := place_of_batch(batch):
                yield f"batch {batch.name} of {job.id} is still listed as {place.shelf}"
    yield from (f"a message is left: {sent.message}" for sent in stack.queues.waiting)
    if queued := stack.ledger.get_admission().queued:
        yield f"{queued} requests still count as queued"
    yield from (f"an upload is left open: {key}" for key in stack.objects.uploads)


def indexes_agree(stack: Stack) -> Iterator[str]:
    """After quiet, the index of all jobs and that of each team show each job as it is stored, and count it once."""
    if stack.ledger.marks:
        yield f"marks are left: {sorted(mark.job_id for mark in stack.ledger.marks)}"
    teams: dict[str, list[Job]] = defaultdict(list)
    for job in stack.jobs():
        teams[""].append(job)
        if team := keys.team_of(job.input.key):
            teams[team].append(job)
    for team, jobs in teams.items():
        key = f"outbox/{team}/index.json" if team else "outbox/index.json"
        if not stack.objects.exists(key):
            yield f"{key} is missing"
            continue
        index = json.loads(stack.objects.body(key))
        shown = {entry["job_id"]: (entry["state"], entry["rows"], entry["folder"]) for entry in index["jobs"]}
        stored = {job.id: (str(job.state), job.counts.total, keys.outbox_folder(job.input.key, job.id)) for job in jobs}
        if shown != stored:
            yield f"{key} shows {shown}, and the jobs are {stored}"
        counted = sum(month["jobs"] for month in index["months"].values())
        if counted != sum(job.state in TERMINAL_JOB_STATES for job in jobs):
            yield f"{key} counts {counted} jobs of {len(jobs)}"


# ---------------------------------------------------------------- what the input asks for


class _Row(NamedTuple):
    prompt: str
    custom_id: str
    statuses: Set[str]


def _expected(stack: Stack, job: Job, allowed: Allowed) -> Iterator[tuple[int, _Row]]:
    ids: set[str] = set()
    prompts: set[str] = set()
    lines = _input_lines(stack, job)
    # Where an answer is lost, a row beside it that has none cannot be told from it.
    silent = {"missing"} if any(b" lost" in line for line in lines) else set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parsed(line)
        own = f"line-{number}" if row is None else str(row.get("custom_id", f"line-{number}"))
        if row is None or own in ids:
            yield number, _Row("", own, {"invalid"})
            continue
        ids.add(own)
        prompt = prompt_of(row["params"])
        statuses = _statuses(prompt, allowed)
        if prompt in prompts and allowed.unnamed:
            # Nobody can tell whose answer it has.
            statuses = {*statuses, "missing"}
        prompts.add(prompt)
        yield number, _Row(prompt, own, statuses | silent if "silent" in fate_of(prompt) else statuses)


def _rows_expected(stack: Stack, job: Job, allowed: Allowed) -> Iterator[tuple[int, _Row]]:
    """Rows of a table may share a custom id."""
    rows = list(rows_of(_input(stack, job)))
    silent = {"missing"} if any(row.text.endswith(" lost") for row in rows) else set()
    for row in rows:
        statuses = _statuses(row.text, allowed, unusable=True) if row.text else {"invalid"}
        yield row.number, _Row(row.text, row.custom_id, statuses | silent if "silent" in fate_of(row.text) else statuses)


def _input_lines(stack: Stack, job: Job) -> list[bytes]:
    return _input(stack, job).split(b"\n")


def _input(stack: Stack, job: Job) -> bytes:
    with stack.objects.read(job.input) as stream:
        body = stream.read()
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The request of a line, or None if it is none: an oracle of its own, for the lines that these tests drop."""
    try:
        row: Any = json.loads(line)
        return row if row["params"]["messages"] and row["params"]["max_tokens"] else None
    except (ValueError, LookupError, TypeError):
        return None


def _statuses(prompt: str, allowed: Allowed, *, unusable: bool = False) -> Set[str]:
    """How a row may end. Without leave there is one way. `unusable`: answers that a recipe cannot use are errors."""
    steps: list[str] = []
    fate = fate_of(prompt)
    for attempt in range(MAX_ATTEMPTS):
        outcome = fate[min(attempt, len(fate) - 1)]
        steps.append("succeeded" if outcome in UNUSABLE and not unusable else _status(outcome))
        if not (outcome == "silent" or (unusable and outcome == "truncated") or retryable(steps[-1], outcome)):
            break
    withheld = ["missing"] if allowed.withheld and steps[-1] != "succeeded" else []
    return {*(steps if allowed.steps else steps[-1:]), *withheld, *allowed.statuses}


def _status(outcome: str) -> str:
    return {"succeeded": "succeeded", "expired": "expired", "lost": "missing", "silent": "missing"}.get(outcome, "errored")


# ---------------------------------------------------------------- what the outbox holds


def _delivered(stack: Stack, job: Job) -> Iterator[tuple[int, str, str, str]]:
    """Line, status, custom id and text of every row in the outputs."""
    for row in stack.lines("results.jsonl", job):
        result: Mapping[str, Any] = row["result"]
        text = result["message"]["content"][0]["text"] if result["type"] == "succeeded" else ""
        yield row["line"], result["type"], row["custom_id"], json.loads(text)["answer"] if "output" in row else text
    for row in stack.lines("failed.jsonl", job):
        yield row["_batchdrop"]["line"], row["_batchdrop"]["status"], str(row.get("custom_id", "")), ""


def _asked_again(stack: Stack) -> Counter[str]:
    """How often people have sent a row again whose paid answer was lost: its end says that it may be paid twice then."""
    dropped: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for job in stack.jobs():
        dropped.update(_prompts(stack, job))
        for row in stack.lines("failed.jsonl", job):
            if row["_batchdrop"]["status"] == "missing" and ("params" in row or is_table(job)):
                missing[row["text"] if is_table(job) else prompt_of(row["params"])] += 1
    return Counter({prompt: min(number, dropped[prompt] - 1) for prompt, number in missing.items()})


def _prompts(stack: Stack, job: Job) -> Iterator[str]:
    if is_table(job):
        yield from (row.text for row in rows_of(_input(stack, job)))
    else:
        yield from (prompt_of(row["params"]) for line in _input_lines(stack, job) if (row := _parsed(line)))
