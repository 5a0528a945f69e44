"""What a file's metadata asks for becomes the headers of every create call of its job, and of its retries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchdrop.domain.errors import Refused
from batchdrop.domain.records import JobState
from tests.fakes.claude import FakeClaude, greet
from tests.stack import Stack, row

BETA = "output-300k-2026-03-24"
ASKED = {"anthropic-version": "2023-06-01", "anthropic-beta": BETA}
SENT = [("2023-06-01", (BETA,))]


def sent(stack: Stack) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.api_version, one.betas) for one in stack.claude.headers.values()]


def with_sampling(custom_id: str, **fields: Any) -> bytes:
    line = json.loads(row(custom_id))
    line["params"] |= fields
    return json.dumps(line).encode()


def test_a_file_that_asks_for_nothing_is_sent_under_the_version_this_is_built_for() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", row("a"))
    stack.run()
    assert sent(stack) == [("2026-10-21", ())]


def test_every_batch_and_every_later_attempt_has_the_headers() -> None:
    stack = Stack(max_requests=2)
    seen: set[str] = set()

    def busy_once(custom_id: str, params: dict[str, Any]) -> Any:
        text = str(params["messages"])
        if text in seen:
            return greet(custom_id, params)
        return {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}}

    stack.claude.answer = busy_once
    stack.drop("inbox/a.jsonl", b"\n".join([row("a"), row("b"), row("c")]), ASKED)
    stack.step()
    stack.step()
    stack.step()
    seen.update(str(json.loads(body)["requests"][n]["params"]["messages"]) for body in stack.claude.bodies for n in (0, -1))
    stack.run()
    assert len(stack.claude.bodies) > 2
    assert set(sent(stack)) == set(SENT)


def test_both_halves_of_a_batch_that_is_refused_have_the_headers() -> None:
    class Picky(FakeClaude):
        def _check(self, body: bytes) -> list[dict[str, Any]]:
            requests = super()._check(body)
            if len(requests) > 1:
                raise Refused("too large", status=413, kind="request_too_large")
            return requests

    stack = Stack(api=Picky)
    stack.drop("inbox/a.jsonl", b"\n".join([row("a"), row("b")]), ASKED)
    stack.run()
    assert sent(stack) == SENT * 2


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"anthropic-beta": "fast-2026"}, ("anthropic-beta fast-2026", "AllowedBetas")),
        ({"anthropic-version": "2024-01-01"}, ("anthropic-version 2024-01-01", "AllowedApiVersions")),
    ],
)
def test_what_the_operator_does_not_allow_rejects_the_job(metadata: dict[str, str], words: tuple[str, str]) -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", row("a"), metadata)
    stack.run()
    assert stack.job().state is JobState.rejected
    assert all(word in stack.job().reason for word in words)
    assert "Nothing was sent" in json.loads(stack.output("status.json"))["message"]
    assert stack.claude.bodies == []


@pytest.mark.parametrize("fields", [{"temperature": 1}, {"top_p": 0.99}, {"top_k": None}])
def test_sampling_is_refused_before_it_is_sent_and_passes_under_the_old_version(fields: dict[str, Any]) -> None:
    stack = Stack()
    stack.drop("inbox/new.jsonl", b"\n".join([with_sampling("bad", **fields), row("good")]))
    stack.run()
    (failed,) = stack.lines("failed.jsonl")
    error = failed["_batchdrop"]["error"]
    assert (failed["custom_id"], error["type"]) == ("bad", "unsupported_parameter")
    assert f"params.{next(iter(fields))}" in error["message"]
    assert "anthropic-version: 2023-06-01" in error["message"]

    stack = Stack()
    stack.drop("inbox/old.jsonl", with_sampling("good", **fields), {"anthropic-version": "2023-06-01"})
    stack.run()
    assert stack.job().counts.succeeded == 1
    (body,) = stack.claude.bodies
    assert fields.items() <= json.loads(body)["requests"][0]["params"].items()


def test_a_retried_file_asks_for_the_same() -> None:
    stack = Stack(max_attempts=1)
    stack.claude.answer = lambda custom_id, params: {"type": "expired"}
    stack.drop("inbox/a.jsonl", with_sampling("a", temperature=1), ASKED)
    stack.run()
    first = stack.job()
    stack.claude.answer = greet
    stack.command("retry", first.id)
    key = f"inbox/a.retry-of-{first.id}.jsonl"
    metadata = stack.objects.head(key).metadata
    assert ASKED.items() <= metadata.items()
    stack.drop(key, stack.objects.body(key), metadata)
    stack.run()
    assert [job.state for job in stack.jobs()] == [JobState.done] * 2
    assert sent(stack) == SENT * 2
