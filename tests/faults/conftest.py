"""Thousands of runs that fail on purpose: what the stages log about it is no news."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, quick_disk: Path) -> Iterator[None]:
    monkeypatch.setattr("tempfile.tempdir", str(quick_disk))
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
