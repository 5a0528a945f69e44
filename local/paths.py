"""Where the laptop system keeps everything: `.local/` inside the checkout, so that two checkouts never meet."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".local"
LOGS = HOME / "logs"
TEMPORARY = HOME / "tmp"
BUILD = HOME / "sam" / "build"
OUTBOX = HOME / "outbox"
ENVIRONMENT = HOME / "env"
SYSTEM = HOME / "system.json"
MINISTACK_PYTHON = HOME / "ministack" / "venv" / "bin" / "python"
