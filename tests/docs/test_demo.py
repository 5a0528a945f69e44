"""What `make demo` drops, and what it says when something is wrong."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from batchdrop.domain.records import PILOT, JobState
from local import demo, drops
from local.errors import CannotRun
from local.paths import ROOT
from local.summary import summary
from local.text_table import text_table
from tests.stack import Stack


@pytest.mark.parametrize(
    ("body", "first", "files"),
    [
        (b"", ["rejected: no rows", "The file is empty; nothing was sent.", ""], ["manifest.json", "report.html", "status.json"]),
        (
            b"not json\n",
            ["rejected: 1 row: 1 invalid", "The only row cannot be sent; failed.jsonl gives the reason.", "", "First failures:"],
            ["failed.jsonl", "manifest.json", "report.html", "results.jsonl", "status.json"],
        ),
    ],
)
def test_a_rejected_file(body: bytes, first: list[str], files: list[str], tmp_path: Path) -> None:
    stack = Stack()
    stack.drop("inbox/mine.jsonl", body)
    stack.run()
    for key in stack.objects.keys(f"outbox/mine/{stack.job().id}/"):
        (tmp_path / key.rsplit("/", 1)[1]).write_bytes(stack.objects.body(key))
    shown = summary(tmp_path).splitlines()
    assert shown[: len(first)] == first
    assert shown[-len(files) :] == [f"  {name}" for name in files]


def test_what_is_neither_a_file_nor_a_folder_of_documents(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "demo", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    endings = ".pdf, .png, .jpg, .jpeg, .gif, .webp, .txt, .md"
    told = f"{tmp_path} holds no documents: their names end in {endings}. To run a table or requests, name the file.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    with pytest.raises(CannotRun, match="nothing is not a file"):
        drops.of_path(tmp_path / "nothing")


def test_errors_are_found_in_a_log() -> None:
    fine = ['{"level":"INFO","message":"an ERROR is only a word here"}', '{"level":"WARNING","message":"no"}', "END RequestId: 1"]
    wrong = ['{"level":"ERROR","message":"it failed"}', "[ERROR] KeyError: 'x'", "2026 1 Task timed out after 3.00 seconds"]
    assert demo.errors([*fine, *wrong]) == wrong


def test_a_file_is_dropped_with_the_recipe_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "marketing"
    folder.mkdir()
    path = folder / "a+b.csv"
    path.write_text("text\nGood\n")
    assert drops.of_file(path) == drops.Drop(path, "inbox/a+b.csv", None)
    (folder / "recipe.yml").write_text("model: claude-haiku-5-5\n")
    found = drops.of_file(path)
    assert (found.key, found.before) == ("inbox/marketing/a+b.csv", {"inbox/marketing/recipe.yaml": folder / "recipe.yml"})


def test_a_folder_of_documents_is_started(tmp_path: Path) -> None:
    folder = tmp_path / "bills"
    folder.mkdir()
    for name in ("b.pdf", "a.PDF", "rows.csv", ".hidden.pdf"):
        (folder / name).write_bytes(b"x")
    beside, within = tmp_path / "recipe.yaml", folder / "recipe.yml"
    documents = {"inbox/bills/a.PDF": folder / "a.PDF", "inbox/bills/b.pdf": folder / "b.pdf"}
    assert drops.of_path(folder).before == documents
    beside.write_text("model: claude-haiku-5-5\n")
    assert drops.of_path(folder).before == {"inbox/bills/recipe.yaml": beside, **documents}
    within.write_text("model: claude-haiku-5-5\n")
    found = drops.of_path(folder)
    assert (found.key, found.read(), found.recipe) == ("inbox/bills/start", b"", within)


def test_what_a_folder_leaves_out_is_known_before(tmp_path: Path) -> None:
    folder = tmp_path / "bills"
    (folder / "2026").mkdir(parents=True)
    (folder / "2026" / "a.pdf").write_bytes(b"a")
    with pytest.raises(CannotRun, match="Name one of them: 2026"):
        drops.of_path(folder)
    (folder / "b.pdf").write_bytes(b"b")
    (folder / "c.docx").write_bytes(b"c")
    assert drops.of_path(folder).left_out() == [
        "c.docx (not a kind that can be read: save as PDF)",
        "2026/ (folders inside are not uploaded: drop them by themselves)",
    ]


def test_an_example_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(CannotRun, match=r"no example review: choose one of documents, invoices, moderation, .*, translation"):
        drops.of_example("review")


@pytest.mark.parametrize("name", [*drops.names(), "reviews.jsonl"])
def test_nobody_is_asked_about_an_example(name: str) -> None:
    """As the stack is deployed: at worst it costs less than a dollar, and the price of each of its models is known."""
    stack = Stack(ask_above="1", monthly_limit="100")
    for drop in drops.of_example(name) if name in drops.names() else [drops.of_file(drops.EXAMPLES / name)]:
        for key, path in drop.before.items():
            stack.drop(key, path.read_bytes())
        stack.drop(drop.key, drop.read())
    assert {job.state for job in stack.jobs()} == {JobState.running}
    assert {batch.name for job in stack.jobs() for batch in stack.batches(job)}.isdisjoint({PILOT})


def test_a_table_is_no_wider_than_a_page_and_answers_are_cut_last() -> None:
    lines = text_table([["id", "text", "label"], ["1", "long words " * 40, "a label\nof two lines"]], yielding=2)
    assert max(map(len, lines)) <= 116
    assert lines[1].endswith("...  a label of two lines")
    assert text_table([["a"], ["表" * 50]]) == ["a", "表" * 28 + "..."]
    assert text_table([["a"], ["x" * 1_000_000]])[1] == "x" * 57 + "..."  # at once: long answers have kept it for minutes


def test_the_invoices_are_what_their_script_writes(tmp_path: Path) -> None:
    folder = drops.EXAMPLES / "invoices"
    runpy.run_path(str(folder / "make_invoices.py"))["write"](tmp_path)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(written) == 13
    assert [path for path in written if (tmp_path / path).read_bytes() != (folder / path).read_bytes()] == []


def test_the_workbook_is_what_its_script_writes(tmp_path: Path) -> None:
    script = runpy.run_path(str(drops.EXAMPLES / "tickets" / "workbook.py"))
    script["write"](tmp_path / "tickets.xlsx")
    assert (tmp_path / "tickets.xlsx").read_bytes() == (drops.EXAMPLES / "tickets" / "tickets.xlsx").read_bytes()
