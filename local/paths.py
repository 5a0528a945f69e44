"""Where the laptop system keeps everything: `.local/` inside the checkout, so that two checkouts never meet.

`BATCHDROP_LOCAL` names another folder: the tests run a system of their own beside one that is up.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("BATCHDROP_LOCAL", ROOT / ".local")).resolve()
LOGS = HOME / "logs"
TEMPORARY = HOME / "tmp"
CLAUDE = HOME / "claude"
BUILD = HOME / "sam" / "build"
FOR_LINUX = HOME / "sam" / "linux"
INVOKE = HOME / "invoke"
OUTBOX = HOME / "outbox"
ENVIRONMENT = HOME / "env"
SYSTEM = HOME / "system.json"
MINISTACK_PYTHON = ROOT / ".local" / "ministack" / "venv" / "bin" / "python"


def shown(path: Path) -> Path:
    """A path as people read it: from the checkout on, if it is inside."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
