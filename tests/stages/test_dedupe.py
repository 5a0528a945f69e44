"""`dedupe`: equal requests of a batch are sent once, and every row with such a request gets the answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchdrop.domain.messages import Upload
from batchdrop.domain.records import Job, JobState
from tests.fakes.claude import FakeClaude, Withheld, greet
from tests.money import purses_kept
from tests.stack import Stack, row
from tests.stages.row_jobs import EXPIRED, priced_table, prompt_of, run, said, stack_of, table
from tests.stages.test_cache import RECIPE as CACHED
from tests.stages.test_pilot import approve, asked, long_answer
from tests.stages.test_splitting import poison
from tests.stages.test_warm_up import Prefixes

DEDUPE = {"batchdrop-dedupe": "true"}
RECIPE = b"model: claude-haiku-4-5\nprompt: '{{ text }}'\ndedupe: true\n"
OVERLOADED = {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}
BAD = {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}}


type Fates = Mapping[str, tuple[Mapping[str, object] | Withheld, ...]]


def lines_of(*prompts: str, **params: Any) -> bytes:
    return b"\n".join(row(f"row {number}", prompt, **params) for number, prompt in enumerate(prompts, 1))


def sent(stack: Stack) -> list[int]:
    """The line of every request that was ever accepted, in order."""
    return [int(custom_id.rpartition("-")[2]) for custom_id in stack.claude.custom_ids()]


def dropped(stack: Stack, body: bytes, metadata: Mapping[str, str] = DEDUPE) -> Job:
    stack.drop("inbox/team/file.jsonl", body, dict(metadata))
    stack.run()
    job = stack.job()
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    assert list(purses_kept(stack.ledger)) == []
    assert stack.ledger.get_admission().queued == 0
    return job


def billed(stack: Stack) -> Decimal:
    """Of all rows, as the files say it."""
    costs = [json.loads(line, parse_float=Decimal) for line in stack.output("results.jsonl").splitlines()]
    return sum((Decimal(line["cost_usd"]) for line in costs), Decimal(0))


def test_equal_requests_are_sent_once_and_all_have_the_answer() -> None:
    stack = Stack()
    job = dropped(stack, lines_of("a", "b", "a", "c", "b", "a"))
    assert sent(stack) == [1, 2, 4]
    lines = stack.lines("results.jsonl")
    assert [(line["line"], line["custom_id"]) for line in lines] == [(n, f"row {n}") for n in range(1, 7)]
    assert [line.get("copied_from") for line in lines] == [None, None, 1, None, 2, 1]
    assert [line["cost_usd"] > 0 for line in lines] == [True, True, False, True, False, False]
    assert lines[2]["result"] == lines[5]["result"] == lines[0]["result"]
    manifest = stack.document("manifest.json")
    assert manifest["rows_copied"] == stack.document("status.json")["rows_copied"] == 3
    assert manifest["usage"]["claude-haiku-4-5"]["requests"] == 3
    assert manifest["batches"][0]["requests"] == 3
    assert manifest["counts"]["succeeded"] == manifest["counts"]["total"] == 6
    assert Decimal(str(manifest["cost"]["usd"])) == billed(stack)
    assert job.used == job.spent == 53
    assert "3 rows ask for the same as another row, end as it does and cost nothing." in manifest["message"]


def test_it_is_off_by_default() -> None:
    stack = Stack()
    dropped(stack, lines_of("a", "a", "a"), {})
    assert sent(stack) == [1, 2, 3]
    assert "rows_copied" not in stack.document("manifest.json")
    assert all("copied_from" not in line for line in stack.lines("results.jsonl"))


def test_what_is_sent_takes_the_room_and_the_money() -> None:
    stack = Stack(queue_limit=6, max_requests=6)
    stack.claude.seconds = 600
    stack.drop("inbox/team/file.jsonl", lines_of("a", "b", "a", "c", "b", "a"), DEDUPE)
    batch = stack.batches()[0]
    assert (batch.requests, batch.copies, stack.ledger.get_admission().queued) == (3, 3, 3)
    assert sum(size.requests for size in batch.sizes.values()) == 3
    stack.run()
    assert stack.job().state is JobState.done
    assert len(stack.claude.bodies[0]) == batch.body_bytes


def test_batches_do_not_share_answers_and_have_no_more_rows() -> None:
    stack = Stack(max_requests=3)
    dropped(stack, lines_of("a", "a", "b", "a", "a", "a"))
    assert sent(stack) == [1, 3, 4]
    assert [line.get("copied_from") for line in stack.lines("results.jsonl")] == [None, 1, None, None, 4, 4]


def by_prompt(fates: Fates, stack: list[Stack]) -> Any:
    """By the prompt, attempt after attempt; the last one holds for all later attempts."""

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object] | Withheld:
        steps = fates.get(prompt_of(params), ())
        attempt = stack[0].attempt_of(custom_id) if steps else 0
        fate = steps[min(attempt, len(steps)) - 1] if steps else {}
        return greet(custom_id, params) if fate == {} else fate

    return answer


def stack_with(fates: Fates, **more: Any) -> Stack:
    held: list[Stack] = []
    stack = Stack(api=lambda clock, hooks: FakeClaude(clock, hooks, answer=by_prompt(fates, held)), **more)
    held.append(stack)
    return stack


def failures(stack: Stack) -> dict[int, tuple[str, str, int, int | None]]:
    found = {line["_batchdrop"]["line"]: line["_batchdrop"] for line in stack.lines("failed.jsonl")}
    return {
        line: (note["status"], note["error"]["type"], note["attempts"], note.get("copied_from")) for line, note in found.items()
    }


def test_a_failed_row_fails_its_copies_by_the_same_reason() -> None:
    stack = stack_with({"bad": (BAD,), "late": (EXPIRED,), "silent": (Withheld("expired"),)})
    job = dropped(stack, lines_of("bad", "late", "bad", "silent", "late", "ok", "silent", "ok"))
    assert failures(stack) == {
        1: ("errored", "invalid_request_error", 1, None),
        2: ("expired", "expired", 3, None),
        3: ("errored", "invalid_request_error", 1, 1),
        4: ("missing", "missing_result", 3, None),
        5: ("expired", "expired", 3, 2),
        7: ("missing", "missing_result", 3, 4),
    }
    assert job.rows_copied == 4
    # What goes again, goes once again.
    assert Counter(sent(stack)) == {1: 1, 2: 3, 4: 3, 6: 1}
    assert [(batch.attempt, batch.requests, batch.copies) for batch in stack.batches()] == [(1, 4, 4), (2, 2, 2), (3, 2, 2)]


def test_what_goes_again_is_answered_once_for_all() -> None:
    stack = stack_with({"busy": (OVERLOADED, {})})
    dropped(stack, lines_of("busy", "a", "busy", "a", "busy"))
    lines = stack.lines("results.jsonl")
    assert [(line["attempts"], line.get("copied_from")) for line in lines] == [(2, None), (1, None), (2, 1), (1, 2), (2, 1)]
    assert Counter(sent(stack)) == {1: 2, 2: 1}
    assert Decimal(str(stack.document("manifest.json")["cost"]["usd"])) == billed(stack)


def test_failed_rows_are_dropped_again_each_and_sent_once_again() -> None:
    stack = stack_with({"busy": (OVERLOADED,)}, max_attempts=1)
    job = dropped(stack, lines_of("busy", "ok", "busy", "busy"))
    assert len(stack.lines("failed.jsonl")) == 3
    stack.claude.answer = greet
    stack.command("retry", job.id)
    dropped_again = stack.objects.head(f"inbox/team/file.retry-of-{job.id}.jsonl").ref
    stack.deliver(
        Upload(key=dropped_again.key, version_id=dropped_again.version_id, etag="", size=dropped_again.size, at=stack.clock.now())
    )
    stack.run()
    again = stack.jobs()[-1]
    assert again.id != job.id
    assert (again.counts.succeeded, again.rows_copied) == (3, 2)
    assert stack.claude.requests_of(stack.claude.ids[-1])[0].endswith("-1")
    assert len(stack.claude.requests_of(stack.claude.ids[-1])) == 1
    assert stack.audit() == []


# ---------------------------------------------------------------- recipes


def test_a_recipe_asks_for_it_and_every_row_of_the_table_has_the_answer() -> None:
    stack = stack_of(lambda _, params: said(f"said {prompt_of(params)}"))
    job = run(stack, "rows.csv", b"id,text\n1,a\n2,b\n3,a\n", RECIPE)
    assert sent(stack) == [2, 3]
    rows = priced_table(stack)
    assert [row[:6] for row in rows[1:]] == [
        ["1", "a", "said a", "2", "succeeded", ""],
        ["2", "b", "said b", "3", "succeeded", ""],
        ["3", "a", "said a", "4", "succeeded", ""],
    ]
    assert [Decimal(row[6]) > 0 for row in rows[1:]] == [True, True, False]
    assert job.rows_copied == 1
    assert [line["row"]["id"] for line in stack.lines("results.jsonl")] == ["1", "2", "3"]


def test_an_answer_that_cannot_be_used_is_paid_once_and_counted_once() -> None:
    stack = stack_of(lambda _, params: said("cut o", stop="max_tokens") if prompt_of(params) == "cut" else said("good"))
    run(stack, "rows.csv", b"id,text\n1,cut\n2,ok\n3,cut\n4,cut\n", RECIPE)
    assert failures(stack) == {
        2: ("errored", "truncated", 1, None),
        4: ("errored", "truncated", 1, 2),
        5: ("errored", "truncated", 1, 2),
    }
    notes = [line["_batchdrop"] for line in stack.lines("failed.jsonl")]
    assert [note["answer"] for note in notes] == ["cut o"] * 3
    assert [note["cost_usd"] > 0 for note in notes] == [True, False, False]
    manifest = stack.document("manifest.json")
    assert manifest["unusable"] == {"truncated": 1}
    assert manifest["usage"]["claude-haiku-4-5"]["requests"] == 2
    assert [row[-2:] for row in table(stack, "failed.csv")[1:]] == [[notes[0]["error"]["message"], "cut o"]] * 3


def test_rows_that_are_asked_differently_are_asked_once_too() -> None:
    recipe = RECIPE + b"max_tokens: 100\nretry:\n  truncated: {max_tokens: 500}\n"

    def answer(_: str, params: dict[str, Any]) -> Mapping[str, object]:
        short = "cut" in prompt_of(params) and params["max_tokens"] == 100
        return said("cut o", stop="max_tokens") if short else said("x")

    stack = stack_of(answer)
    run(stack, "rows.csv", b"text\ncut a\ncut b\ncut a\ncut b\nok\n", recipe)
    assert Counter(sent(stack)) == {2: 2, 3: 2, 6: 1}
    lines = stack.lines("results.jsonl")
    assert [(line["line"], line["attempts"], line.get("copied_from")) for line in lines] == [
        (2, 2, None),
        (3, 2, None),
        (4, 2, 2),
        (5, 2, 3),
        (6, 1, None),
    ]
    assert [line["cost_usd"] > 0 for line in lines] == [True, True, False, False, True]
    assert Decimal(str(stack.document("manifest.json")["cost"]["usd"])) == billed(stack)


def test_an_eval_counts_every_row() -> None:
    recipe = b"model: claude-haiku-4-5\nprompt: '{{ text }}'\ndedupe: true\nexpected: is\noutput: {label: [good, bad]}\n"
    stack = stack_of(lambda _, params: said(json.dumps({"label": prompt_of(params)})))
    run(stack, "rows.csv", b"text,is\ngood,good\ngood,bad\nbad,bad\ngood,good\n", recipe)
    expected = stack.document("manifest.json")["expected"]
    assert (expected["rows"], expected["right"]) == (4, 3)


# ---------------------------------------------------------------- a batch that is refused as a whole


@pytest.mark.parametrize("prompts", ["abpabcabcapcbbap", "ppaappaa", "apapapap", "abcdefgp"])
def test_a_row_at_fault_fails_its_copies_and_no_others(prompts: str) -> None:
    stack = Stack()
    poison(stack, b"poison")
    body = lines_of(*("poison" if prompt == "p" else prompt for prompt in prompts))
    lines = body.split(b"\n")
    lines.insert(3, b"not a row")
    stack.drop("inbox/team/file.jsonl", b"\n".join(lines), DEDUPE)
    stack.run(60)
    job = stack.job()
    assert job.state is JobState.done
    failed = {line["custom_id"] for line in stack.lines("failed.jsonl") if line["_batchdrop"]["status"] == "errored"}
    assert failed == {f"row {number}" for number, prompt in enumerate(prompts, 1) if prompt == "p"}
    assert job.counts.succeeded == len(prompts) - prompts.count("p")
    # Each piece is counted anew, and so has each request once.
    for body in stack.claude.bodies:
        asked_for = [prompt_of(request["params"]) for request in json.loads(body)["requests"]]
        assert len(asked_for) == len(set(asked_for))
    sizes = {body_of["requests"][0]["custom_id"]: len(body) for body in stack.claude.bodies if (body_of := json.loads(body))}
    for batch in stack.batches():
        if batch.api_id is not None:
            assert sizes[stack.claude.requests_of(batch.api_id)[0]] == batch.body_bytes
            assert sum(size.requests for size in batch.sizes.values()) == batch.requests
    assert stack.audit() == []
    assert stack.ledger.get_admission().queued == 0


# ---------------------------------------------------------------- rows that are tried first


PROMPTS = tuple(f"Hello {number % 30}" for number in range(60))
DEAR = lines_of(*PROMPTS, max_tokens=4_000)


def dear_stack(answer: Any = long_answer, **more: Any) -> Stack:
    given = {"ask_above": "0.22", "max_requests": 25, **more}
    return Stack(api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer), **given)


def until_asked(stack: Stack, body: bytes = DEAR) -> Job:
    stack.drop("inbox/team/file.jsonl", body, DEDUPE)
    return asked(stack)


@pytest.mark.parametrize("max_requests", [100, 25, 7])
def test_rows_that_were_tried_answer_their_equals(max_requests: int) -> None:
    stack = dear_stack(max_requests=max_requests)
    job = until_asked(stack)
    tried = sent(stack)
    assert len(tried) == len({PROMPTS[line - 1] for line in tried}) == 20
    assert job.question is not None
    waiting = [batch for batch in stack.batches() if batch.waiting]
    assert job.question.rows == sum(batch.requests for batch in waiting)
    approve(stack, job)
    stack.run()
    job = stack.job()
    assert job.state is JobState.done
    assert stack.audit() == []
    lines = stack.lines("results.jsonl")
    assert [line["line"] for line in lines] == list(range(1, 61))
    for line in lines:
        source = line.get("copied_from", line["line"])
        assert PROMPTS[source - 1] == PROMPTS[line["line"] - 1]
        assert (line["cost_usd"] == 0) == ("copied_from" in line)
        assert line["result"]["message"]["id"] == f"msg_{source}"
    for batch in (batch for batch in stack.batches() if not batch.tries):
        of_batch = range(batch.first_line, batch.last_line + 1)
        assert len(set(sent(stack)) & set(of_batch)) == len({PROMPTS[line - 1] for line in of_batch})
    assert Decimal(str(stack.document("manifest.json")["cost"]["usd"])) == billed(stack)
    assert job.rows_copied == 60 - len(sent(stack))


def test_a_file_of_few_requests_is_its_own_pilot() -> None:
    stack = dear_stack(ask_above="0.01", max_requests=100)
    job = until_asked(stack, lines_of(*("ab" * 30), max_tokens=4_000))
    assert job.question is not None
    assert (job.question.for_pilot, job.question.rows) == (True, 2)
    approve(stack, job)
    stack.run()
    assert stack.job().state is JobState.done
    assert len(sent(stack)) == 2
    assert len(stack.lines("results.jsonl")) == 60
    assert stack.audit() == []


def test_tried_rows_that_failed_fail_their_equals() -> None:
    recipe = b"model: claude-haiku-4-5\nprompt: '{{ text }}'\ndedupe: true\nmax_tokens: 4000\n"
    texts = [f"{('bad', 'cut', 'fine')[number % 3]} {number % 20}" for number in range(60)]

    def answer(_: str, params: dict[str, Any]) -> Mapping[str, object]:
        word = prompt_of(params).split()[0]
        return {"bad": BAD, "cut": said("cu", stop="max_tokens"), "fine": said("fine")}[word]

    stack = Stack(ask_above="0.30", api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer))
    stack.drop("inbox/team/recipe.yaml", recipe)
    stack.drop("inbox/team/rows.csv", b"text\n" + b"".join(f"{text}\n".encode() for text in texts))
    stack.run()
    job = stack.job()
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    assert Counter(sent(stack)).total() == len(set(texts))
    cells = table(stack)[1:]
    assert [row[0] for row in cells] == texts
    words = {"bad": "errored", "cut": "errored", "fine": "succeeded"}
    assert [row[3] for row in cells] == [words[text.split()[0]] for text in texts]
    notes = {line["_batchdrop"]["line"]: line["_batchdrop"] for line in stack.lines("failed.jsonl")}
    for number, text in enumerate(texts, 2):
        if text.startswith("cut"):
            assert notes[number]["answer"] == "cu"
            assert notes[number]["result"]["message"]["stop_reason"] == "max_tokens"


def test_answers_of_tried_rows_that_are_gone_are_missing_to_all_who_share_them() -> None:
    stack = dear_stack(max_requests=100)
    job = until_asked(stack)
    tried = sorted(sent(stack))
    for key in stack.objects.keys(f"work/{job.id}/000000000000.01/"):
        stack.objects.purge(key)
    approve(stack, job)
    stack.run()
    job = stack.job()
    assert job.state is JobState.done
    lost = {line: end for line, end in failures(stack).items() if end[1] == "tried_answer_lost"}
    assert {line: end[3] or line for line, end in lost.items()} == {
        line: PROMPTS.index(prompt) + 1 for line, prompt in enumerate(PROMPTS, 1) if PROMPTS.index(prompt) + 1 in tried
    }
    assert (job.counts.missing, job.counts.succeeded) == (40, 20)
    assert len(sent(stack)) == 30


def test_answers_of_tried_rows_wait_for_the_file_that_tells_who_shares_them() -> None:
    stack = dear_stack(ask_above="0.01", max_requests=100)
    opens_at = stack.clock.now() + timedelta(hours=6)
    job = until_asked(stack, lines_of(*("ab" * 30), max_tokens=4_000))

    def shut() -> bool:
        return stack.batches()[0].collected_at is not None and stack.clock.now() < opens_at

    stack.objects.forbid("inbox/team/file.jsonl", when=shut)
    approve(stack, job)
    stack.run(9 * 60)
    assert stack.job().state is JobState.done
    assert stack.job().counts.succeeded == 60
    assert [line["custom_id"] for line in stack.lines("results.jsonl")] == [f"row {number}" for number in range(1, 61)]


@pytest.mark.parametrize("place", [0, 3, 9])
def test_a_batch_with_tried_rows_is_cut_between_them_and_their_equals(place: int) -> None:
    stack = dear_stack(max_requests=100)
    job = until_asked(stack)
    tried = {PROMPTS[line - 1] for line in sent(stack)}
    at_fault = [prompt for prompt in dict.fromkeys(PROMPTS) if prompt not in tried][place]
    poison(stack, f'"{at_fault}"'.encode())
    approve(stack, job)
    for _ in range(10 * 60):
        stack.step()
        job = stack.job()
        if job.state is JobState.held and job.question is not None:
            approve(stack, job)  # halves may hold the same request, and cost more than one
    assert job.state is JobState.done, (job.state, job.reason)
    assert stack.audit() == []
    assert list(purses_kept(stack.ledger)) == []
    assert {PROMPTS[line - 1] for line in failures(stack)} == {at_fault}
    for line in stack.lines("results.jsonl"):
        source = line.get("copied_from", line["line"])
        assert PROMPTS[source - 1] == PROMPTS[line["line"] - 1]
        assert line["result"]["message"]["id"] == f"msg_{source}"
    assert Decimal(str(stack.document("manifest.json")["cost"]["usd"])) == billed(stack)
    assert set(Counter(sent(stack)).values()) == {1}


@pytest.mark.parametrize("max_requests", [100, 25])
def test_without_a_yes_tried_rows_still_answer_their_equals(max_requests: int) -> None:
    stack = dear_stack(max_requests=max_requests)
    job = until_asked(stack)
    tried = sent(stack)
    stack.command("cancel", job.id)
    stack.run()
    job = stack.job()
    assert job.state is JobState.canceled
    assert len(sent(stack)) == 20
    assert stack.audit() == []
    of_batch = {
        line: batch for batch in stack.batches() if not batch.tries for line in range(batch.first_line, batch.last_line + 1)
    }
    answered = {
        line
        for line, prompt in enumerate(PROMPTS, 1)
        if any(PROMPTS[one - 1] == prompt and of_batch[one] is of_batch[line] for one in tried)
    }
    assert {line["line"] for line in stack.lines("results.jsonl")} == answered
    assert job.rows_copied == len(answered) - 20
    assert {end[3] for end in failures(stack).values()} == {None}


@pytest.mark.parametrize("ask_above", ["", "0.15"])
def test_a_row_that_writes_the_cache_answers_its_equals(ask_above: str) -> None:
    """The warm-up's row and those that are tried are different requests, and answer the others of their batch."""
    stack = Stack(
        max_requests=100,
        ask_above=ask_above,
        api=lambda clock, hooks: FakeClaude(clock, hooks, answer=Prefixes()),
    )
    texts = [f"Text {number % 40}" for number in range(80)]
    body = b"text\n" + b"".join(f"{text}\n".encode() for text in texts)
    recipe = CACHED.replace(b"max_tokens: 100", b"max_tokens: 20000") if ask_above else CACHED
    stack.drop("inbox/team/recipe.yaml", recipe + b"dedupe: true\n")
    stack.drop("inbox/team/rows.csv", body)
    for _ in range(200):
        stack.step()
        job = stack.job()
        if job.state is JobState.held and job.question is not None:
            approve(stack, job)
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    assert list(purses_kept(stack.ledger)) == []
    assert [len(json.loads(body)["requests"]) for body in stack.claude.bodies] == ([1, 19, 20] if ask_above else [1, 39])
    assert set(Counter(sent(stack)).values()) == {1}
    assert [row[1] for row in table(stack)[1:]] == [f"About {text}" for text in texts]
    assert job.rows_copied == 40
    assert Decimal(str(stack.document("manifest.json")["cost"]["usd"])) == billed(stack)


