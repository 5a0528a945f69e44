"""Which rows go again, how often, and that nobody can tell from the order of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.fakes.claude import Answer, Withheld, greet
from tests.faults.scenarios import EXPIRED, RETRYABLE, errored, fated, mixed_rows
from tests.stack import Stack, row, rows

PERMANENT = ("invalid_request_error", "authentication_error", "permission_error", "not_found_error", "request_too_large", "")


def line_of(custom_id: str) -> int:
    return int(custom_id.rpartition("-")[2])


def always(stack: Stack, result: Mapping[str, object] | Withheld, *, of: int = 0, until_attempt: int = 99) -> Answer:
    """The answer of one line (of every line for 0) up to an attempt; greetings otherwise."""

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object] | Withheld:
        meant = of in (0, line_of(custom_id)) and stack.attempt_of(custom_id) <= until_attempt
        return result if meant else greet(custom_id, params)

    return answer


def attempts_sent(stack: Stack) -> dict[int, int]:
    return dict(sorted(Counter(map(line_of, stack.claude.custom_ids())).items()))


@pytest.mark.parametrize(
    "result",
    [*map(errored, RETRYABLE), EXPIRED, Withheld("expired"), Withheld("errored")],
    ids=[*RETRYABLE, "expired", "expired without a line", "errored without a line"],
)
def test_what_may_pass_goes_again_alone(result: Mapping[str, object] | Withheld) -> None:
    stack = Stack()
    stack.claude.answer = always(stack, result, of=2, until_attempt=1)
    stack.drop("inbox/a.jsonl", rows(3))
    stack.run()
    assert attempts_sent(stack) == {1: 1, 2: 2, 3: 1}
    assert [(line["line"], line["attempts"]) for line in stack.lines("results.jsonl")] == [(1, 1), (2, 2), (3, 1)]
    assert stack.audit() == []


@pytest.mark.parametrize("kind", PERMANENT)
def test_what_will_not_pass_is_not_sent_again(kind: str) -> None:
    stack = Stack()
    stack.claude.answer = always(stack, errored(kind))
    stack.drop("inbox/a.jsonl", rows(3))
    stack.run()
    assert attempts_sent(stack) == {1: 1, 2: 1, 3: 1}
    assert len(stack.batches()) == 1
    assert {line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")} == {kind}
    assert stack.audit() == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_the_attempt_limit(limit: int) -> None:
    stack = Stack(max_attempts=limit)
    stack.claude.answer = always(stack, EXPIRED, of=1)
    stack.drop("inbox/a.jsonl", rows(2))
    stack.run()
    assert attempts_sent(stack) == {1: limit, 2: 1}
    (failed,) = stack.lines("failed.jsonl")
    assert failed["_batchdrop"]["attempts"] == limit
    assert failed["_batchdrop"]["status"] == "expired"
    assert stack.document("manifest.json")["counts"]["expired"] == 1
    assert stack.audit() == []


@pytest.mark.parametrize("order", [1, -1])
def test_outputs_are_in_input_order_whatever_attempt_answered(order: int) -> None:
    stack = Stack(max_requests=4)

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        late = (line_of(custom_id) % 3 + 1) * order % 4
        return greet(custom_id, params) if stack.attempt_of(custom_id) >= late else errored("overloaded_error")

    stack.claude.answer = answer
    stack.drop("inbox/a.jsonl", rows(20))
    stack.run()
    lines = [line["line"] for line in stack.lines("results.jsonl")]
    assert lines == sorted(lines)
    assert lines == list(range(1, 21))
    assert stack.audit() == []


def test_a_follow_up_has_the_size_that_was_foretold() -> None:
    stack = Stack()
    stack.claude.answer = always(stack, EXPIRED, until_attempt=1)
    stack.drop("inbox/a.jsonl", rows(12))
    stack.run()
    assert [batch.body_bytes for batch in stack.batches()] == [len(body) for body in stack.claude.bodies]
    assert [batch.attempt for batch in stack.batches()] == [1, 2]


def test_every_end_at_once() -> None:
    stack = Stack(max_requests=3)
    stack.claude.answer = fated(stack.attempt_of)
    stack.drop("inbox/a.jsonl", mixed_rows())
    stack.run()
    assert [(line["line"], line["attempts"]) for line in stack.lines("results.jsonl")] == [
        (1, 1), (2, 2), (3, 3), (5, 2), (10, 1), (11, 2),
    ]  # fmt: skip
    failed = [(line["_batchdrop"]["line"], line["_batchdrop"]["status"]) for line in stack.lines("failed.jsonl")]
    assert failed == [(4, "invalid"), (6, "errored"), (8, "invalid"), (9, "errored"), (12, "invalid")]
    assert stack.audit() == []


def test_a_repeated_line_does_not_hide_a_missing_one() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    stack.claude.garble = lambda lines: b"\n".join([lines.split(b"\n")[0]] * 3) + b"\n"
    stack.run()
    assert attempts_sent(stack) == {1: 1, 2: 1, 3: 1}
    assert len(stack.lines("results.jsonl")) == 3
    # It was downloaded again at once, and not taken for one that the API has not delivered yet.
    assert "ledger.commit.postponed" not in stack.hooks.calls


def test_half_a_line_is_no_result() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    stack.claude.garble = lambda lines: lines[:-20]
    stack.run()
    assert len(stack.lines("results.jsonl")) == 3
    assert not stack.failures


def test_a_row_sent_again_is_the_same_row() -> None:
    stack = Stack()
    odd = b'{"params" : {"max_tokens":5,"model":"claude-haiku-4-5", "messages":[{"role":"user","content":"\\u00e9\\t"}] }}'
    stack.claude.answer = always(stack, errored("api_error"), until_attempt=1)
    stack.drop("inbox/a.jsonl", b"\n".join([row("a"), odd]))
    stack.run()
    first, second = (body.replace(b"-1-2", b"").replace(b"-2-2", b"") for body in stack.claude.bodies)
    assert b"\\u00e9\\t" in first
    assert first.split(b'"params":', 2)[2] == second.split(b'"params":', 2)[2]
