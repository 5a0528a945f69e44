"""Each answer in a file of its own: names that no row can lead astray."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from batchdrop_client.documents import DOCUMENTS
from batchdrop_client.errors import FileThere
from batchdrop_client.outputs import written
from batchdrop_client.rows import Row

_TEXTS = (".txt", ".md")
# A name may have 255 bytes, and a character four of them.
_MOST_CHARS = 50
# Signs that no file system and no program takes for something else.
_SIGNS = frozenset(" .+-_()&%#,'!@=~")
# Devices of Windows, whatever they end in, spaces before it included (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


def each(rows: Iterable[Row], folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """The files, as they come; rows without an answer have none. Raises FileThere, OSError.

    `rows`: gone through twice: documents whose names differ in their ends alone keep these. Memory: the names.
    """
    clashing = _clashing(rows)
    taken: set[str] = set()
    for row in rows:
        if row.output:
            path = folder / _free_name(row, clashing, taken)
            _put(path, _body(row), replace=replace)
            yield path


def _put(path: Path, body: bytes, *, replace: bool) -> None:
    """What is there from an earlier run is left."""
    if path.is_file() and not path.is_symlink() and path.stat().st_size == len(body) and path.read_bytes() == body:
        return
    with written(path, replace=replace) as file:
        file.write(body)


def _body(row: Row) -> bytes:
    answer = row.answer
    if isinstance(answer, str):
        return answer.encode(errors="backslashreplace")
    try:
        return msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"
    except (UnicodeEncodeError, OverflowError):
        # Half of a surrogate pair, or a number of more than 64 bits: all that is not ASCII is written as escapes.
        return json.dumps(answer, indent=2).encode() + b"\n"


class _Name(NamedTuple):
    stem: str
    """Safe; empty of a row that names no document."""
    ending: str
    """Of the document."""
    kind: str
    """What the file of the answer ends in."""

    @property
    def folded(self) -> str:
        """Many file systems know no case."""
        return f"{self.stem}{self.kind}".casefold()


def _clashing(rows: Iterable[Row]) -> set[str]:
    """Names that documents of several kinds would have."""
    endings: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.output and (name := _name(row)).stem:
            endings[name.folded].add(name.ending)
    return {name for name, found in endings.items() if len(found) > 1}


def _name(row: Row) -> _Name:
    document = next((str(value) for value in row.fields.values() if _is_document(value)), "")
    stem, ending = _split(document.replace("\\", "/").rsplit("/", 1)[-1])
    kind = ".json" if not isinstance(row.answer, str) else ending if ending in _TEXTS else ".txt"
    return _Name(_safe(stem), ending, kind)


def _free_name(row: Row, clashing: set[str], taken: set[str]) -> str:
    """Of two rows that would have the same, the later one has its number in it."""
    name = _name(row)
    base = name.stem or _safe(row.custom_id) or f"row-{row.line}"
    if name.folded in clashing:
        base += name.ending
    for found in (base, f"{base}-row-{row.line}", *(f"{base}-row-{row.line}-{more}" for more in range(2, 99))):
        if (folded := f"{found}{name.kind}".casefold()) not in taken:
            taken.add(folded)
            return found + name.kind
    raise FileThere(Path(base))


def _split(name: str) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot else (name, "")


def _safe(text: str) -> str:
    """Letters, digits and some signs; no hidden name, no option, no device, nothing that leads to another folder."""
    shown = (one if _is_plain(one) else "\0" for one in unicodedata.normalize("NFC", text))
    name = re.sub("\0+", "_", "".join(shown))[:_MOST_CHARS].lstrip(" ._-").rstrip(" ._")
    return f"_{name}" if _DEVICES.fullmatch(name.partition(".")[0].rstrip()) else name


def _is_plain(character: str) -> bool:
    return character.isalnum() or character in _SIGNS or unicodedata.category(character).startswith("M")


def _is_document(value: object) -> bool:
    return isinstance(value, str) and len(value) < 1_024 and value.lower().endswith(DOCUMENTS)
