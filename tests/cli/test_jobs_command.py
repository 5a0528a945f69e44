"""`batchdrop jobs` and `batchdrop open`: what the bucket alone tells of jobs."""

from __future__ import annotations

import json
import stat
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batchdrop_cli.following import opened_report, told_jobs
from batchdrop_cli.main import batchdrop
from batchdrop_client import newest_jobs
from tests.cli.ended_jobs import in_s3, requests_job
from tests.cli.live_stack import LiveStack, live_stack
from tests.stack import BUCKET, Stack, rows

_WIDTH = 80


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    with live_stack(monkeypatch) as stack:
        yield stack


def said(*arguments: object) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def status(live: LiveStack, team: str, minute: int, **fields: object) -> str:
    """A job with no more than its status.json; ended if it is `done`."""
    job = f"20261122T01{minute:02d}00Z-{'a' * 14}{chr(97 + minute // 20)}{chr(97 + minute % 20)}"
    document = {"job_id": job, "state": "done", "message": "Said.", "input": {"key": f"inbox/{team}/f{minute}.csv"}} | fields
    folder = f"outbox/{team}/f{minute}/{job}/"
    live.put(f"{folder}status.json", json.dumps(document).encode())
    if document["state"] in ("done", "canceled"):
        live.put(f"{folder}manifest.json", b"{}")
    return job


def test_a_job_is_a_line(live: LiveStack) -> None:
    job = requests_job()
    in_s3(job, live.client, BUCKET)
    heads, more, line = said("jobs").stdout.splitlines()
    assert (heads.split(), more.split()) == (["without"], ["dropped", "job", "state", "rows", "answer", "cost", "file"])
    assert line.split()[3:7] == [job.job().id[-6:], "done", "6", "3"]
    assert line.split()[-1] == "marketing/reviews.jsonl"


def test_what_waits_for_you_is_first_however_old(live: LiveStack) -> None:
    asking = status(live, "a", 0, state="held", needs="approval")
    waiting = status(live, "a", 1, state="held", needs="limit")
    newest = [status(live, "a", minute, counts={"total": 1, "succeeded": 1}) for minute in range(2, 30)]
    result = said("jobs", "--limit", "3")
    shown = [line.split()[3] for line in result.stdout.splitlines()[2:]]
    assert shown == [job[-6:] for job in (asking, *newest[:-4:-1])]
    assert waiting[-6:] not in shown
    assert f"batchdrop status {asking}" in result.stderr
    assert "26 older jobs are not shown: see --limit." in result.stderr


def test_json_is_the_status_of_each(live: LiveStack) -> None:
    jobs = [status(live, "a", minute) for minute in range(3)]
    lines = said("jobs", "--json").stdout.splitlines()
    assert [json.loads(line)["job_id"] for line in lines] == jobs[::-1]


def test_a_folder_alone(live: LiveStack) -> None:
    mine, _ = status(live, "a", 1), status(live, "ab", 2)
    for named in ("a", "/a/", "outbox/a/"):
        assert [json.loads(line)["job_id"] for line in said("jobs", named, "--json").stdout.splitlines()] == [mine]


def test_no_job(live: LiveStack) -> None:
    result = said("jobs", "marketing")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "There is no job below outbox/marketing/.\n"


_DEEP = b'"x":' + b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "spoilt",
    [b"", _DEEP, b'"cost":{"usd":"NaN"}', b'"cost":{"reserved_usd":"Infinity"}', b'"estimate":{"low":0,"high":"1e9999999"}'],
    ids=["cut", "deep", "nan", "infinite", "huge"],
)
def test_one_that_cannot_be_read_hides_no_other(live: LiveStack, spoilt: bytes) -> None:
    job = status(live, "a", 1)
    broken = status(live, "a", 2)
    key = f"outbox/a/f2/{broken}/status.json"
    live.put(key, live.body(key)[:-1] + (b"," + spoilt + b"}" if spoilt else b""))
    assert said("status", broken).exit_code == 1
    result = said("jobs")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)
    assert job[-6:] in result.stdout
    assert f"The status.json of 1 job could not be read: {broken}." in result.stderr


