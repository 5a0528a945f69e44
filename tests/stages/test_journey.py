"""From a dropped file to its answers."""

from __future__ import annotations

import json

import pytest

from tests.stack import Stack, row, rows


def test_a_file_becomes_answers_in_input_order() -> None:
    stack = Stack(max_requests=100)
    stack.drop("inbox/a/reviews.jsonl", rows(250))
    stack.run()
    results = stack.lines("results.jsonl")
    assert [result["line"] for result in results] == list(range(1, 251))
    assert [result["custom_id"] for result in results] == [f"row {i}" for i in range(1, 251)]
    assert [batch.requests for batch in stack.batches()] == [100, 100, 50]
    manifest = stack.document("manifest.json")
    assert manifest["state"] == "done"
    assert manifest["counts"] == {
        "total": 250, "succeeded": 250, "errored": 0, "expired": 0, "canceled": 0, "invalid": 0, "missing": 0,
    }  # fmt: skip
    assert manifest["usage"]["claude-haiku-4-5"]["requests"] == 250
    assert stack.lines("failed.jsonl") == []
    assert not stack.failures


def test_params_reach_the_api_byte_for_byte() -> None:
    stack = Stack()
    odd = (
        b'{"max_tokens" : 10,"model":"claude-haiku-4-5",'
        b' "messages":[{"role":"user","content":"\\u00e9 \xc3\xa9 \\/ \xe2\x80\xa8"}],"x":1e2 }'
    )
    stack.drop("inbox/odd.jsonl", b'{ "params": ' + odd + b' , "custom_id": "a b"}')
    stack.run()
    (body,) = stack.claude.bodies
    assert b'"params":' + odd + b"}" in body
    (batch,) = stack.batches()
    assert batch.prefixes is not None
    assert json.loads(body)["requests"][0]["custom_id"] == f"{batch.prefixes[0]}-1"


def test_the_same_event_five_times_is_one_job() -> None:
    stack = Stack()
    upload = stack.drop("inbox/a.jsonl", rows(5))
    for _ in range(4):
        stack.clock.advance(1)
        stack.deliver(upload)
    stack.run()
    assert len(stack.claude.bodies) == 1
    assert stack.job().batches_total == 1


def test_an_event_that_comes_again_while_its_file_is_planned_reads_nothing() -> None:
    stack = Stack()
    upload = stack.drop("inbox/a.jsonl", rows(5), deliver=False)

    def come_again(name: str) -> None:
        if name == "objects.read":
            stack.hooks.clear()
            stack.deliver(upload)
            read.append("objects.read" in stack.hooks.calls)

    read: list[bool] = []
    stack.hooks.before = come_again
    stack.deliver(upload)
    assert read == [False]
    stack.run()
    assert stack.failures == []
    assert len(stack.claude.bodies) == 1


@pytest.mark.parametrize("seconds", [0, 1])
def test_dropping_again_is_a_new_job(seconds: int) -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(5))
    stack.clock.advance(seconds)
    stack.drop("inbox/a.jsonl", rows(5))
    stack.run()
    assert len(stack.jobs()) == 2
    assert len(stack.claude.bodies) == 2


def test_the_version_of_the_event_is_read_not_the_newest() -> None:
    stack = Stack()
    first = stack.drop("inbox/a.jsonl", row("first"), deliver=False)
    stack.drop("inbox/a.jsonl", row("second"), deliver=False)
    stack.deliver(first)
    stack.run()
    assert [result["custom_id"] for result in stack.lines("results.jsonl")] == ["first"]


def test_300_open_batches_take_one_list_call() -> None:
    stack = Stack(max_requests=1, per_tick=1000)
    stack.claude.seconds = 10_000
    stack.drop("inbox/many.jsonl", rows(300))
    stack.pump()
    stack.hooks.calls.clear()
    stack.tick()
    assert stack.hooks.calls.count("claude.page") == 1
    assert stack.hooks.calls.count("claude.retrieve") == 0
    assert not any(call.startswith("ledger.commit") for call in stack.hooks.calls)


def test_an_idle_tick_calls_nobody() -> None:
    stack = Stack()
    stack.tick()
    assert [call for call in stack.hooks.calls if call.startswith("claude.")] == ["claude.models"], "once a day"
    stack.hooks.clear()
    stack.step()
    assert not any(call.startswith("claude.") for call in stack.hooks.calls)


def test_a_long_file_is_handed_over_in_time() -> None:
    stack = Stack(max_requests=10_000, timeout=60)

    def reading_takes_long(name: str) -> None:
        if name == "ledger.commit.added":
            stack.clock.advance(50)

    stack.hooks.after = reading_takes_long
    stack.drop("inbox/long.jsonl", b"\n".join(row(f"id {i % 9000}") for i in range(12_000)))
    assert stack.job().state == "planning"
    stack.run()
    batches = stack.batches()
    assert [batch.first_line for batch in batches] == sorted(batch.first_line for batch in batches)
    assert sum(batch.requests for batch in batches) == 9000
    counts = stack.document("manifest.json")["counts"]
    assert (counts["total"], counts["succeeded"], counts["invalid"]) == (12_000, 9000, 3000)
    assert {row["_batchdrop"]["error"]["type"] for row in stack.lines("failed.jsonl")} == {"duplicate_custom_id"}


def test_a_program_finds_its_job_by_what_it_calls_it() -> None:
    stack = Stack()
    upload = stack.drop("inbox/a.jsonl", rows(2), {"batchdrop-reference": "order 7 " + "x" * 300})
    stack.run()
    reference = ("order 7 " + "x" * 300)[:200]
    for name in ("status.json", "manifest.json"):
        document = stack.document(name)
        assert document["reference"] == reference
        assert document["input"]["version_id"] == upload.version_id
    ((_, notice),) = stack.notices.published
    assert notice["reference"] == reference
    assert notice["input"] == {"key": "inbox/a.jsonl", "version_id": upload.version_id}


def test_who_names_no_reference_sees_none() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(2))
    stack.run()
    assert "reference" not in stack.document("status.json")
    assert "reference" not in stack.document("manifest.json")
