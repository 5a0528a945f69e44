"""The background processes of the laptop system, as a later run of a command finds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local import processes
from local.processes import Process


@pytest.mark.parametrize("columns", ["", "20"])
def test_a_process_is_found_however_narrow_the_terminal_is_said_to_be(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "HOME", tmp_path)
    monkeypatch.setenv("COLUMNS", columns)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command) as sleeper:
        (tmp_path / "sleeper.pid").write_text(f"{sleeper.pid}\n")
        try:
            assert Process("sleeper", command).running()
            assert not Process("sleeper", ["another", "program", "of", "this", "name"]).running()
        finally:
            sleeper.kill()
