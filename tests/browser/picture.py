"""``python -m tests.browser.picture``: the top of a real report into docs/report.png, which the README shows.

The report is that of the example reviews, made by the real handlers as the outputs in the documents are. No test compares the
picture: it depends on the fonts of a machine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from local import drops
from local.claude.client import start
from tests.browser.environment import CHROMIUM, ROOT
from tests.docs.job_files import dropped
from tests.handlers.conftest import Cloud, surroundings

_EXAMPLE = "reviews"
_TARGET = ROOT / "docs" / "report.png"
_SIZE = "900,800"


def report_of(example: str) -> bytes:
    """The example's report.html once its job is done."""
    (drop,) = drops.of_example(example)
    with start("--clock", "manual", "--seconds", "5", "--seed", "documents") as claude, surroundings(claude):
        cloud = Cloud(claude)
        for key, path in drop.before.items():
            cloud.upload(key, path.read_bytes())
        return dropped(cloud, drop.key.removeprefix("inbox/"), drop.read())["report.html"]


def main() -> int:
    if CHROMIUM is None:
        print("Chromium is not installed (Debian and Ubuntu: apt-get install chromium).", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_bytes(report_of(_EXAMPLE))
        options = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={_SIZE}", f"--screenshot={_TARGET}")
        return subprocess.run([CHROMIUM, *options, page.as_uri()], check=False, capture_output=True).returncode


if __name__ == "__main__":
    sys.exit(main())
