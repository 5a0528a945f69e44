"""Files are looked at in a process of their own, which a file may bring down without harm to anybody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchdrop.adapters import inspector
from batchdrop.adapters.inspector import ChildInspector
from batchdrop.domain.file_facts import UNREADABLE, FileFacts
from tests.named_files import gif, jpeg, pdf, png, webp

# Stands in for a parser with a fault: it does what the name of the file says.
PARSER = """
import os, sys, time
from batchdrop.formats import file_look
def look(path):
    if path.name == "crash": os.abort()
    if path.name == "hang": time.sleep(60)
    if path.name == "grow": return bytearray(4 << 30)
    if path.name == "environment": return file_look.FileFacts(message=" ".join(sorted(os.environ)))
    return found(path)
found, file_look.look_at_file = file_look.look_at_file, look
file_look.main()
"""


@pytest.fixture
def inspect() -> Iterator[ChildInspector]:
    found = ChildInspector()
    yield found
    found.close()


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildInspector]:
    (tmp_path / "faulty_parser.py").write_text(PARSER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(inspector, "_PROGRAM", "faulty_parser")
    found = ChildInspector(seconds=5)
    yield found
    found.close()


def file(folder: Path, body: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(body)
    return path


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (pdf(3), FileFacts(media_type="application/pdf", pages=3)),
        (png(300, 200), FileFacts(media_type="image/png", width=300, height=200)),
        (jpeg(30, 20), FileFacts(media_type="image/jpeg", width=30, height=20)),
        (gif(3, 2), FileFacts(media_type="image/gif", width=3, height=2)),
        (webp(33, 22), FileFacts(media_type="image/webp", width=33, height=22)),
        ('Zwölf "€"\n'.encode(), FileFacts(media_type="text/plain", escaped=16)),
    ],
)
def test_what_a_file_is_and_holds(inspect: ChildInspector, tmp_path: Path, body: bytes, facts: FileFacts) -> None:
    assert inspect(file(tmp_path, body)) == facts


@pytest.mark.parametrize("name", ["crash", "hang", "grow"])
def test_a_parser_that_ends_hangs_or_grows_costs_its_file_and_no_other(faulty: ChildInspector, tmp_path: Path, name: str) -> None:
    assert faulty(file(tmp_path, pdf(), name)) == UNREADABLE
    assert faulty(file(tmp_path, pdf(2))).pages == 2


def test_it_has_no_credentials(faulty: ChildInspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("BATCHDROP_TABLE", "table")
    names = faulty(file(tmp_path, b"", "environment")).message.split()
    assert not [name for name in names if name.startswith(("AWS", "BATCHDROP"))]
    assert "AWS_SESSION_TOKEN" in os.environ


def test_it_reads_on_when_its_process_was_killed(inspect: ChildInspector, tmp_path: Path) -> None:
    path = file(tmp_path, pdf(2))
    assert inspect(path).pages == 2
    inspect.close()
    assert inspect(path).pages == 2
