"""What a dropped file holds: requests, or rows that need a recipe. Decided by its first bytes, and for tables by its name.

A table of ours that is dropped again also says of which job it is.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.records import Job
from batchdrop.formats import gzip_stream
from batchdrop.formats.foreign_file import foreign_kind
from batchdrop.formats.gzip_stream import InflateError
from batchdrop.formats.input_line import NOTE
from batchdrop.ports import Objects
from batchdrop.recipes.form import Kind
from batchdrop.reports import sentences

LOOKED_AT = 1 << 16
"""Bytes: enough for the first row of nearly every file."""

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # an encrypted workbook, or one of before 2007
_SHEET_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_CSV_ENDINGS = (".csv", ".tsv", ".tab")
_INFLATED = 1 << 26
_REQUEST_FIELDS = ("params", "custom_id")
_FIELDS_OF_PARAMS = frozenset({"model", "messages"})
_MAX_NAME_CHARS = 1_000
_LIKE_A_RECIPE = re.compile(rb"^model\s*:", re.MULTILINE)
_ASKS = re.compile(rb"^(?:prompt|messages|documents|images)\s*:", re.MULTILINE)

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Start(NamedTuple):
    """Of a file."""

    data: bytes
    """Unpacked, at most 64 KiB."""
    packed: bool
    """The file is gzip, whatever its name says."""
    whole: bool
    """There is no more."""


class LookAt(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects

    def __call__(self, job: Job) -> Start:
        """The start of the job's file. Raises ObjectGone, Forbidden."""
        ref = job.text or job.input
        if not ref.size:
            return Start(b"", packed=False, whole=True)
        with self.objects.read(ref, 0, min(ref.size, LOOKED_AT)) as stream:
            data = stream.read(LOOKED_AT)
        if not gzip_stream.sniff(data):
            return Start(data, packed=False, whole=ref.size <= LOOKED_AT)
        try:
            data = next(gzip_stream.inflate(iter((data,)), _INFLATED), b"")
        except InflateError:
            data = b""
        return Start(data[:LOOKED_AT], packed=True, whole=False)


def kind_of(start: Start, name: str) -> Kind | None:
    """None: a file of requests, or of nothing. `name`: its key, `.gz` or not."""
    head = start.data
    if not head.strip():
        return None
    name = name.lower().removesuffix(".gz")
    if head.startswith((_ZIP, _OLE)) or name.endswith(_SHEET_ENDINGS):
        return Kind.xlsx
    if name.endswith(_CSV_ENDINGS):
        return Kind.csv
    return None if _are_requests(first_line(head), whole=b"\n" in head.lstrip() or start.whole) else Kind.jsonl


def no_rows_in(start: Start, key: str) -> str:
    """Why the file is neither a table nor lines of JSON, if that shows at once; else empty."""
    if (foreign := foreign_kind(start.data)) is not None:
        return sentences.foreign_file(key, foreign)
    if kind_of(start, key) is not None or first_line(start.data).startswith((b"{", b"[", b'"')):
        return ""
    if _LIKE_A_RECIPE.search(start.data) and _ASKS.search(start.data):
        return sentences.misnamed_recipe(key)
    return sentences.text_before_its_recipe(key) if start.data.strip() and keys.is_document(key, texts=True) else ""


def first_line(head: bytes) -> bytes:
    """That is not blank."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0]


def _are_requests(line: bytes, *, whole: bool) -> bool:
    """A line that is no object is one of a broken file of requests: each of its lines says what is wrong with it."""
    if not whole:
        return any(b'"%b"' % name.encode() in line for name in _REQUEST_FIELDS) or not line.startswith(b"{")
    try:
        fields = _object(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    if NOTE in fields and b'"job"' in bytes(fields[NOTE]):
        # A row of a job with a recipe, dropped again: it says which job that was, and may have any fields.
        return False
    if list(fields) == [NOTE]:
        # A line that was no JSON, dropped again.
        return True
    names = [field[:_MAX_NAME_CHARS] for field in list(fields)[:_MAX_NAME_CHARS]]
    return any(name in fields for name in _REQUEST_FIELDS) or any(
        get_close_matches(name, ("params",), n=1) and _are_params(fields[name]) for name in names if len(name) < _MAX_NAME_CHARS
    )


def _are_params(value: msgspec.Raw) -> bool:
    """A name that is nearly ours proves nothing: rows have a `customer_id` and `parts`."""
    try:
        return not _FIELDS_OF_PARAMS.isdisjoint(_object(value))
    except (msgspec.DecodeError, RecursionError):
        return False
