"""The documents, and what can be read out of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")], key=lambda path: str(path.relative_to(ROOT))
)
METRICS = {
    name
    for path in (ROOT / "layers" / "core" / "batchdrop").rglob("*.py")
    for name in re.findall(r'metrics\.count\("(\w+)"', path.read_text())
}
"""What the functions count, by name."""

_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> Iterator[str]:
    """Lines of shell blocks."""
    for language, body in _BLOCK.findall(page.read_text()):
        if language == "sh":
            yield from body.splitlines()


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in _BLOCK.findall(page.read_text()) if found == language]


def without_blocks(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def links(page: Path) -> list[str]:
    return _LINK.findall(without_blocks(page))


def code(page: Path) -> list[str]:
    """What stands between backticks in a line."""
    return _CODE.findall(without_blocks(page))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(without_blocks(page))}


def section(page: Path, title: str) -> str:
    """The text below a heading, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(title)}$\n(.*?)(?=^#|\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{name_of(page)} has no section {title}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """Of the rows of all tables in a text, heads and rules included."""
    return [line.strip("| ").split("|")[0].strip() for line in text.splitlines() if line.startswith("|")]


def table_rows(text: str) -> list[list[str]]:
    """Cells of the rows of the tables in a text whose first cell begins with a backtick, which leaves out heads and rules."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0].startswith("`")]
