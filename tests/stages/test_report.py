"""report.html: written as the word for the state changes, by whoever changes it, and never in the way of a job."""

from __future__ import annotations

import json
import re

import pytest

from batchdrop.domain import keys, transitions
from batchdrop.domain.errors import Throttled
from batchdrop.domain.records import JobState
from batchdrop.jobs import report
from batchdrop.reports import page
from tests.stack import Stack
from tests.stages.test_pilot import FILE, approve, asked, stack_of, until_asked

ROW = {"params": {"model": "claude-haiku-4-5", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}}


def rows(count: int) -> bytes:
    return b"".join(json.dumps({"custom_id": f"row {number}", **ROW}).encode() + b"\n" for number in range(count))


def key_of(stack: Stack) -> str:
    (key,) = (key for key in stack.objects.keys("outbox/") if key.endswith("/report.html"))
    return key


def shown(stack: Stack) -> str:
    return stack.objects.body(key_of(stack)).decode()


def word(stack: Stack) -> str:
    found = re.search(r'<span class="chip \w+">([^<]+)</span>', shown(stack))
    assert found is not None
    return found[1]


def test_a_job_of_requests_from_running_to_done() -> None:
    stack = Stack()
    stack.drop("inbox/rows.jsonl", rows(3))
    assert word(stack) == "running"
    stack.run()
    assert word(stack) == "done"
    assert "All 3 rows have an answer." in shown(stack)
    assert "row 1" in shown(stack)
    assert stack.objects.content_type(key_of(stack)) == "text/html; charset=utf-8"


def test_a_job_that_asks_shows_what_was_tried_and_how_to_answer() -> None:
    stack = stack_of()
    job = until_asked(stack)
    assert word(stack) == "waiting for you"
    assert job.question is not None
    assert f"{job.id}-{job.question.code}" in shown(stack)
    assert "20 of the rows, as they came back" in shown(stack)
    status = stack.document("status.json")
    assert len(status["samples"]) == 20
    assert all(sample["output"] for sample in status["samples"])
    approve(stack, job)
    assert word(stack) == "running"
    assert stack.document("status.json")["samples"] == []
    # They are counted with the rows around them; none of 60 had an answer, for $0.18, is what it said.
    assert "20 of 60 rows were tried, for $0.18, and the others are asked;" in stack.document("status.json")["message"]
    assert "0 answered, 0 without an answer, 20 tried, 40 open" in shown(stack)
    stack.run()
    assert word(stack) == "done"


@pytest.mark.parametrize("again", ["the upload's event", "submit", "collect", "poll"])
def test_what_was_tried_stays_in_the_status_whoever_comes_by(again: str) -> None:
    """Most functions may not read answers, and a status written without them would show none for as long as it asks."""
    stack = stack_of()
    upload = stack.drop("inbox/team/file.jsonl", FILE)
    job = asked(stack)
    for _ in range(5):
        stack.step()
    match again:
        case "submit":
            stack.submit.publish(job.id)
        case "collect":
            stack.collect.publish(job.id)
        case "poll":
            stack.poll.publish(job.id, page=False)
        case _:
            stack.deliver(upload)
            stack.pump()
    assert len(stack.document("status.json")["samples"]) == 20
    stack.submit.commit(transitions.noted(stack.job(), "Something is new."))
    stack.submit.publish(job.id)
    stack.step()
    assert "Something is new." in stack.document("status.json")["message"]
    assert len(stack.document("status.json")["samples"]) == 20
    written = stack.objects.count_versions(keys.outbox_folder(job.input.key, job.id) + "status.json")
    stack.step()
    assert stack.objects.count_versions(keys.outbox_folder(job.input.key, job.id) + "status.json") == written


