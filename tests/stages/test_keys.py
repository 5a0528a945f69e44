"""The API key is replaced while batches are on their way: none is sent twice, none is sent without need with the old key."""

from __future__ import annotations

import msgspec
import pytest

from batchdrop.domain.errors import ApiError, Refused, Unavailable
from batchdrop.domain.records import BatchState
from batchdrop.domain.redelivery import MAX_RECEIVES
from batchdrop.domain.refusals import KEY_MISSING, ROLE_REFUSED
from batchdrop.ports import ApiPage
from tests.stack import Stack, rows
from tests.stages.harm import LOST, fail, minutes, refused


def lost(stack: Stack, name: str = "a", *, accepted: bool) -> None:
    """Drops a file whose create gets no answer."""
    fail(stack, "claude.create", LOST, after=accepted)
    stack.drop(f"inbox/{name}.jsonl", rows(3))
    stack.pump()
    stack.hooks.clear()


def replace_key(stack: Stack, *, workspace: str | None = None) -> None:
    """The old one is revoked."""
    stack.claude.revoked.add(stack.claude.secret)
    stack.claude.secret = "new"
    if workspace is not None:
        stack.claude.workspaces["new"] = workspace


def test_nothing_is_released_under_the_key_of_another_workspace() -> None:
    stack = Stack()
    lost(stack, accepted=True)
    old = stack.claude.secret
    replace_key(stack, workspace="another")
    minutes(stack, 600)
    (batch,) = stack.batches()
    assert batch.state is BatchState.submitting
    assert batch.key == old
    assert len(stack.claude.bodies) == 1
    assert "key of the former workspace" in stack.document("status.json")["message"]
    assert stack.metrics.totals["Stalled"] == pytest.approx(4 * 60, abs=3), "for all but the first six hours"
    stack.claude.revoked.clear()
    stack.claude.secret = old
    stack.run()
    assert len(stack.claude.bodies) == 1
    assert stack.job().state == "done"
    assert "key of the former workspace" not in stack.document("status.json")["message"]
    assert stack.audit() == []


@pytest.mark.parametrize("sent_by_0_1_0", [False, True])
def test_what_was_adopted_is_not_sent_again_because_the_key_of_another_workspace_does_not_see_it(*, sent_by_0_1_0: bool) -> None:
    stack = Stack()
    stack.claude.seconds = 6 * 3600
    lost(stack, accepted=True)
    if sent_by_0_1_0:
        (batch,) = stack.batches()
        stack.ledger.stored[batch.job_id, batch.name] = msgspec.structs.replace(batch, key="")
    minutes(stack, 10)
    assert stack.batches()[0].state is BatchState.in_progress
    old = stack.claude.secret
    replace_key(stack, workspace="another")
    minutes(stack, 3 * 60)
    assert stack.batches()[0].state is BatchState.submitting
    stack.claude.revoked.clear()
    stack.claude.secret = old
    stack.run(24 * 60)
    assert len(stack.claude.bodies) == 1
    assert stack.job().state == "done"
    assert stack.audit() == []


