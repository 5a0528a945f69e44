"""The audit finds what is wrong; an audit that finds nothing proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from batchdrop.domain import keys
from batchdrop.domain.errors import Incomplete
from batchdrop.domain.ids import prefixes_of
from batchdrop.domain.records import Batch, Counts
from batchdrop_cli.audit.evidence import ListedEvidence
from batchdrop_cli.audit.findings import Finding, Severity
from batchdrop_cli.audit.job_audit import AuditJob
from tests.fakes.claude import greet
from tests.faults.scenarios import fated, mixed_rows
from tests.stack import Stack, rows
from tests.stages.harm import fail


def finished() -> Stack:
    stack = Stack(max_requests=3)
    stack.claude.answer = fated(stack.attempt_of)
    stack.drop("inbox/a.jsonl", mixed_rows())
    stack.run()
    assert stack.audit() == []
    return stack


def kinds(stack: Stack) -> set[str]:
    return {finding.kind for finding in stack.audit()}


def audit_results(stack: Stack, job_id: str) -> list[Finding]:
    """As over the real API, which shows results and no request."""
    return AuditJob(objects=stack.objects, ledger=stack.ledger, evidence=ListedEvidence(stack.claude))(job_id)


def rewrite(stack: Stack, name: str, change: Callable[[list[bytes]], list[bytes]], lines: int | None = -1) -> None:
    """Changes the lines of an output, and the manifest with it, so that only the rows are wrong.

    `lines`: what the manifest says of them; -1: as many as there are; None: nothing, and there is no such file.
    """
    job = stack.job()
    folder = keys.outbox_folder(job.input.key, job.id)
    body = b"\n".join([*change(stack.output(name).split(b"\n")[:-1]), b""])
    manifest = stack.document("manifest.json")
    stack.objects.purge(folder + name)
    if lines is None:
        del manifest["files"][name]
    else:
        stack.objects.drop(folder + name, body)
        number = body.count(b"\n") if lines < 0 else lines
        manifest["files"][name] = {"lines": number, "size": len(body), "checksum": f"sha256:{sha256(body).hexdigest()}"}
    stack.objects.purge(folder + "manifest.json")
    stack.objects.drop(folder + "manifest.json", json.dumps(manifest).encode())


def change_job(stack: Stack, **fields: Any) -> None:
    job = stack.job()
    stack.ledger.jobs[job.id] = msgspec.structs.replace(job, **fields)


def change_batch(stack: Stack, place: int, **fields: Any) -> Batch:
    batch = msgspec.structs.replace(stack.batches()[place], **fields)
    stack.ledger.stored[batch.job_id, batch.name] = batch
    return batch


def inject(stack: Stack, *, attempt: int, line: int) -> None:
    """Something of ours at the API that no batch claims."""
    prefix = next(prefixes_of(batch)[0] for batch in stack.batches() if batch.attempt == attempt)
    stack.claude.inject(json.dumps({"requests": [{"custom_id": f"{prefix}-{line}", "params": {}}]}).encode())


class TestRows:
    def test_lost(self) -> None:
        stack = finished()
        rewrite(stack, "results.jsonl", lambda lines: lines[1:])
        assert kinds(stack) == {"row_lost", "counter"}

    def test_answered_twice(self) -> None:
        stack = finished()
        rewrite(stack, "results.jsonl", lambda lines: [lines[0], *lines])
        assert kinds(stack) == {"row_twice", "counter"}

    def test_in_both_files(self) -> None:
        stack = finished()
        line = b'{"params":{},"_batchdrop":{"line":1,"status":"errored","error":{"type":"x","message":"x"},"attempts":1}}'
        rewrite(stack, "failed.jsonl", lambda lines: [line, *lines])
        assert "row_twice" in kinds(stack)

    def test_invented(self) -> None:
        stack = finished()
        extra = b'{"custom_id":"line-99","line":99,"attempts":1,"result":{"type":"succeeded"}}'
        rewrite(stack, "results.jsonl", lambda lines: [*lines, extra])
        assert kinds(stack) == {"row_invented", "counter"}

    def test_invented_for_a_blank_line(self) -> None:
        stack = finished()
        extra = b'{"custom_id":"line-7","line":7,"attempts":1,"result":{"type":"succeeded"}}'
        rewrite(stack, "results.jsonl", lambda lines: [*lines[:4], extra, *lines[4:]])
        assert kinds(stack) == {"row_invented", "counter"}

    def test_out_of_order(self) -> None:
        stack = finished()
        rewrite(stack, "results.jsonl", lambda lines: lines[::-1])
        assert "order" in kinds(stack)

    def test_under_another_name(self) -> None:
        stack = finished()
        rewrite(stack, "results.jsonl", lambda lines: [lines[0].replace(b"row 1", b"row 2"), *lines[1:]])
        assert kinds(stack) == {"custom_id"}

    def test_with_attempts_it_never_had(self) -> None:
        stack = finished()
        rewrite(stack, "results.jsonl", lambda lines: [lines[0].replace(b'"attempts":1', b'"attempts":2'), *lines[1:]])
        assert kinds(stack) == {"attempts"}


class TestApi:
    def test_a_body_accepted_twice(self) -> None:
        stack = finished()
        stack.claude.inject(stack.claude.bodies[0])
        assert kinds(stack) == {"accepted_twice", "orphan"}

    def test_a_succeeded_row_sent_again(self) -> None:
        stack = finished()
        inject(stack, attempt=2, line=1)
        assert kinds(stack) == {"orphan", "sent_after_success"}

    @pytest.mark.parametrize("evidence", ["requests", "results"])
    def test_a_row_answered_in_two_attempts(self, evidence: str) -> None:
        """The line of the first answer came after the row had been sent again; our own records know of one answer at most."""
        stack = finished()
        stack.claude.answer = greet
        found = stack.audit() if evidence == "requests" else audit_results(stack, stack.job().id)
        twice = [finding.line for finding in found if finding.kind == "answered_twice"]
        assert twice == [2, 3, 5, 9, 11]
        assert {finding.kind for finding in found} == {"answered_twice"}

    def test_a_row_that_is_in_no_batch(self) -> None:
        stack = finished()
        inject(stack, attempt=1, line=500)
        assert kinds(stack) == {"row_invented", "orphan"}

    def test_batches_of_others_are_nobodys_business(self) -> None:
        stack = finished()
        stack.claude.inject(b'{"requests": [{"custom_id": "theirs", "params": {}}]}')
        assert stack.audit() == []

    def test_a_claim_that_is_not_in_the_table(self) -> None:
        stack = finished()
        stack.ledger.claims.pop(stack.claude.ids[0])
        assert kinds(stack) == {"claim"}

    def test_two_batches_with_one_id(self) -> None:
        stack = finished()
        change_batch(stack, 1, api_id=stack.batches()[0].api_id)
        assert "claim" in kinds(stack)

    def test_a_batch_the_api_does_not_show(self) -> None:
        stack = finished()
        api_id = stack.batches()[0].api_id
        stack.claude.forget(api_id or "")
        (finding,) = stack.audit()
        assert (finding.kind, finding.severity) == ("unseen", Severity.warning)


class TestRecords:
    @pytest.mark.parametrize(
        "counter", ["batches_total", "batches_waiting", "batches_ended", "batches_collected", "batches_incomplete"]
    )
    def test_counters_of_batches(self, counter: str) -> None:
        stack = finished()
        change_job(stack, **{counter: getattr(stack.job(), counter) + 1})
        assert "counter" in kinds(stack)

    @pytest.mark.parametrize("counter", ["total", "succeeded", "invalid"])
    def test_counters_of_rows(self, counter: str) -> None:
        stack = finished()
        change_job(stack, counts=stack.job().counts + Counts(**{counter: 1}))
        assert "counter" in kinds(stack)

    def test_queued(self) -> None:
        stack = finished()
        stack.ledger._admission = msgspec.structs.replace(stack.ledger._admission, queued=5)
        assert kinds(stack) == {"queued"}

    def test_a_batch_left_behind(self) -> None:
        stack = finished()
        change_batch(stack, 0, state="ended")
        assert "state" in kinds(stack)

    def test_overlapping_batches(self) -> None:
        stack = finished()
        change_batch(stack, 0, last_line=11)
        assert "span" in kinds(stack)

    def test_a_follow_up_that_is_missing(self) -> None:
        stack = finished()
        (first, *_) = [batch for batch in stack.batches() if batch.retry is not None]
        del stack.ledger.stored[first.job_id, first.name.replace(".01", ".02")]
        assert "follow_up" in kinds(stack)


class TestFiles:
    def test_no_manifest(self) -> None:
        stack = finished()
        stack.objects.purge(keys.outbox_folder(stack.job().input.key, stack.job().id) + "manifest.json")
        assert kinds(stack) == {"no_manifest"}

    def test_other_bytes(self) -> None:
        stack = finished()
        name = keys.outbox_folder(stack.job().input.key, stack.job().id) + "results.jsonl"
        body = stack.objects.body(name)
        stack.objects.purge(name)
        stack.objects.drop(name, body.replace(b"answer", b"forged"))
        (finding,) = stack.audit()
        assert finding.sentence == "the checksum of results.jsonl is not the one in the manifest"

    def test_written_again(self) -> None:
        stack = finished()
        name = keys.outbox_folder(stack.job().input.key, stack.job().id) + "results.jsonl"
        stack.objects.drop(name, stack.objects.body(name))
        assert kinds(stack) == {"rewritten"}

    def test_another_count_in_the_manifest(self) -> None:
        stack = finished()
        name = keys.outbox_folder(stack.job().input.key, stack.job().id) + "manifest.json"
        manifest = stack.document("manifest.json")
        manifest["counts"]["succeeded"] += 1
        stack.objects.purge(name)
        stack.objects.drop(name, json.dumps(manifest).encode())
        assert kinds(stack) == {"counter"}


class TestTheRealApi:
    """Results are all it shows: what has no result line is no proof of anything."""

    def audit(self, stack: Stack) -> list[Finding]:
        return audit_results(stack, stack.job().id)

    def test_is_content_with_results(self) -> None:
        stack = finished()
        stack.claude.page_limit = 1
        assert [finding for finding in self.audit(stack) if finding.severity is Severity.error] == []

    def test_finds_what_was_paid_twice(self) -> None:
        stack = finished()
        stack.claude.inject(stack.claude.bodies[0])
        stack.clock.advance(120)
        assert {finding.kind for finding in self.audit(stack)} >= {"accepted_twice", "orphan"}

    def test_takes_a_line_that_the_results_repeat_for_one_request(self) -> None:
        stack = finished()
        stack.claude.garble = lambda lines: lines + lines
        assert [finding for finding in self.audit(stack) if finding.severity is Severity.error] == []
        assert stack.claude.garble is None

    def test_says_what_it_cannot_see(self) -> None:
        stack = Stack()
        stack.drop("inbox/a.jsonl", rows(2))
        stack.pump()
        (finding,) = self.audit(stack)
        assert "not known until it has ended" in finding.sentence

    def test_broken_results_are_a_warning(self) -> None:
        stack = finished()
        fail(stack, "claude._results", Incomplete("cut"), times=99)
        assert {finding.severity for finding in self.audit(stack)} == {Severity.warning}


def test_an_unknown_job() -> None:
    stack = finished()
    (finding,) = audit_results(stack, "20261122T003115Z-aaaaaaaaaaaaaaaa")
    assert finding.kind == "unknown_job"


def test_many_findings_of_a_kind_are_only_counted() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(100))
    stack.run()
    rewrite(stack, "results.jsonl", lambda lines: lines[:1])
    found = stack.audit()
    assert len([finding for finding in found if finding.kind == "row_lost"]) == 21
    assert found[-1].sentence == "79 more findings of the kind row_lost are not shown"


def test_a_deleted_input_is_a_warning_only() -> None:
    stack = finished()
    stack.objects.purge("inbox/a.jsonl")
    (finding,) = stack.audit()
    assert (finding.kind, finding.severity) == ("unseen", Severity.warning)


def test_no_finding_repeats_what_people_wrote() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(5).replace(b"prompt", b"secret"))
    stack.run()
    rewrite(stack, "results.jsonl", lambda lines: [line.replace(b"row ", b"secret ") for line in lines[::-1]])
    assert stack.audit()
    assert "secret" not in "".join(finding.sentence for finding in stack.audit())
