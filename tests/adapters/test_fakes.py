"""What the fakes have besides the ports: hooks, and things a test can see."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.messages import ResumePlanning
from batchdrop.domain.transitions import opened
from tests.adapters.records import job
from tests.fakes import (
    FakeClaude,
    FakeDeadline,
    FakeLedger,
    FakeMetrics,
    FakeNotices,
    FakeObjects,
    FakeQueues,
    FakeSwitch,
    Hooks,
    ManualClock,
)


class Killed(BaseException):
    """A process that ends here and now."""


def kill(name: str) -> None:
    raise Killed(name)


def test_a_call_killed_before_has_not_happened(clock: ManualClock) -> None:
    ledger = FakeLedger()
    ledger.hooks.before = kill
    with pytest.raises(Killed, match=r"ledger\.commit"):
        ledger.commit(opened(job()))
    assert ledger.jobs == {}


def test_a_call_killed_after_has_happened(clock: ManualClock, tmp_path: Path) -> None:
    claude = FakeClaude(clock)
    claude.hooks.after = kill
    (tmp_path / "body").write_bytes(b'{"requests":[{"custom_id":"a","params":{}}]}')
    with pytest.raises(Killed, match=r"claude\.create"):
        claude.create(tmp_path / "body")
    assert claude.custom_ids() == ["a"]


def test_one_hook_sees_the_calls_of_all_fakes(clock: ManualClock) -> None:
    hooks = Hooks()
    objects = FakeObjects(clock, hooks)
    with objects.writer("key") as out:
        out.write(b"body")
    FakeQueues(clock, hooks).send(ResumePlanning(job_id="a"))
    FakeSwitch(hooks=hooks).state()
    FakeNotices(hooks).publish("subject", "text", {}, {})
    metrics = FakeMetrics(hooks)
    metrics.count("Jobs")
    metrics.count("Jobs", 2)
    assert metrics.totals == {"Jobs": 3}
    assert hooks.calls[:3] == ["objects.writer", "objects.writer.write", "objects.writer.close"]
    assert hooks.calls[3:5] == ["queues.send", "switch.state"]
    assert hooks.calls[5:] == ["notices.publish", "metrics.count", "metrics.count"]


def test_an_upload_has_versions_and_metadata(clock: ManualClock) -> None:
    objects = FakeObjects(clock)
    first = objects.drop("inbox/a", b"1", {"Priority": "1"})
    second = objects.drop("inbox/a", b"2")
    assert first.version_id != second.version_id
    assert objects.head("inbox/a", first.version_id).metadata == {"priority": "1"}
    assert objects.count_versions("inbox/a") == 2
    objects.delete("inbox/a")
    assert objects.keys() == []


def test_a_bucket_without_versions_forgets(clock: ManualClock) -> None:
    objects = FakeObjects(clock, versioned=False)
    first = objects.drop("inbox/a", b"1")
    objects.drop("inbox/a", b"2")
    assert first.version_id is None
    with pytest.raises(ObjectGone):
        objects.read(first)


def test_a_deadline_comes_nearer(clock: ManualClock) -> None:
    deadline = FakeDeadline(clock, 10)
    clock.sleep(4)
    assert deadline.remaining() == 6
    assert clock.slept == [4]
