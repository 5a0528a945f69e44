"""The snippets of `docs/reading.md` print what stands in the page, and lose nothing of a job's answers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from python_calamine import load_workbook

from tests.interop.reading_page import PAGE, Read, in_a_shell, read, snippets
from tests.stack import Stack, row

pytestmark = pytest.mark.interop


class Done(NamedTuple):
    read: Read
    folder: Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("answers")
    return Done(read(PAGE.read_text(), folder), folder)


def test_the_page_shows_what_its_snippets_print(done: Done) -> None:
    assert PAGE.read_text() == done.read.page, "docs/reading.md is old: run python -m tests.interop.reading_page"


def test_the_workbook_has_every_cell_as_a_text(done: Done) -> None:
    with (done.folder / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.reader(file))
    assert load_workbook(str(done.folder / "results.xlsx")).get_sheet_by_index(0).to_python() == cells


def test_the_columns_of_athena_are_those_of_an_answer(done: Done) -> None:
    lines = [json.loads(line) for line in (done.folder / "results.jsonl").read_text().splitlines()]
    assert [set(row) for row in done.read.athena] == [set(line) for line in lines]
    assert all(_is_part(row, line) for row, line in zip(done.read.athena, lines, strict=True))


def test_the_texts_of_requests_are_found_in_the_same_way(done: Done) -> None:
    stack = Stack()
    stack.drop("inbox/requests.jsonl", b"\n".join([row("first"), row("second")]))
    stack.run()
    (folder := done.folder / "requests").mkdir()
    (folder / "results.jsonl").write_bytes(stack.output("results.jsonl"))
    (texts,) = (line for one in snippets(PAGE.read_text()) for line in one.code.splitlines() if ".result.message.content" in line)
    said = [line["result"]["message"]["content"][0]["text"] for line in stack.lines("results.jsonl")]
    assert in_a_shell(texts, folder, done.folder / "bin").splitlines() == said


def _is_part(told: object, whole: object) -> bool:
    """Whether every field that a table has is in the answer, with this value and this type."""
    if isinstance(told, dict) and isinstance(whole, dict):
        return all(name in whole and _is_part(value, whole[name]) for name, value in told.items())
    return told == whole and type(told) is type(whole)


def test_every_snippet_shows_what_it_prints() -> None:
    """All but Excel's, which writes a file, and Athena's table, which is read by a query."""
    silent = [one.code for one in snippets(PAGE.read_text()) if one.prints is None and (one.kind != "sh" or one.runs_in_a_shell)]
    assert [code.split("\n")[0] for code in silent] == ["import csv", "CREATE EXTERNAL TABLE answers ("]
