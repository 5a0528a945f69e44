"""The stages with an in-memory stack around them."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch, quick_disk: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(quick_disk))
