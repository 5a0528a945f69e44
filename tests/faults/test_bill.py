"""The checker of the runs on the deployed stack finds what it is there to find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from local.claude.client import Control, start
from tests.faults.bill import Bill, check_delivery
from tests.stack import row

_FILE = b"\n".join([row("a", "first"), b"not json", row("b", "second")])


class Delivered:
    """What came back: lines with the ids of their answers, and lines without one."""

    def __init__(self, answers: dict[int, str], *failed: int) -> None:
        self._answers = answers
        self._failed = failed

    def manifest(self) -> dict[str, Any]:
        return {"counts": {"total": 3, "succeeded": len(self._answers), "invalid": len(self._failed), "missing": 0}}

    def lines(self, name: str) -> list[dict[str, Any]]:
        if name == "failed.jsonl":
            return [{"_batchdrop": {"line": line}} for line in self._failed]
        return [{"line": line, "result": {"message": {"id": answer}}} for line, answer in self._answers.items()]


@pytest.fixture
def claude() -> Iterator[Control]:
    with start("--clock", "manual", "--seconds", "0") as control:
        yield control


def send(claude: Control, *lines: bytes) -> None:
    requests = [{"custom_id": f"r-{place}", "params": json.loads(line)["params"]} for place, line in enumerate(lines)]
    headers = {"x-api-key": "key", "anthropic-version": "2023-06-01"}
    url = f"{claude.base_url}/v1/messages/batches"
    assert httpx2.post(url, json={"requests": requests}, headers=headers, verify=False).status_code == 200


def wrong(claude: Control, delivered: Delivered) -> list[str]:
    return list(check_delivery(delivered, _FILE, {"succeeded": 2, "invalid": 1}, Bill(claude)))


def test_what_was_paid_once_and_delivered_once_is_right(claude: Control) -> None:
    send(claude, row("a", "first"), row("b", "second"))
    bill = Bill(claude)
    assert wrong(claude, Delivered({1: bill.answers["first"][0], 3: bill.answers["second"][0]}, 2)) == []


def test_a_row_that_was_paid_twice_is_found(claude: Control) -> None:
    send(claude, row("a", "first"), row("b", "second"))
    send(claude, row("b", "second"))
    bill = Bill(claude)
    delivered = Delivered({1: bill.answers["first"][0], 3: bill.answers["second"][1]}, 2)
    assert wrong(claude, delivered) == ["line 3 was paid for 2 times"]


def test_an_answer_of_another_row_is_found(claude: Control) -> None:
    send(claude, row("a", "first"), row("b", "second"))
    answer = Bill(claude).answers["first"][0]
    assert wrong(claude, Delivered({1: answer, 3: answer}, 2)) == ["line 3 has an answer that was not given to it"]


def test_a_row_that_is_lost_or_delivered_twice_is_found(claude: Control) -> None:
    send(claude, row("a", "first"), row("b", "second"))
    answer = Bill(claude).answers["first"][0]
    found = wrong(claude, Delivered({1: answer}, 2, 2))
    assert found == [
        "its rows ended as {'succeeded': 1, 'invalid': 2}, not as {'succeeded': 2, 'invalid': 1}",
        "the outputs hold the lines [1, 2, 2], the file [1, 2, 3]",
    ]
