"""``python -m tests.browser``: makes the environment with playwright and axe if it is not there, and runs the tests with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.browser.environment import CHROMIUM, PYTHON, REQUIREMENTS, ROOT


def main() -> int:
    if CHROMIUM is None:
        print("Chromium is not installed (Debian and Ubuntu: apt-get install chromium): its tests are skipped.", file=sys.stderr)
    uv = str(ROOT / "requirements" / "uv")
    if not PYTHON.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(PYTHON.parents[1])], check=True)
    install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(REQUIREMENTS)]
    subprocess.run(install, check=True)
    return subprocess.run([sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
