"""An invocation that is killed has stored more than the next one comes to: the one after that doubles nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from batchdrop.domain import keys
from batchdrop.stages.control.retry import DropAgain
from batchdrop.stages.plan.render import Render
from batchdrop.stages.plan.row_sources import JsonRows
from tests.adapters.records import job
from tests.fakes.clock import ManualClock
from tests.fakes.objects import FakeObjects
from tests.stack import Killed

PART_BYTES = 100
ROWS = 60
JOB = job()

type GoOn = Callable[[], bool]


@pytest.fixture
def objects() -> FakeObjects:
    objects = FakeObjects(ManualClock())
    objects.part_bytes = PART_BYTES
    return objects


def _rendered(objects: FakeObjects, text: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[[GoOn], object], str]:
    monkeypatch.setattr("batchdrop.stages.plan.render._BLOCK_BYTES", 1)
    source = objects.drop("inbox/table.jsonl", text)
    render = Render(objects=objects, bucket="bucket", key="work/lines", checkpoint_key="work/reached", max_bytes=1 << 20)
    return lambda go_on: render(JsonRows(objects, source), lambda row: row.own + b"\n", lambda: None, go_on), "work/lines"


def _dropped_again(objects: FakeObjects, text: bytes, _: pytest.MonkeyPatch) -> tuple[Callable[[GoOn], object], str]:
    objects.drop(keys.outbox_folder(JOB.input.key, JOB.id) + "failed.jsonl", text)
    drop_again = DropAgain(objects=objects)
    return lambda go_on: drop_again(JOB, go_on, begun=False), keys.retried_input(JOB.input.key, JOB.id)


@pytest.mark.parametrize("made", [_rendered, _dropped_again])
@pytest.mark.parametrize("slow", [3, 11, 29, 31])
def test_a_slow_invocation_after_one_that_was_killed(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch, made: Callable[..., tuple[Callable[[GoOn], object], str]], slow: int
) -> None:
    note = {"status": "expired", "error": {"type": "expired", "message": ""}, "attempts": 1}
    lines = [{"row": number, "_batchdrop": {**note, "line": number}} for number in range(1, ROWS + 1)]
    run, key = made(objects, b"".join(json.dumps(line).encode() + b"\n" for line in lines), monkeypatch)
    with pytest.raises(Killed):
        run(_killed_after(30))
    run(_stopped_after(slow))
    assert not objects.exists(key)
    run(lambda: True)
    assert [json.loads(line)["row"] for line in objects.body(key).splitlines()] == list(range(1, ROWS + 1))


def _stopped_after(rows: int) -> GoOn:
    left = iter(range(rows - 1, -1, -1))
    return lambda: next(left) > 0


def _killed_after(rows: int) -> GoOn:
    stopped = _stopped_after(rows)

    def go_on() -> bool:
        if not stopped():
            raise Killed
        return True

    return go_on