# ---------------------------------------------------------------- what else may happen to a batch


@pytest.mark.parametrize("spool_bytes", [500, 700, 1_500, 10_000])
def test_answers_that_do_not_fit_the_disk_at_once_reach_their_copies(spool_bytes: int) -> None:
    stack = Stack(spool_bytes=spool_bytes)
    prompts = "abcdefghij" + "jihgfedcba" + "aaaabbbb"
    dropped(stack, lines_of(*prompts))
    lines = stack.lines("results.jsonl")
    assert [line.get("copied_from", line["line"]) for line in lines] == [prompts.index(prompt) + 1 for prompt in prompts]
    assert [line["result"]["message"]["id"] for line in lines] == [f"msg_{prompts.index(prompt) + 1}" for prompt in prompts]


def test_an_answer_that_is_late_is_waited_for_by_all_its_rows() -> None:
    stack = Stack()
    stack.claude.line_lag = lambda custom_id: 600 if custom_id.endswith("-1") else 0
    dropped(stack, lines_of("slow", "fast", "slow", "fast"))
    assert Counter(sent(stack)) == {1: 1, 2: 1}
    assert [line.get("copied_from") for line in stack.lines("results.jsonl")] == [None, None, 1, 2]


def test_an_answer_that_never_comes_is_reserved_once() -> None:
    stack = stack_with({"lost": (Withheld("succeeded"),)}, ask_above="1")
    stack.drop("inbox/team/file.jsonl", lines_of("lost", "ok", "lost", "lost", max_tokens=1_000), DEDUPE)
    most = stack.job().used
    stack.run(60 * 24 * 8)
    job = stack.job()
    assert job.state is JobState.done
    assert failures(stack) == {
        1: ("missing", "answer_not_delivered", 1, None),
        3: ("missing", "answer_not_delivered", 1, 1),
        4: ("missing", "answer_not_delivered", 1, 1),
    }
    notes = {line["_batchdrop"]["line"]: line["_batchdrop"] for line in stack.lines("failed.jsonl")}
    assert [notes[line].get("cost_usd", 0) for line in (1, 3, 4)] == [None, 0, 0]
    assert most / 2 < job.spent <= most
    assert stack.audit() == []


