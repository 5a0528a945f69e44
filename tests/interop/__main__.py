"""``python -m tests.interop``: makes the environment with pandas, DuckDB and others, and runs the tests with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.interop import environment


def main() -> int:
    environment.make()
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "interop", str(Path(__file__).parent)], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