def test_a_listing_ends(live: LiveStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_jobs, "MOST_CALLS", 1)
    monkeypatch.setattr(told_jobs, "MOST_CALLS", 1)
    for number in range(1001):
        live.put(f"outbox/a/{number:04d}", b"")
    status(live, "b", 1)
    result = said("jobs")
    assert "Only the first 1,000 objects below outbox/ were looked at. Name a folder." in result.stderr
    assert result.stdout == ""


def test_a_terminal_is_not_obeyed_and_not_too_narrow(live: LiveStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_jobs, "on_terminal", lambda *_: True)
    monkeypatch.setenv("COLUMNS", str(_WIDTH))
    status(live, "a", 1, input={"key": f"inbox/\x1b[2J{'long/' * 30}reviews.csv"}, state="held", needs="approval")
    shown = said("jobs").stdout
    assert "\x1b" not in shown
    assert "waiting for you" in shown
    assert all(len(line) <= _WIDTH for line in shown.splitlines())
    assert shown.endswith("reviews.csv\n")


@pytest.mark.parametrize("width", [80, 100])
def test_files_of_one_folder_do_not_read_alike(live: LiveStack, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(told_jobs, "on_terminal", lambda *_: True)
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"marketing/{name}-kundenkommentare.csv" for name in ("2026-q1-nord", "2026-q2-nord", "2026-q2-sued")]
    counts = {"total": 12_019, "succeeded": 11_001, "errored": 1_018}
    for minute, name in enumerate(names):
        fields = {"state": "held", "needs": "approval"} if not minute else {"counts": counts, "cost": {"usd": 12.34}}
        status(live, "a", minute, input={"key": f"inbox/{name}"}, **fields)
    lines = said("jobs").stdout.splitlines()
    assert max(map(len, lines)) <= width
    shown = [line.split()[-1] for line in lines[2:]]
    assert len(set(shown)) == len(names)
    assert all("2026-q" in one and one.endswith("mentare.csv") for one in shown), shown
    assert ("cost" in lines[1]) is (width == 100)


# ---------------------------------------------------------------- open


@pytest.fixture
def reported(live: LiveStack) -> tuple[Stack, bytes]:
    job = Stack(ask_above="0")
    job.drop("inbox/marketing/reviews.jsonl", rows(3))
    folder = in_s3(job, live.client, BUCKET)
    page = b"<!doctype html><p>Who can read this?"
    live.put(f"{folder}report.html", page)
    return job, page


def test_the_report_is_opened_and_nobody_elses_to_read(
    reported: tuple[Stack, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    opened: list[str] = []

    def shows(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", shows)
    job, page = reported
    result = said("open", job.job().id[-6:])
    path = Path(result.stdout.rstrip("\n"))
    assert (result.exit_code, result.stderr, opened) == (0, "", [path.as_uri()])
    assert (path.read_bytes(), path.name) == (page, f"{job.job().id}.html")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_is_only_printed_where_it_is(reported: tuple[Stack, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("nobody asked for a browser"))
    result = said("open", reported[0].job().id, "--print")
    assert (result.exit_code, result.stderr) == (0, "")
    assert Path(result.stdout.rstrip("\n")).read_bytes() == reported[1]


def test_without_a_display_no_browser_takes_the_terminal(
    reported: tuple[Stack, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("there is no display"))
    result = said("open", reported[0].job().id)
    assert (result.exit_code, result.stderr) == (0, "There is no browser to show it: open this file in one.\n")


def test_a_browser_that_does_not_come(reported: tuple[Stack, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(opened_report, "_has_display", lambda: True)

    def fails(_: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "open", fails)
    result = said("open", reported[0].job().id)
    assert result.exit_code == 0
    assert "There is no browser" in result.stderr


def test_a_job_without_a_report(live: LiveStack) -> None:
    job = status(live, "a", 1)
    result = said("open", job)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"The job {job} has no report.html. Said.\n"
