"""Figures in the documents: `make bench` fills in every block between `<!-- bench: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench import report
from local.paths import ROOT

PAGES = ("performance.md",)
_BLOCK = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def blocks(text: str) -> list[str]:
    """Names of the blocks in a page."""
    return [match[2] for match in _BLOCK.finditer(text)]


def filled(text: str, found: dict[str, Any]) -> str:
    """The page with the figures of `results.json` in its blocks."""
    return _BLOCK.sub(lambda block: f"{block[1]}{report.BLOCKS[block[2]](found)}\n{block[3]}", text)


def fill(found: dict[str, Any]) -> None:
    for name in PAGES:
        path: Path = ROOT / "docs" / name
        path.write_text(filled(path.read_text(), found))
