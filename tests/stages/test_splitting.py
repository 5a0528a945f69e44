"""A body that the API refuses is cut in two until the row at fault stands alone."""

from __future__ import annotations

import json

import pytest

from batchdrop.domain.refusals import MAX_SPLITS
from tests.stack import Stack, row
from tests.stages.harm import refused


def poison(stack: Stack, word: bytes, status: int) -> None:
    """The API refuses every body that holds a word."""
    check = stack.claude._check

    def refuse(body: bytes) -> None:
        if word in body:
            raise refused(status, "invalid_request_error", text="something in it")
        check(body)

    stack.claude._check = refuse  # type: ignore[method-assign]  # an API with one more rule


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("place", [1, 2, 17, 50])
def test_the_poison_stands_alone(place: int, status: int) -> None:
    stack = Stack()
    poison(stack, b"poison", status)
    lines = [row(f"row {i}", "poison" if i == place else "fine") for i in range(1, 51)]
    lines.insert(20, b"bad")
    stack.drop("inbox/a.jsonl", b"\n".join(lines))
    stack.run()
    failed = {line.get("custom_id"): line["_batchdrop"] for line in stack.lines("failed.jsonl")}
    assert failed[f"row {place}"]["status"] == "errored"
    assert failed[f"row {place}"]["attempts"] == 0
    assert len(failed) == 2
    assert len(stack.lines("results.jsonl")) == 49
    assert stack.job().splits <= 6
    assert stack.audit() == []


def test_a_common_fault_does_not_cut_without_end() -> None:
    stack = Stack(max_requests=1000, max_body_bytes=10_000_000, per_tick=1000)
    poison(stack, b"poison", 400)
    stack.drop("inbox/a.jsonl", b"\n".join(row(f"row {i}", "poison") for i in range(1000)))
    stack.run()
    # The last cuts before the cap can be under way at the same time, each having read the count before.
    assert MAX_SPLITS <= stack.job().splits <= MAX_SPLITS + 1
    assert stack.document("manifest.json")["counts"]["errored"] == 1000
    assert stack.claude.ids == []
    assert stack.audit() == []


def test_the_halves_are_rendered_to_their_announced_size() -> None:
    stack = Stack()
    poison(stack, b"poison", 400)
    lines = [row(f"row {i}", "poison" if i == 3 else "fine") for i in range(1, 9)]
    stack.drop("inbox/a.jsonl", b"\n".join(lines))
    stack.run()
    sizes = {body_of["requests"][0]["custom_id"]: len(body) for body in stack.claude.bodies if (body_of := json.loads(body))}
    for batch in stack.batches():
        if batch.api_id is not None:
            assert sizes[stack.claude.requests_of(batch.api_id)[0]] == batch.body_bytes