def test_what_is_never_settled_ends_when_its_results_would_be_deleted() -> None:
    """Nothing is sent again, because it may have been answered and paid for."""
    stack = Stack()
    lost(stack, accepted=True)
    replace_key(stack, workspace="another")
    minutes(stack, 2)
    stack.clock.advance(29 * 86_400)
    minutes(stack, 3)
    assert stack.batches()[0].state is BatchState.submitting
    stack.run()
    assert stack.document("manifest.json")["counts"]["missing"] == 3
    assert {line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")} == {"unknown_outcome"}
    assert len(stack.claude.bodies) == 1
    assert stack.ledger.get_admission().queued == 0


def test_a_key_of_the_same_workspace_is_known_by_a_batch_of_the_old_one() -> None:
    stack = Stack()
    stack.drop("inbox/before.jsonl", rows(1))
    stack.run()
    lost(stack, accepted=False)
    replace_key(stack)
    stack.run()
    assert [job.state for job in stack.jobs()] == ["done", "done"]
    assert len(stack.claude.bodies) == 2
    assert stack.audit() == []


def test_a_batch_that_the_api_has_deleted_proves_nothing() -> None:
    stack = Stack()
    stack.drop("inbox/before.jsonl", rows(1))
    stack.run()
    lost(stack, accepted=False)
    replace_key(stack)
    stack.claude.forget(stack.claude.ids[0])
    minutes(stack, 60)
    assert [batch.state for job in stack.jobs() for batch in stack.batches(job)] == [BatchState.collected, BatchState.submitting]


def test_a_proof_does_not_grow_old() -> None:
    """Batches can be deleted at the API, so a recent one has to be at hand."""
    stack = Stack()
    for day in range(3):
        stack.drop(f"inbox/{day}.jsonl", rows(1))
        stack.run()
        stack.clock.advance(86_400)
    assert [proof.api_id for proof in stack.ledger.get_admission().proofs] == [stack.claude.ids[-1]]


def test_what_the_list_of_the_new_key_shows_is_adopted_without_a_proof() -> None:
    """Its results confirm it, as those of any other."""
    stack = Stack()
    lost(stack, accepted=True)
    replace_key(stack)
    stack.run()
    assert stack.batches()[0].adopted
    assert len(stack.claude.bodies) == 1
    assert stack.job().state == "done"
    assert stack.audit() == []


def test_a_list_that_was_read_with_two_keys_is_no_look() -> None:
    stack = Stack()
    stack.claude.page_limit = 1
    lost(stack, accepted=False)
    for _ in range(2):
        stack.claude.inject(b'{"requests":[{"custom_id":"theirs","params":{}}]}')
    list_page = stack.claude.page

    def page(after: str | None = None) -> ApiPage:
        shown = list_page(after)
        return msgspec.structs.replace(shown, key="another") if after is None else shown

    stack.claude.page = page  # type: ignore[method-assign]
    minutes(stack, 30)
    (batch,) = stack.batches()
    assert batch.state is BatchState.submitting
    assert batch.first_look_at is None


@pytest.mark.parametrize(
    "refusal",
    [
        refused(401, "authentication_error"),
        refused(402, "billing_error"),
        refused(403, "permission_error"),
        refused(400, "invalid_request_error", text="Your credit balance is too low to access the Anthropic API."),
        refused(429, "rate_limit_error", code="enforced_spend_limit_reached"),
    ],
)
def test_a_refusal_of_a_key_that_was_replaced_meanwhile_blocks_nobody(refusal: Refused) -> None:
    stack = Stack()
    stack.claude.key()
    old, stack.claude.secret = stack.claude.secret, "new"
    fail(stack, "claude.create", refusal)
    used: list[str] = []
    create_hook = stack.hooks.before

    def note_the_key(name: str) -> None:
        if name == "claude.create":
            used.append(stack.batches()[0].key)
        create_hook(name)

    stack.hooks.before = note_the_key
    stack.drop("inbox/a.jsonl", rows(3))
    while stack.pump():
        assert stack.ledger.get_admission().blocked == ""
    minutes(stack, 1)
    assert used == [old, "new"]
    stack.run()
    assert stack.job().counts.succeeded == 3
    assert len(stack.claude.bodies) == 1


def test_without_a_key_nothing_is_intended() -> None:
    stack = Stack()
    fail(stack, "claude.key", refused(None, "no_api_key"))
    stack.drop("inbox/a.jsonl", rows(3))
    while stack.pump():
        pass
    (batch,) = stack.batches()
    assert (batch.state, batch.intent_at, batch.admitted_at) == (BatchState.ready, None, None)
    assert stack.hooks.calls.count("claude.create") == 0
    stack.hooks.clear()
    stack.run()
    assert stack.job().counts.succeeded == 3
    assert stack.audit() == []


@pytest.mark.parametrize(
    ("call", "refusal", "sentence"),
    [
        (
            "claude.key",
            refused(None, "no_api_key", code=KEY_MISSING),
            "there is no API key to send. To fix it, put a valid key",
        ),
        ("claude.key", refused(None, "no_api_key", code=ROLE_REFUSED), "there is no API key to send. To fix it, enable outbound"),
        (
            "claude.create",
            refused(403, "AccessDeniedException", code=ROLE_REFUSED),
            "Claude Platform on AWS answered 403 AccessDeniedException. To fix it, enable outbound web identity federation",
        ),
    ],
)
def test_what_is_configured_wrongly_stops_all_jobs_and_says_what_to_do(call: str, refusal: Refused, sentence: str) -> None:
    """At the first refusal, in all jobs alike; it costs one try every 5 minutes, and no row."""
    stack = Stack()
    fail(stack, call, refusal, times=10_000)
    for name in ("a", "b"):
        stack.drop(f"inbox/{name}.jsonl", rows(3))
    minutes(stack, 60)
    for job in stack.jobs():
        assert f"Nothing is being submitted: {sentence}" in stack.document("status.json", job)["message"]
        assert job.state == "running"
    assert stack.claude.bodies == []
    assert stack.hooks.calls.count(call) <= 60 / 5 + 1
    stack.hooks.clear()
    stack.run()
    assert [job.counts.succeeded for job in stack.jobs()] == [3, 3]
    assert stack.audit() == []


def test_a_batch_without_a_stored_key_is_settled_by_whatever_key_there_is() -> None:
    """0.1.0 stored none."""
    stack = Stack()
    lost(stack, accepted=False)
    (batch,) = stack.batches()
    stack.ledger.stored[batch.job_id, batch.name] = msgspec.structs.replace(batch, key="")
    replace_key(stack)
    stack.run()
    assert stack.job().state == "done"
    assert len(stack.claude.bodies) == 1


@pytest.mark.parametrize(
    ("trouble", "said", "hours", "soon"),
    [
        (Unavailable("no key", kind="no_api_key"), "there is no API key to send. To fix it, see that the functions", 1, 16),
        (refused(401, "authentication_error"), "Anthropic answered 401 authentication_error. To fix it, put a valid", 8, 6 * 60),
    ],
)
def test_answers_that_wait_for_a_key_say_so_and_are_fetched_once_there_is_one(
    trouble: ApiError, said: str, hours: int, soon: int
) -> None:
    """At first by their message, which SQS delivers again; once that is a dead letter because poll sends another one."""
    stack = Stack(max_requests=1)
    stack.max_receives = MAX_RECEIVES
    fail(stack, "claude._results", trouble, times=10_000)
    stack.drop("inbox/a.jsonl", rows(2))
    minutes(stack, hours * 60)
    assert bool(stack.dead_letters) == (hours > 6)
    message = stack.document("status.json")["message"]
    assert f"Answers have come and cannot be fetched: {said}" in message
    assert "within an hour" not in message
    stack.hooks.clear()
    minutes(stack, 2)
    while stack.job().state != "done" and soon:
        soon -= 1
        stack.step()
    assert stack.job().state == "done"
    assert "cannot be fetched" not in stack.document("status.json")["message"]
    assert stack.job().counts.succeeded == 2
    assert stack.audit() == []


def test_an_api_that_does_not_answer_needs_nobody() -> None:
    stack = Stack()
    fail(stack, "claude._results", Unavailable("no answer", status=503, kind="api_error"), times=10_000)
    stack.drop("inbox/a.jsonl", rows(2))
    minutes(stack, 20)
    assert "cannot be fetched" not in stack.document("status.json")["message"]
