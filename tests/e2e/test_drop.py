"""`batchdrop drop --wait` as people run it, with the rights of one team: piped, on a terminal, interrupted and killed."""

from __future__ import annotations

import csv
import errno
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import copy
from pathlib import Path

import pytest

from tests.e2e.laptop import ACCOUNT, PATIENCE, ROOT, Laptop
from tests.policies import policy

TEAM = "red"
RECIPE = 'model: claude-haiku-4-5\nprompt: "Say something about: {{ text }}"\n'
ASKS = RECIPE + "limits: {ask_above_usd: 0.000001}\n"


class Person:
    """With the rights of who drops and approves in one folder, and no others."""

    def __init__(self, laptop: Laptop, name: str) -> None:
        places = {"bucket": laptop.bucket, "team": TEAM, "stack": laptop.stack, "account": ACCOUNT, "region": "us-east-1"}
        statements = [one for kind in ("dropper", "approver") for one in policy(kind, **places)["Statement"]]
        role = laptop.assume(
            name, {"Version": "2012-10-17", "Statement": [{**one, "Sid": f"S{n}"} for n, one in enumerate(statements)]}
        )
        self.env = {
            **os.environ,
            **laptop.env,
            **role.variables(),
            "BATCHDROP_FOLDER": TEAM,
            "COLUMNS": "80",
            "PYTHONPATH": f"{ROOT / 'layers' / 'core'}:{ROOT / 'cli'}",
        }

    def in_folder(self, name: str) -> Person:
        """The same person, at work in a folder of the team's."""
        person = copy(self)
        person.env = {**self.env, "BATCHDROP_FOLDER": f"{TEAM}/{name}"}
        return person

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "batchdrop_cli", *map(str, arguments)]

    def runs(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def starts(self, *arguments: object) -> subprocess.Popen[str]:
        """In a group of its own, as a shell starts it."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def person(laptop: Laptop) -> Person:
    return Person(laptop, "red-drops")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    path = tmp_path / "reviews.csv"
    path.write_text("id,text\n" + "".join(f"{number},A lamp number {number}\n" for number in range(1, 31)))
    return path


def until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.1)


def answers(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_piped_into_a_file(person: Person, table: Path) -> None:
    done = person.runs("drop", table, "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{table.with_name('reviews.results.csv')}\n"
    assert [row["id"] for row in answers(Path(done.stdout.strip()))] == [str(number) for number in range(1, 31)]
    assert all(row["answer"] for row in answers(Path(done.stdout.strip())))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stderr)
    assert done.stderr.splitlines()[0] == "reviews.csv  30 rows"
    again = person.runs("drop", table, "--wait")
    assert (again.returncode, again.stdout) == (2, "")
    assert "is there already" in again.stderr


def test_rows_without_an_answer(person: Person, tmp_path: Path) -> None:
    done = person.runs("drop", ROOT / "examples" / "reviews.jsonl", "--wait", "-o", tmp_path / "a.jsonl")
    assert (done.returncode, done.stdout) == (3, f"{tmp_path / 'a.jsonl'}\n"), done.stderr
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 55


def test_a_file_of_nothing(person: Person, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("no request\n")
    done = person.runs("drop", path, "--wait")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr


def test_a_folder_of_documents(person: Person, tmp_path: Path) -> None:
    folder = tmp_path / "bills"
    folder.mkdir()
    example = ROOT / "examples" / "invoices"
    for path in [example / "recipe.yaml", *sorted((example / "bills").glob("en-*.pdf"))]:
        shutil.copy(path, folder)
    done = person.runs("drop", folder, "--wait")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'bills.results.csv'}\n"), done.stderr
    found = {row["path"]: (row["total"], len(json.loads(row["line_items"]))) for row in answers(Path(done.stdout.strip()))}
    assert found == {
        "en-brightpane.pdf": ("564.0", 2),
        "en-fernwood.pdf": ("2059.2", 3),
        "en-harbour.pdf": ("374.26", 4),
        "en-quill.pdf": ("359.28", 2),
    }
    taken = person.runs("drop", folder, "--wait", "-o", tmp_path / "again.csv")
    assert (taken.returncode, taken.stdout) == (4, ""), taken.stderr
    assert "all 4 documents of inbox/" in taken.stderr
    again = person.runs("drop", folder, "--wait", "-o", tmp_path / "again.csv", "--all-documents")
    assert again.returncode == 0, again.stderr
    assert len(answers(tmp_path / "again.csv")) == 4


def test_another_folder_is_closed(person: Person, table: Path) -> None:
    done = person.runs("drop", table, "--to", "blue")
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_and_back(laptop: Laptop, person: Person, table: Path) -> None:
    laptop.switch("pause")
    process = person.starts("drop", table, "--wait")
    assert process.stderr is not None
    until(lambda: " job " in process.stderr.readline())  # type: ignore[union-attr]
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout) == (6, ""), stderr
    laptop.switch("run")
    command = stderr.strip().splitlines()[-1].removeprefix("The job goes on. Look again with: batchdrop ").split()
    until(lambda: person.runs(*command).returncode == 0)
    fetched = person.runs("fetch", command[1], "-o", table.with_name("fetched.csv"))
    assert fetched.returncode == 0, fetched.stderr
    assert len(answers(table.with_name("fetched.csv"))) == 30


def test_a_kill_leaves_nothing_behind(laptop: Laptop, person: Person, table: Path) -> None:
    laptop.switch("pause")
    process = person.starts("drop", table, "--wait")
    assert process.stderr is not None
    until(lambda: " job " in process.stderr.readline())  # type: ignore[union-attr]
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert {path.name for path in table.parent.iterdir()} == {"recipe.yaml", "reviews.csv"}


def test_nobody_says_yes(person: Person, table: Path) -> None:
    table.with_name("recipe.yaml").write_text(ASKS)
    person = person.in_folder("asked")
    done = person.runs("drop", table, "--wait")
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert "approve with the code" in done.stderr
    # A file with the same recipe would wait for the rows of this one.
    table.with_name("recipe.yaml").write_text(ASKS.replace("something", "a word"))
    said = person.in_folder("approved").runs("drop", table, "--wait", "--approve-up-to", "2.50")
    assert said.returncode == 0, said.stderr
    assert len(answers(Path(said.stdout.strip()))) == 30


def test_a_yes_on_a_terminal(person: Person, table: Path) -> None:
    # Other words than those of the test above, which were approved there.
    table.with_name("recipe.yaml").write_text(ASKS.replace("something", "anything"))
    code, seen = at_a_terminal(person.in_folder("terminal"), "drop", table, "--wait")
    assert code == 0, seen
    assert "[y/N]" in seen
    assert "answers" in seen, "a bar"
    assert len(answers(table.with_name("reviews.results.csv"))) == 30


def at_a_terminal(person: Person, *arguments: object) -> tuple[int, str]:
    """Says yes to every question. The exit code, and all that was on the screen."""
    child, screen = pty.fork()
    if child == 0:
        os.execve(sys.executable, person.command(*arguments), {**person.env, "TERM": "xterm"})
    seen, answered = "", 0
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            if not select.select([screen], [], [], 1.0)[0]:
                continue
            try:
                data = os.read(screen, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            if not data:
                break
            seen += data.decode(errors="replace")
            if seen.count("[y/N]") > answered:
                answered += 1
                os.write(screen, b"y\n")
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen
