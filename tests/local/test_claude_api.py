"""The emulator of the laptop system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local import claude_api, processes
from local.processes import free_port


# A background process outlives the object that started it, which Python warns about.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_emulator_keeps_its_files_beside_the_system_and_removes_what_a_killed_one_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "HOME", tmp_path)
    monkeypatch.setattr(processes, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(claude_api, "CLAUDE", tmp_path / "claude")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    (tmp_path / "claude" / "claude-emulator-left").mkdir(parents=True)
    api = claude_api.choose(free_port())
    assert api.process is not None
    claude_api.start(api)
    try:
        [spool] = os.listdir(tmp_path / "claude")
        assert spool != "claude-emulator-left"
    finally:
        api.process.stop()
    assert os.listdir(tmp_path / "claude") == []
