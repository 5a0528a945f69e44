"""Where the readers of tables are: packages that nothing else needs, in an environment of their own."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON = ROOT / ".local" / "interop" / "venv" / "bin" / "python"
