"""The folder of an invocation, and what killed ones have left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchdrop.jobs import scratch as module
from batchdrop.jobs.scratch import scratch


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def left(disk: Path, name: str) -> Path:
    folder = disk / name
    folder.mkdir()
    (folder / "results").write_bytes(b"x" * 100)
    return folder


def test_a_folder_is_new_and_gone_afterwards(disk: Path) -> None:
    with scratch() as folder:
        assert folder.parent == disk
        assert list(folder.iterdir()) == []
        (folder / "body.json").write_bytes(b"{}")
    assert list(disk.iterdir()) == []


def test_a_folder_goes_with_an_error_too(disk: Path) -> None:
    with pytest.raises(KeyError), scratch():
        raise KeyError
    assert list(disk.iterdir()) == []


def test_what_a_killed_process_left_is_removed(disk: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    leftover = left(disk, f"batchdrop-{ended.pid}-abc")
    with scratch():
        assert not leftover.exists()


def test_what_an_earlier_process_of_the_same_number_left_is_removed(disk: Path) -> None:
    leftover = left(disk, f"batchdrop-{os.getpid()}-abc")
    with scratch():
        assert not leftover.exists()


def test_what_is_in_use_stays(disk: Path) -> None:
    others = left(disk, f"batchdrop-{os.getppid()}-abc")
    strange = left(disk, "somebody-1-else")
    with scratch() as outer, scratch() as inner:
        assert {outer, inner, others, strange} == set(disk.iterdir())
    assert module._in_use == set()