def test_rows_that_go_again_and_are_refused_then_have_been_sent_as_their_originals() -> None:
    stack = stack_with({"busy": (OVERLOADED,)})
    stack.drop("inbox/team/file.jsonl", lines_of("busy", "ok", "busy"), DEDUPE)
    poison(stack, b'busy"', 413)
    stack.claude._check, refuses = FakeClaude._check.__get__(stack.claude), stack.claude._check  # type: ignore[method-assign]
    stack.step()
    stack.claude._check = refuses  # type: ignore[method-assign]
    stack.run()
    assert failures(stack) == {1: ("errored", "invalid_request_error", 1, None), 3: ("errored", "invalid_request_error", 1, 1)}
    assert stack.audit() == []


def test_a_canceled_job_delivers_what_has_finished_with_its_copies() -> None:
    stack = Stack(max_requests=4, queue_limit=4)
    stack.claude.seconds = 300
    stack.drop("inbox/team/file.jsonl", lines_of(*"aabbccddeeffgghhiijjkkll"), DEDUPE)
    while not stack.job().batches_collected:
        stack.step()
    stack.command("cancel", stack.job().id)
    stack.run()
    job = stack.job()
    assert job.state is JobState.canceled
    assert job.counts.succeeded + job.counts.canceled == 24
    assert job.counts.succeeded >= 4
    # Rows of a batch that was never sent are no copies: nothing of it was paid.
    unsent = [batch for batch in stack.batches() if batch.api_id is None]
    copied = [line.get("copied_from") for line in stack.lines("results.jsonl")]
    assert unsent
    assert (
        sum(source is not None for source in copied) + sum(end[3] is not None for end in failures(stack).values())
        == job.rows_copied
    )
    assert not any(failures(stack)[line][3] for batch in unsent for line in range(batch.first_line, batch.last_line + 1))
    assert stack.audit() == []


