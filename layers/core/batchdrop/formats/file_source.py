"""Files that a request names: `"source": "s3://bucket/key"` in a document or image block, and what stands there once it is known.

`plan` looks at each file and puts in the place of its name what the API will get of it: which version, how many bytes, how many
pages or pixels (`Pinned`); or why it cannot be sent (`Faulty`). `submit` puts the bytes there. Both find the places by the same
walk, and what stands in them in a line of ours was written by `plan`: nobody else can name a version, or a file that was not
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from batchdrop.domain.file_names import SCHEME
from batchdrop.formats import rawjson

PDF = "application/pdf"
TEXT = "text/plain"
DOCUMENTS = frozenset({PDF, TEXT})
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# Ours: the API has no source of that type.
_TYPE = "batchdrop_file"
_MARK = f'"{_TYPE}"'.encode()
_NAME = SCHEME.rstrip("/").encode()
_BLOCKS = ("document", "image")
_NESTED = "tool_result"
_SPACE = re.compile(rb"[\s,]*+")


class Pinned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=_TYPE):
    """A file that was looked at. `name`: what stood in its place, as it was written."""

    name: msgspec.Raw
    bucket: str
    key: str
    version_id: str | None = None
    etag: str = ""
    size: int
    media_type: str
    sent: int
    """Bytes that its source takes in a request."""
    pages: int = 0
    """Of a PDF."""
    width: int = 0
    height: int = 0
    """Of an image, in pixels."""
    tokens: int = 0
    """Of a text, guessed for older models."""


class Faulty(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{_TYPE}_fault"):
    """A file that cannot be sent, and why: `fault` is the error type of its row."""

    name: msgspec.Raw
    fault: str
    message: str


class Place(NamedTuple):
    """Bytes [start, end) of `params`: the source of a block that names a file."""

    start: int
    end: int
    block: str
    """`document` or `image`."""
    value: bytes


type Told = Pinned | Faulty

_told = msgspec.json.Decoder(Told).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class _Url(msgspec.Struct):
    type: str
    url: str


_url = msgspec.json.Decoder(_Url).decode


def may_name_files(data: bytes) -> bool:
    """False: surely not. For any bytes of requests, cheaply."""
    return _NAME in data or _MARK[:-1] in data


def places(params: bytes) -> list[Place]:
    """Where sound `params` name files, in order. A source that is a text names one; so does a URL that begins with `s3:`."""
    return list(_places(params)) if b'"source"' in params else []


def name_at(place: Place) -> str:
    """What is written there: `s3://bucket/key`, or a path. Of a place that was filled before, its first name."""
    value = place.value
    if _MARK[:-1] in value and (told := told_at(place)) is not None:
        value = bytes(told.name)
    if value.startswith(b'"'):
        return _text(value)
    try:
        return _url(value).url
    except msgspec.DecodeError:
        return ""


def told_at(place: Place) -> Told | None:
    """What `plan` has put there. None: nothing yet."""
    try:
        told: Told = _told(place.value)
    except msgspec.DecodeError:
        return None
    return told


def filled(params: bytes, of: Callable[[Place], Told | None]) -> bytes:
    """The params with something else in each of the places, those aside of which there is nothing to tell."""
    return _replaced(params, [(place, _encode(told)) for place in places(params) if (told := of(place)) is not None])


def filled_line(line: bytes, fill: Callable[[bytes], bytes]) -> bytes:
    """The line of a request with other params."""
    for member in rawjson.members(line):
        if member.key == "params":
            return line[: member.value] + fill(line[member.value : member.end]) + line[member.end :]
    return line


def as_written(line: bytes) -> bytes:
    """The line of a request with the names in their places again, byte for byte. Of what is none, the same."""
    if _MARK[:-1] not in line:
        return line
    try:
        return filled_line(line, _emptied)
    except (ValueError, IndexError, RecursionError):
        return line


def _emptied(params: bytes) -> bytes:
    told = [(place, told_at(place)) for place in places(params)]
    return _replaced(params, [(place, bytes(one.name)) for place, one in told if one is not None])


def fault_in(params: bytes) -> Faulty | None:
    """The first file of a filled request that cannot be sent."""
    if _MARK[:-1] not in params:
        return None
    return next((told for place in places(params) if isinstance(told := told_at(place), Faulty)), None)


def pinned_in(params: bytes) -> list[Pinned]:
    """The files of a filled request, in order."""
    if _MARK not in params:
        return []
    return [told for place in places(params) if isinstance(told := told_at(place), Pinned)]


def sent_bytes(params: bytes) -> int:
    """How long a filled request is with its files in it."""
    if _MARK not in params:
        return len(params)
    found = [(place, told_at(place)) for place in places(params)]
    return len(params) + sum(told.sent - len(place.value) for place, told in found if isinstance(told, Pinned))


def without_sources(params: bytes) -> bytes:
    """A filled request with nothing in the places of its files."""
    return _replaced(params, [(place, b'""') for place in places(params)])


def pieces(params: bytes) -> Iterator[bytes | Pinned]:
    """A filled request in pieces: bytes as they are sent, and files whose sources belong between them."""
    at = 0
    for place in places(params):
        if isinstance(told := told_at(place), Pinned):
            yield params[at : place.start]
            yield told
            at = place.end
    yield params[at:]


def source_frame(media_type: str) -> tuple[bytes, bytes]:
    """What stands before and behind the data of a source of that type."""
    kind = b"text" if media_type == TEXT else b"base64"
    return b'{"type":"%b","media_type":"%b","data":"' % (kind, media_type.encode()), b'"}'


def _replaced(params: bytes, values: list[tuple[Place, bytes]]) -> bytes:
    out: list[bytes] = []
    at = 0
    for place, value in values:
        out += (params[at : place.start], value)
        at = place.end
    out.append(params[at:])
    return b"".join(out)


def _places(params: bytes) -> Iterator[Place]:
    for member in rawjson.members(params):
        if member.key != "messages" or params[member.value : member.value + 1] != b"[":
            continue
        for start, end in _elements(params, member.value):
            yield from _in_content(params, start, end)


def _in_content(params: bytes, start: int, end: int) -> Iterator[Place]:
    """Of a message, or of the result of a tool."""
    for member in _members(params, start, end):
        if member.key == "content" and params[member.value : member.value + 1] == b"[":
            for block_start, block_end in _elements(params, member.value):
                yield from _in_block(params, block_start, block_end)


def _in_block(params: bytes, start: int, end: int) -> Iterator[Place]:
    found = {member.key: member for member in _members(params, start, end)}
    if "type" not in found or params[found["type"].value : found["type"].value + 1] != b'"':
        return
    kind = _text(params[found["type"].value : found["type"].end])
    if kind == _NESTED:
        yield from _in_content(params, start, end)
    elif kind in _BLOCKS and (source := found.get("source")) is not None:
        value = params[source.value : source.end]
        if _names_a_file(value):
            yield Place(source.value, source.end, kind, value)


def _names_a_file(value: bytes) -> bool:
    if value.startswith(b'"') or _MARK[:-1] in value:
        return True
    if _NAME not in value:
        return False
    try:
        found = _url(value)
    except msgspec.DecodeError:
        return False
    return found.type == "url" and found.url.startswith(SCHEME)


def _members(data: bytes, start: int, end: int) -> list[rawjson.Member]:
    """Of an object within, at places of `data`. Nothing of what is no object."""
    if data[start : start + 1] != b"{":
        return []
    return [
        rawjson.Member(member.key, start + member.start, start + member.value, start + member.end)
        for member in rawjson.members(data[start:end])
    ]


def _elements(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Where the elements of a valid array are that begins at `start`."""
    at = start + 1
    while True:
        if (found := _SPACE.match(data, at)) is not None:
            at = found.end()
        if data[at : at + 1] == b"]":
            return
        end = rawjson.value_end(data, at)
        yield at, end
        at = end
