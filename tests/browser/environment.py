"""Where the browser is: Debian's Chromium, and playwright with axe in an environment of their own, which nothing else needs."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHON = ROOT / ".local" / "browser" / "venv" / "bin" / "python"
SHOTS = ROOT / ".local" / "browser" / "shots"
CHROMIUM = shutil.which("chromium")