def test_without_its_input_every_answer_is_kept_and_every_row_counted() -> None:
    stack = Stack()
    stack.claude.seconds = 300
    stack.drop("inbox/team/file.jsonl", lines_of("a", "b", "a", "b", "a"), DEDUPE)
    stack.step()
    stack.objects.purge("inbox/team/file.jsonl")
    stack.run()
    job = stack.job()
    assert job.state is JobState.done
    assert (job.counts.succeeded, job.counts.missing, job.counts.total) == (2, 3, 5)
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 2]
    (reason,) = {line["_batchdrop"]["error"]["message"] for line in stack.lines("failed.jsonl")}
    assert "sent as another row's" in reason


def test_without_the_list_of_invalid_rows_every_answer_is_kept_and_every_row_counted() -> None:
    stack = Stack()
    stack.claude.seconds = 300
    stack.drop("inbox/team/file.jsonl", lines_of("a", "b", "a", "b", "a") + b"\nnot json", DEDUPE)
    stack.step()
    for key in stack.objects.keys(f"work/{stack.job().id}/invalid"):
        stack.objects.purge(key)
    stack.run()
    job = stack.job()
    assert job.state is JobState.done
    assert (job.counts.succeeded, job.counts.invalid, job.counts.total) == (2, 4, 6)
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 2]
    assert {end[1] for end in failures(stack).values()} == {"unlisted"}
    assert stack.audit() == []


