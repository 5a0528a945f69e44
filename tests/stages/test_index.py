"""`index.json` and `index.html`: of each team and of all jobs; what waits, what runs, and what the month has cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import unescape
from typing import Any

import pytest

from batchdrop.domain import ids
from batchdrop.domain.marks import Mark
from batchdrop.stages.poll import index_jobs
from tests.faults.promises import indexes_agree
from tests.money import dear_rows
from tests.money import stack_of as dear_stack
from tests.stack import Killed, Stack, rows

ALL = "outbox/index.json"


def index(stack: Stack, team: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.objects.body(f"outbox/{team}/index.json" if team else ALL))
    return found


def page(stack: Stack, team: str = "") -> str:
    return stack.objects.body(f"outbox/{team}/index.html" if team else "outbox/index.html").decode()


def rest(stack: Stack) -> None:
    """Until nothing is open, and no index has anything to show."""
    stack.run()
    for _ in range(6):
        stack.step()


def test_a_job_is_in_the_index_of_its_team_and_in_that_of_all() -> None:
    stack = Stack()
    stack.drop("inbox/marketing/eu/a.jsonl", rows(3))
    stack.drop("inbox/sales/b.jsonl", rows(2))
    stack.drop("inbox/c.jsonl", rows(1))
    rest(stack)
    files = {team: sorted(job["file"] for job in index(stack, team)["jobs"]) for team in ("", "marketing", "sales")}
    assert files == {
        "": ["c.jsonl", "marketing/eu/a.jsonl", "sales/b.jsonl"],
        "marketing": ["marketing/eu/a.jsonl"],
        "sales": ["sales/b.jsonl"],
    }
    assert "marketing" not in stack.objects.body("outbox/sales/index.json").decode() + page(stack, "sales")
    assert [key for key in stack.objects.keys("outbox/") if key.endswith("/index.html")] == [
        "outbox/index.html",
        "outbox/marketing/index.html",
        "outbox/sales/index.html",
    ]
    assert stack.objects.content_type("outbox/index.html") == "text/html; charset=utf-8"
    assert stack.failures == []


def test_an_entry_says_what_became_of_a_job() -> None:
    stack = Stack()
    stack.drop("inbox/marketing/a.jsonl", rows(3))
    stack.tick()
    assert (index(stack)["running"], index(stack)["waiting"], index(stack)["months"]) == (1, 0, {})
    assert "No job waits for you, 1 runs." in page(stack, "marketing")
    rest(stack)
    (entry,) = index(stack, "marketing")["jobs"]
    job = stack.job()
    assert entry["job_id"] == job.id
    assert (entry["state"], entry["word"], entry["rows"], entry["without_answer"]) == ("done", "done", 3, 0)
    assert entry["usd"] == stack.document("status.json")["cost"]["usd"]
    assert entry["folder"] == f"outbox/marketing/a/{job.id}/"
    found = index(stack)
    assert (found["running"], found["waiting"]) == (0, 0)
    assert found["months"] == {f"{ids.uploaded_at(job.id):%Y-%m}": {"jobs": 1, "rows": 3, "usd": entry["usd"]}}
    assert "No job waits for you, none runs." in page(stack, "marketing")


def test_what_waits_for_a_person_comes_with_its_sentence() -> None:
    stack = Stack()
    stack.drop("inbox/marketing/a.csv", b"text\none\ntwo\n")
    stack.step()
    (entry,) = index(stack, "marketing")["jobs"]
    assert entry["word"] == "waiting for you"
    assert entry["message"] == stack.document("status.json")["message"]
    assert index(stack)["waiting"] == 1
    assert "1 job waits for you, none runs." in page(stack)
    assert "<h2>Waiting for you</h2>" in page(stack)


def test_what_waits_for_an_operator_does_not_run_and_comes_first_in_the_index_of_all() -> None:
    """Two jobs waited for the price of a model, and were said to run."""
    stack = dear_stack(4_000, daily_limit="0.001")
    stack.drop("inbox/marketing/a.jsonl", dear_rows(8))
    for _ in range(4):
        stack.step()
    stack.drop("inbox/marketing/b.csv", b"text\none\ntwo\n")
    stack.step()
    found = index(stack)
    assert (found["waiting"], found["for_operator"], found["running"]) == (1, 1, 0)
    (entry,) = (one for one in found["jobs"] if one["for_operator"])
    status = stack.document("status.json", next(one for one in stack.jobs() if one.id == entry["job_id"]))
    assert (status["needs"], entry["message"]) == ("limit", status["message"])
    assert entry["command"] == status["next"]["command"]
    assert "1 job waits for you, 1 waits for an operator, none runs." in page(stack)
    places = [
        [body.index(f"<h2>Waiting for {whom}</h2>") for whom in ("an operator", "you")]
        for body in (page(stack), page(stack, "marketing"))
    ]
    assert places[0] == sorted(places[0])
    assert places[1] == sorted(places[1], reverse=True)
    assert "<title>All jobs</title>" in page(stack)
    assert "<title>Jobs in marketing/</title>" in unescape(page(stack, "marketing"))
    assert "newest 500" not in page(stack)


def test_at_rest_nothing_is_read_or_written() -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    rest(stack)
    assert stack.ledger.marks == set()
    stack.hooks.calls.clear()
    stack.tick()
    assert not [call for call in stack.hooks.calls if "mark" in call or call in ("objects.overwrite", "objects.put")]


def test_a_tick_without_a_change_writes_no_index() -> None:
    stack = Stack()
    stack.claude.seconds = 3600
    stack.drop("inbox/a.jsonl", rows(3))
    for _ in range(3):
        stack.step()
    was = stack.objects.count_versions(ALL)
    for _ in range(5):
        stack.step()
    assert stack.objects.count_versions(ALL) == was


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "moment", ["ledger.get_jobs", "objects.head", "objects.put", "objects.overwrite", "ledger.remove_marks", "ledger.list_marks"]
)
def test_who_dies_anywhere_loses_no_change(moment: str, when: str) -> None:
    stack = Stack()
    died: list[str] = []

    def die(name: str) -> None:
        if name == moment and len(died) < 3 and stack.invocation is not None and stack.invocation.stage == "poll":
            died.append(name)
            raise Killed

    setattr(stack.hooks, when, die)
    stack.drop("inbox/marketing/a.jsonl", rows(3))
    stack.drop("inbox/sales/b.jsonl", rows(2))
    rest(stack)
    assert died
    assert list(indexes_agree(stack)) == []
    (month,) = index(stack)["months"].values()
    assert (month["jobs"], month["rows"]) == (2, 5)


@pytest.mark.parametrize("moment", ["objects.read", "objects.overwrite", "ledger.remove_marks", "ledger.get_jobs"])
def test_two_ticks_at_once_lose_no_change_and_count_none_twice(moment: str) -> None:
    """A job ends, and another tick writes the indexes, in the middle of this one."""
    stack = Stack()
    stack.drop("inbox/marketing/a.jsonl", rows(3))
    stack.step()
    began: list[str] = []

    def another(name: str) -> None:
        if name == moment and not began and stack.invocation is not None and stack.invocation.stage == "poll":
            began.append(name)
            stack.drop("inbox/marketing/b.jsonl", rows(2))
            stack.poll.index_jobs()

    stack.hooks.before = another
    rest(stack)
    assert began
    assert list(indexes_agree(stack)) == []
    (month,) = index(stack)["months"].values()
    assert (month["jobs"], month["rows"]) == (2, 5)


def test_a_mark_that_is_seen_twice_counts_once_also_behind_many_newer_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.reports.job_index.MOST_JOBS", 2)
    stack = Stack()
    kept = stack.ledger.remove_marks
    marks: set[Mark] = set()

    def remove(seen: Sequence[Mark]) -> None:
        marks.update(seen)
        kept(seen)

    monkeypatch.setattr(stack.ledger, "remove_marks", remove)
    for number in range(5):
        stack.drop(f"inbox/marketing/{number}.jsonl", rows(1))
    rest(stack)
    stack.ledger.marks.update(marks)
    stack.poll.index_jobs()
    (month,) = index(stack)["months"].values()
    assert month["jobs"] == 5
    stack.clock.advance(3600)
    stack.drop("inbox/marketing/last.jsonl", rows(1))
    rest(stack)
    assert len(index(stack)["jobs"]) == 2
    (month,) = index(stack)["months"].values()
    assert month["jobs"] == 6


def test_many_changes_are_shown_a_thousand_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_jobs, "_MOST_MARKS", 3)
    stack = Stack()
    for number in range(8):
        stack.drop(f"inbox/marketing/{number}.jsonl", rows(1))
    rest(stack)
    for _ in range(12):
        stack.step()
    assert list(indexes_agree(stack)) == []


def test_more_open_jobs_than_are_kept_are_not_said_to_be_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("job_index", "index_page"):
        monkeypatch.setattr(f"batchdrop.reports.{module}.MOST_OPEN", 2)
    monkeypatch.setattr("batchdrop.reports.job_index.MOST_JOBS", 0)
    stack = Stack()
    for number in range(3):
        stack.drop(f"inbox/marketing/{number}.csv", b"text\na\n")
    rest(stack)
    assert index(stack)["waiting"] == 2
    assert "no more than the newest 2 are counted" in page(stack)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("what", "by"),
    [
        (b"{", b"["),
        (b'"folder": "outbox/"', b'"folder": "\xff"'),
        (b'"jobs": [', b'"more": %b, "jobs": [' % DEEP),
        (b'"usd": 0', b'"usd": "NaN"'),
        (b'"usd": 0', b'"usd": "sNaN"'),
        (b'"usd": 0', b'"usd": "-Infinity"'),
        (b'"usd": 0', b'"usd": "1e9999999"'),
        (b'"job_id": "2', b'"job_id": "3-'),
        (b'Z",\n   "revision"', b'",\n   "revision"'),
    ],
    ids=["no JSON", "no UTF-8", "too deep", "no number", "no quiet one", "endless", "too large", "no job", "no zone"],
)
def test_an_index_that_somebody_has_spoilt_is_begun_anew(what: bytes, by: bytes) -> None:
    stack = Stack()
    stack.drop("inbox/sales/z.jsonl", rows(1))
    rest(stack)
    assert what in stack.objects.body(ALL)
    stack.objects.drop(ALL, stack.objects.body(ALL).replace(what, by))
    stack.drop("inbox/marketing/a.jsonl", rows(3))
    rest(stack)
    assert index(stack)["jobs"][0]["file"] == "marketing/a.jsonl"
    assert "a.jsonl" in page(stack)
    assert stack.ledger.marks == set()


def test_a_page_that_cannot_be_made_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise ValueError

    monkeypatch.setattr("batchdrop.reports.index_page.index_page", fail)
    stack = Stack()
    stack.drop("inbox/marketing/a.jsonl", rows(3))
    rest(stack)
    assert list(indexes_agree(stack)) == []
    assert stack.ledger.marks == set()
    assert stack.metrics.totals["ReportFailed"]


def test_a_team_whose_name_is_too_long_for_the_key_has_no_index_of_its_own() -> None:
    stack = Stack()
    team = "t" * 1010
    stack.drop(f"inbox/{team}/a.csv", b"")
    rest(stack)
    assert [job["file"] for job in index(stack)["jobs"]] == [f"{team}/a.csv"]
    assert stack.failures == []


def test_an_index_that_cannot_be_written_hides_no_marks_behind_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_jobs, "_MOST_MARKS", 3)
    stack = Stack()
    stack.objects.forbid("outbox/marketing/index.json", head=True)
    for number in range(3):
        stack.drop(f"inbox/marketing/{number}.jsonl", rows(1))
    rest(stack)
    stack.clock.advance(3600)
    stack.drop("inbox/sales/a.jsonl", rows(2))
    rest(stack)
    assert [job["state"] for job in index(stack, "sales")["jobs"]] == ["done"]
    assert {mark.job_id for mark in stack.ledger.list_marks(limit=100)} == {job.id for job in stack.jobs()[:3]}


def test_an_index_that_cannot_be_read_keeps_no_other_one_waiting() -> None:
    stack = Stack()
    stack.drop("inbox/marketing/a.jsonl", rows(3))
    stack.drop("inbox/sales/b.jsonl", rows(2))
    rest(stack)
    blocked = True
    stack.objects.forbid("outbox/marketing/index.json", head=True, when=lambda: blocked)
    stack.drop("inbox/marketing/c.jsonl", rows(1))
    stack.drop("inbox/sales/d.jsonl", rows(1))
    stack.run()
    for _ in range(3):
        stack.tick()
    assert [job["state"] for job in index(stack, "sales")["jobs"]] == ["done", "done"]
    assert len(index(stack)["jobs"]) == 4
    marked = {mark.job_id for mark in stack.ledger.list_marks(limit=100)}
    assert marked == {job.id for job in stack.jobs() if job.input.key == "inbox/marketing/c.jsonl"}
    assert stack.metrics.totals["ReportFailed"]
    blocked = False
    rest(stack)
    assert sorted(job["file"] for job in index(stack, "marketing")["jobs"]) == ["marketing/a.jsonl", "marketing/c.jsonl"]
    assert not stack.ledger.list_marks(limit=100)
