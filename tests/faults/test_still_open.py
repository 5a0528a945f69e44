"""When the run of kills waits in vain, it says for what."""

from __future__ import annotations

from tests.faults.kills import still_open
from tests.stack import Stack, rows


def test_what_is_still_open_is_told_with_its_batches() -> None:
    stack = Stack(max_requests=2)
    stack.drop("inbox/ended.jsonl", rows(1))
    stack.run()
    ended = stack.job().id
    stack.clock.advance(1)
    stack.drop("inbox/open.jsonl", rows(3))
    (open_id,) = {job.id for job in stack.jobs()} - {ended}
    first, second = (batch.name for batch in stack.batches(stack.ledger.jobs[open_id]))
    assert list(still_open(stack.ledger, [ended, open_id, "nobody"])) == [
        f"{open_id} is running, its message sent 0 more times: no note",
        f"  {first} is ready, not at the API, 2 requests",
        f"  {second} is ready, not at the API, 1 requests",
        "nobody was never opened",
    ]