def test_rows_with_one_custom_id_and_rows_that_are_none_stay_invalid() -> None:
    stack = Stack()
    lines = [row("x", "a"), row("x", "a"), b"nothing", row("y", "a"), b"", row("z", "a")]
    dropped(stack, b"\n".join(lines))
    assert sent(stack) == [1]
    assert {line: end[1] for line, end in failures(stack).items()} == {2: "duplicate_custom_id", 3: "not_json"}
    assert [line.get("copied_from") for line in stack.lines("results.jsonl")] == [None, 1, 1]


def test_requests_are_equal_byte_for_byte_only() -> None:
    stack = Stack()
    one = b'{"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}'
    lines = [b'{"params": %b}' % params for params in (one, one.replace(b": 9", b":9"), one, one.replace(b"9", b"10"))]
    dropped(stack, b"\n".join(lines))
    assert sent(stack) == [1, 2, 4]


def test_a_long_file_is_deduped_alike_however_often_planning_begins_again() -> None:
    prompts = [f"prompt {number % 7}" for number in range(9_000)]
    whole = Stack(max_requests=2_500, max_body_bytes=100_000_000)
    dropped(whole, lines_of(*prompts))
    stack = Stack(max_requests=2_500, max_body_bytes=100_000_000, timeout=0.5)
    stack.hooks.before = lambda _: stack.clock.advance(0.05)
    stack.drop("inbox/team/file.jsonl", lines_of(*prompts), DEDUPE)
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.audit() == []
    for batch in stack.batches():
        assert batch.requests == 7
    assert len(stack.batches()) >= len(whole.batches())
    assert stack.job().rows_copied == 9_000 - 7 * len(stack.batches())


