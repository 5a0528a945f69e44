"""Each answer in a file of its own: names that no row can lead astray."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from batchdrop_client.documents import DOCUMENTS
from batchdrop_client.errors import FileThere
from batchdrop_client.outputs import written
from batchdrop_client.rows import Row

_TEXTS = (".txt", ".md")
# A name may have 255 bytes, and a character four of them.
_MOST_CHARS = 50
_NOT_PLAIN = re.compile(r"[^\w.+ ()-]+")
# Devices of Windows, whatever they end in (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


def each(rows: Iterable[Row], folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """The files, as they come; rows without an answer have none. Raises FileThere, OSError.

    Memory: the names.
    """
    taken: set[str] = set()
    for row in rows:
        if row.output:
            path = folder / _free_name(row, taken)
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
    return msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"


def _free_name(row: Row, taken: set[str]) -> str:
    """Of two rows that would have the same, the later one has its number in it. Many file systems know no case."""
    document = next((str(value) for value in row.fields.values() if _is_document(value)), "")
    stem, ending = _split(document.replace("\\", "/").rsplit("/", 1)[-1])
    kind = ".json" if not isinstance(row.answer, str) else ending if ending in _TEXTS else ".txt"
    base = _safe(stem) or _safe(row.custom_id) or f"row-{row.line}"
    for name in (base, f"{base}-row-{row.line}", *(f"{base}-row-{row.line}-{more}" for more in range(2, 99))):
        if (folded := f"{name}{kind}".casefold()) not in taken:
            taken.add(folded)
            return name + kind
    raise FileThere(Path(base))


def _split(name: str) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot else (name, "")


def _safe(text: str) -> str:
    """Letters, digits and some signs; no hidden name, no device, nothing that leads to another folder."""
    name = _NOT_PLAIN.sub("_", text)[:_MOST_CHARS].strip(" ._")
    return f"_{name}" if _DEVICES.fullmatch(name.partition(".")[0]) else name


def _is_document(value: object) -> bool:
    return isinstance(value, str) and len(value) < 1_024 and value.lower().endswith(DOCUMENTS)
