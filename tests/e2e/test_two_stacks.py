"""Two stacks in one account and region, with one key to one Claude workspace: neither sees or takes what is the other's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.laptop import Job, Laptop
from tests.stack import rows


@pytest.fixture(autouse=True)
def ticking(second: Laptop) -> Iterator[None]:
    with second.ticking():
        yield
    second.switch("run")


def test_one_is_paused_and_the_other_runs(laptop: Laptop, second: Laptop) -> None:
    second.switch("pause")
    creates = laptop.claude.count("create")
    paused = second.drop("inbox/same.jsonl", rows(4)).wait_for("running")
    running = laptop.drop("inbox/same.jsonl", rows(4)).wait()
    second.wait(lambda: "pause" in paused.status()["message"], "the status to name the switch")
    assert "pause" not in running.status()["message"]
    assert laptop.claude.count("create") == creates + 1
    assert not second.exists(paused.folder + "manifest.json")
    second.switch("run")
    assert paused.wait().manifest()["counts"]["succeeded"] == 4
    for job, other in ((running, second), (paused, laptop)):
        assert other.ledger().get_job(job.id) is None
        assert not other.exists(job.folder)
        assert job.wait_for("done").audit() == []


def test_they_share_no_queue_and_no_data(laptop: Laptop, second: Laptop) -> None:
    names = [name for name in laptop.env if name.startswith("BATCHDROP_")]
    assert len(names) >= 10
    assert [name for name in names if laptop.env[name] == second.env[name]] == []


def test_lost_answers_of_equal_batches_find_their_own_way_home(laptop: Laptop, second: Laptop) -> None:
    """Both create a batch of seven at the same time, both never hear of it: each is told from the other by its first result."""
    creates = laptop.claude.count("create")
    laptop.claude.fault("accept-then-drop", "create", times=2)
    jobs = [stack.drop(f"inbox/lost-{stack.stack}.jsonl", rows(7)) for stack in (laptop, second)]
    for job in jobs:
        assert job.wait().manifest()["counts"]["succeeded"] == 7
        assert job.wait_for("done").audit() == []
    assert [fault["struck"] for fault in laptop.claude.faults()] == [2]
    assert laptop.claude.count("create") == creates + 2
    mine, theirs = (_api_ids(job) for job in jobs)
    assert len(mine | theirs) == 2
    assert not any(second.ledger().owner_of(api_id) for api_id in mine)
    assert not any(laptop.ledger().owner_of(api_id) for api_id in theirs)


def _api_ids(job: Job) -> set[str]:
    return {batch["id"] for batch in job.manifest()["batches"]}