def test_answers_and_failures_stand_in_the_manifest_and_add_up() -> None:
    stack = stack_of()
    approve(stack, until_asked(stack))
    stack.run()
    manifest = stack.document("manifest.json")
    counts = manifest["counts"]
    for values in manifest["answers"]["values"].values():
        assert values is None or sum(values.values()) == counts["succeeded"]
    assert sum(manifest["answers"]["lengths"]) == counts["succeeded"]
    assert sum(kind["rows"] for kind in manifest["failures"]) == counts["total"] - counts["succeeded"]


@pytest.mark.parametrize("name", ["stopped", "rejected"])
def test_a_job_that_ends_without_answers(name: str) -> None:
    stack = Stack()
    stack.drop("inbox/rows.jsonl", rows(3) if name == "stopped" else b"\n\n")
    if name == "stopped":
        stack.command("cancel", stack.job().id)
        stack.run()
    assert word(stack) == name


def test_while_it_runs_it_is_written_every_five_minutes_at_most() -> None:
    stack = Stack(max_requests=1)
    stack.claude.seconds = 10.0**6
    stack.drop("inbox/rows.jsonl", rows(60))
    while stack.pump():
        pass
    stack.tick()
    before = stack.objects.count_versions(key_of(stack))
    for api_id in stack.claude.ids[:40]:
        stack.claude._held[api_id].ends_at = stack.clock.now()
        stack.tick()
        while stack.pump():
            pass
        stack.clock.advance(60)
    # 40 minutes in which answers came every minute.
    assert 7 <= stack.objects.count_versions(key_of(stack)) - before <= 9
    assert "of 60 rows have an answer so far" in shown(stack)


def test_a_page_that_cannot_be_made_is_counted_and_the_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **more: object) -> bytes:
        raise RuntimeError("no page")

    monkeypatch.setattr(page, "page", broken)
    stack = Stack()
    stack.drop("inbox/rows.jsonl", rows(3))
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.metrics.totals["ReportFailed"] > 0
    assert not [key for key in stack.objects.keys("outbox/") if key.endswith("report.html")]


def test_details_that_cannot_be_read_leave_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(line: bytes) -> None:
        raise RuntimeError("no sample")

    monkeypatch.setattr(report, "read_sample", broken)
    stack = Stack()
    stack.drop("inbox/rows.jsonl", rows(3))
    stack.run()
    assert word(stack) == "done"
    assert "All 3 rows have an answer." in shown(stack)


def test_who_may_not_read_the_answers_leaves_the_page_to_others() -> None:
    stack = Stack()
    stack.drop("inbox/rows.jsonl", rows(3))
    stack.run()
    before = shown(stack)
    stack.hooks.calls.clear()
    stack.plan.publish(stack.job().id)
    assert not [call for call in stack.hooks.calls if call in ("objects.head", "objects.get", "objects.read")]
    stack.objects.forbid(key_of(stack).replace("report.html", "results.jsonl"), head=True)
    stack.control.publish(stack.job().id)
    assert shown(stack) == before
    assert stack.document("status.json")["state"] == "done"


def test_a_bucket_that_is_throttled_for_a_moment_costs_no_page() -> None:
    stack = Stack()
    stack.drop("inbox/rows.jsonl", rows(3))
    while stack.pump():
        pass
    left = 3

    def throttled(call: str) -> None:
        nonlocal left
        if call == "objects.put" and stack.job().state is JobState.done and left:
            left -= 1
            raise Throttled("slow down")

    stack.hooks.before = throttled
    stack.run()
    assert left == 0
    assert word(stack) == "done"


def test_rows_of_a_long_file_come_from_all_over_it() -> None:
    stack = Stack(max_requests=10_000)
    stack.drop("inbox/rows.jsonl", rows(6_000))
    stack.run()
    lines = [
        int(found.replace(",", "")) for found in re.findall(r'<th scope="row" class="num"><b>row </b>([\d,]+)</th>', shown(stack))
    ]
    assert len(lines) == 20
    assert lines == sorted(lines)
    assert lines[0] == 1
    assert lines[-1] > 4_000