_STATUSES = {"bad": "errored", "late": "expired", "busy": "succeeded", "poison": "errored"}


@settings(max_examples=40, deadline=None)
@given(
    prompts=st.lists(
        st.sampled_from(["a", "b", "c", "bad", "late", "busy", "busy 2", "poison", "not json", ""]), min_size=1, max_size=40
    ),
    max_requests=st.integers(1, 12),
    spool_bytes=st.sampled_from([500, 900, 100_000]),
    asks=st.booleans(),
)
def test_whatever_is_equal_every_row_has_its_own_end_and_each_batch_pays_it_once(
    prompts: list[str], max_requests: int, spool_bytes: int, asks: bool
) -> None:
    fates: Fates = {
        "bad": (BAD,),
        "late": (EXPIRED,),
        "busy": (OVERLOADED, {}),
        "busy 2": (EXPIRED, {}),
    }
    stack = stack_with(
        fates, max_requests=max_requests, spool_bytes=spool_bytes, max_attempts=2, ask_above="0.0001" if asks else ""
    )
    poison(stack, b"poison")
    # So that something of the file is always accepted.
    lines = [row("ok", "fine"), row("fine", "also")]
    lines += [
        text.encode() if text in ("", "not json") else row(f"row {number}", text, max_tokens=20)
        for number, text in enumerate(prompts, 3)
    ]
    stack.drop("inbox/team/file.jsonl", b"\n".join(lines), DEDUPE)
    for minute in range(400):
        # A row that is refused alone may wait for days until it is known to be at fault.
        stack.clock.advance(3_000 if minute > 100 else 0)
        stack.step()
        job = stack.job()
        if job.state is JobState.held and job.question is not None:
            approve(stack, job)
        elif job.finished_at:
            break
    job = stack.job()
    assert job.state is JobState.done, (job.state, job.reason)
    assert stack.audit() == []
    assert list(purses_kept(stack.ledger)) == []
    texts = dict(enumerate(["fine", "also", *prompts], 1))
    ends = {line["line"]: ("succeeded", line.get("copied_from")) for line in stack.lines("results.jsonl")}
    ends |= {line: (end[0], end[3]) for line, end in failures(stack).items()}
    assert set(ends) == {line for line, text in texts.items() if text}
    for line, (status, source) in ends.items():
        expected = "invalid" if texts[line] == "not json" else _STATUSES.get(texts[line], "succeeded")
        assert (line, status) == (line, expected)
        assert source is None or texts[source] == texts[line] != "not json"
    for line in stack.lines("results.jsonl"):
        assert line["result"]["message"]["id"] == f"msg_{line.get('copied_from', line['line'])}"
        assert (line["cost_usd"] == 0) == ("copied_from" in line)
    for body in stack.claude.bodies:
        asked_for = [prompt_of(request["params"]) for request in json.loads(body)["requests"]]
        assert len(asked_for) == len(set(asked_for))
    assert Decimal(str(stack.document("manifest.json")["cost"]["usd"])) == billed(stack)
    answered = Counter(line for line in sent(stack) if texts[line] not in ("busy", "busy 2", "late"))
    assert set(answered.values()) == {1}
