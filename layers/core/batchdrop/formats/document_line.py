"""A line of the list of a folder's documents: a row with the path of one, and in our own field the version that is meant."""

from __future__ import annotations

import msgspec

from batchdrop.formats.input_line import NOTE


class _Note(msgspec.Struct, frozen=True):
    version: str = ""


class _Line(msgspec.Struct, frozen=True, rename={"note": NOTE}):
    path: str
    note: _Note = msgspec.field(default_factory=_Note)


_decode = msgspec.json.Decoder(_Line).decode


def document_line(path: str, version_id: str | None, *, apart: bool, image: bool) -> bytes:
    """`path`: from the folder on. `apart`: a column for documents and one for images, of which one is empty."""
    columns = {"path": path}
    if apart:
        columns |= {"document": "" if image else path, "image": path if image else ""}
    return msgspec.json.encode({**columns, NOTE: _Note(version_id or "")}) + b"\n"


def listed_version(line: bytes) -> tuple[str, str]:
    """Path and version id, which is empty in a bucket without versions."""
    found = _decode(line)
    return found.path, found.note.version
