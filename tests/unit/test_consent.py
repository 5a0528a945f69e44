"""What `make demo` answers when a job asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchdrop.domain.keys import outbox_folder
from batchdrop.domain.records import Job
from local.consent import Consent, End, Talk, amount
from local.summary import tried
from tests.stack import Stack
from tests.stages import test_groups, test_pilot


def status(
    high: str = "1.40", *, code: str = "aaaaaa", needs: str = "approval", job: str = "job", message: str = ""
) -> dict[str, Any]:
    question = {"code": code, "high_usd": Decimal(high), "answer": f"control/approve/{job}-{code}"}
    return {
        "job_id": job,
        "needs": needs,
        "message": message or code,
        "cost": {"usd": Decimal("0.5"), "reserved_usd": Decimal("0.1")},
        "question": question if needs == "approval" else None,
    }


class Demo:
    """Talks with jobs, and remembers what was done."""

    def __init__(self, approve: str = "", answers: Sequence[bool] | None = None) -> None:
        self.said: list[str] = []
        self.commands: list[str] = []
        self.asked = 0
        self._answers = list(answers or [])
        up_to = amount(approve) if approve else None
        self._consent = Consent(up_to, self._ask if answers is not None else None, self.said.append)

    def talk(self) -> Talk:
        return Talk(self._consent, lambda: ["a tried row"], self.commands.append)

    def _ask(self, question: str) -> bool:
        self.asked += 1
        return self._answers.pop(0)


YES, CANCEL = "control/approve/job-aaaaaa", "control/cancel/job"


@pytest.mark.parametrize(
    ("demo", "end", "commands", "asked"),
    [
        (Demo(answers=[True]), End.ended, [YES], 1),
        (Demo(answers=[False]), End.no, [CANCEL], 1),
        (Demo(), End.nobody, [CANCEL], 0),
        # Spent $0.50, reserved $0.10, and up to $1.40 for the others.
        (Demo("2"), End.ended, [YES], 0),
        (Demo("1.99"), End.nobody, [CANCEL], 0),
        (Demo("2", answers=[]), End.ended, [YES], 0),
        (Demo("1.99", answers=[True]), End.ended, [YES], 1),
        (Demo("0"), End.nobody, [CANCEL], 0),
    ],
)
def test_who_says_yes(demo: Demo, end: End, commands: list[str], asked: int) -> None:
    assert demo.talk()(status(), 0.0) is end
    assert (demo.commands, demo.asked) == (commands, asked)
    assert demo.said[0] == "a tried row\n"


def test_nobody_is_told_what_would_have_said_yes() -> None:
    demo = Demo()
    demo.talk()(status("1.400001"), 0.0)
    assert "APPROVE=2.01 would have" in demo.said[-1]
    again = Demo("2.01")
    assert again.talk()(status("1.400001"), 0.0) is End.ended


def test_a_question_is_answered_once_and_another_one_anew() -> None:
    demo = Demo(answers=[True, True])
    talk = demo.talk()
    for code in ("aaaaaa", "aaaaaa", "bbbbbb"):
        assert talk(status(code=code), 0.0) is End.ended
    assert demo.commands == [YES, "control/approve/job-bbbbbb"]


def test_all_jobs_share_one_amount() -> None:
    demo = Demo("4.50")
    ends = [demo.talk()(status(job=job), 0.0) for job in ("one", "two", "three")]
    assert ends == [End.ended, End.ended, End.nobody]
    assert demo.commands[-1] == "control/cancel/three"
    assert any("does not reach: this would make $6.00" in line for line in demo.said)


def test_what_a_job_asks_anew_takes_the_place_of_what_was_approved() -> None:
    demo = Demo("2.50")
    talk = demo.talk()
    assert talk(status(), 0.0) is End.ended
    assert talk(status("1.90", code="bbbbbb"), 0.0) is End.ended


def test_what_no_yes_can_answer() -> None:
    demo = Demo("100", answers=[])
    assert demo.talk()(status(needs="recipe"), 0.0) is End.recipe
    assert demo.commands == []
    assert demo.talk()(status(needs="limit"), 0.0) is End.nobody
    assert demo.commands == [CANCEL]
    # It may be that a tick is awaited, or that no price is known.
    talk = demo.talk()
    assert [talk(status(needs="price"), now) for now in (5.0, 125.0)] == [End.ended, End.ended]
    assert talk(status(needs="price", message="another"), 126.0) is End.ended
    assert talk(status(needs="price", message="another"), 247.0) is End.nobody


@pytest.mark.parametrize("text", ["", "two", "-1", "nan", "Infinity", "1,50"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        amount(text)


def test_a_real_job_is_answered_by_its_status() -> None:
    stack = test_pilot.stack_of()
    test_pilot.until_asked(stack)
    demo = Demo(answers=[True])
    assert demo.talk()(json.loads(stack.output("status.json"), parse_float=Decimal), 0.0) is End.ended
    (command,) = demo.commands
    stack._control(command)
    stack.run()
    assert stack.document("manifest.json")["approvals"][0]["key"] == command


def test_what_was_tried_is_shown(tmp_path: Path) -> None:
    requests = test_pilot.stack_of()
    job = test_pilot.until_asked(requests)
    # The first of them stands there as it will in failed.jsonl.
    without = b'{"custom_id": "x", "_batchdrop": {"line": 0, "status": "errored"}}\n'
    lines = _fetched(requests, job, tmp_path / "requests", without)
    assert lines[:2] == ["", "First answers:"]
    assert len(lines) == 7
    assert all("answer to" in line for line in lines[2:])
    table = test_groups.stack_of()
    job = test_groups.drop(table, "a")
    test_groups.wait(table)
    lines = _fetched(table, job, tmp_path / "table")
    assert lines[:3] == ["", "First rows of tried.csv:", "  text     label"]
    assert len(lines) == 11
    assert {line.split()[-1] for line in lines[3:]} == {"positive"}
    assert tried(tmp_path) == []


def _fetched(stack: Stack, job: Job, folder: Path, first: bytes = b"") -> list[str]:
    folder.mkdir()
    for name in ("tried.jsonl", "tried.csv"):
        if stack.objects.keys(key := outbox_folder(job.input.key, job.id) + name):
            (folder / name).write_bytes(first + stack.objects.body(key))
    return tried(folder)
