"""What docs/local-development.md shows of `make invoke`. `python -m tests.local.invoked` writes it, on the system that is up."""

from __future__ import annotations

import re
import subprocess
import sys

from local.stages import STAGES
from tests.docs.job_files import JOB
from tests.docs.pages import ROOT

_PAGE = ROOT / "docs" / "local-development.md"
_JOB_ID = re.compile(r"\d{8}T\d{6}Z-[a-z2-7]{16}")
_DRAWN = re.compile(r"(?<=-)[0-9a-f]{16}(?=\.jsonl)")
_SIZE = re.compile(r"[\d,]+ bytes")
_TOOK = re.compile(r"(?:Less than a minute|\d+ minutes?)(?:, \$[\d.]+)?")


def _found(stage: str, text: str) -> re.Match[str]:
    block = rf"(?<=^```sh\nmake invoke FUNCTION={stage}\n```\n\n<!-- output -->\n```\n)(?:(?!```).*\n)*"
    (found,) = re.finditer(block, text, re.MULTILINE)
    return found


def shown(stage: str) -> str:
    return _found(stage, _PAGE.read_text())[0]


def of_the_page(printed: str) -> str:
    """With the ids of the page."""
    return _DRAWN.sub("dbbb74ab1fd8b792", _JOB_ID.sub(JOB, printed))


def compared(text: str) -> str:
    """Without what differs from run to run: a size is never that of the page, and of the right thing all the same."""
    return _TOOK.sub("so long, so much", _SIZE.sub("so many bytes", of_the_page(text)))


if __name__ == "__main__":
    for one in STAGES:
        printed = subprocess.run(
            [sys.executable, "-m", "local", "invoke", one], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        page = _PAGE.read_text()
        found = _found(one, page)
        _PAGE.write_text(page[: found.start()] + of_the_page(printed) + page[found.end() :])
