"""What `make demo` says when there is nothing to answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local.paths import ROOT
from local.summary import summary
from tests.stack import Stack


@pytest.mark.parametrize(
    ("body", "first", "files"),
    [
        (b"", ["rejected: no rows", "The file is empty; nothing was sent.", ""], ["manifest.json", "status.json"]),
        (
            b"not json\n",
            ["rejected: 1 row: 1 invalid", "The only row cannot be sent; failed.jsonl gives the reason.", "", "First failures:"],
            ["failed.jsonl", "manifest.json", "results.jsonl", "status.json"],
        ),
    ],
)
def test_a_rejected_file(body: bytes, first: list[str], files: list[str], tmp_path: Path) -> None:
    stack = Stack()
    stack.drop("inbox/mine.jsonl", body)
    stack.run()
    for key in stack.objects.keys("outbox/"):
        (tmp_path / key.rsplit("/", 1)[1]).write_bytes(stack.objects.body(key))
    shown = summary(tmp_path).splitlines()
    assert shown[: len(first)] == first
    assert shown[-len(files) :] == [f"  {name}" for name in files]


def test_what_is_not_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "demo", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{tmp_path} is not a file.\n")
