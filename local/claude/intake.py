"""Reading the body of a create call: its form is checked here, its ``params`` are not.

The body lies on disk and is mapped, not read: 256 MB of it cost no memory of their own, and only the ids are turned into
Python objects.
"""

from __future__ import annotations

import codecs
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from local.claude import markers
from local.claude.errors import ApiError, explain, invalid
from local.claude.limits import MAX_REQUESTS

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IDS = re.compile(r"(?:[a-zA-Z0-9_-]{1,64}\n)*")
_LONGEST_ID = 64
_CHUNK = 1 << 20


class Row(Struct, gc=False, forbid_unknown_fields=True):
    """One request of a batch; ``params`` stay the bytes that were sent."""

    custom_id: str
    params: Raw


class Body(Struct, forbid_unknown_fields=True):
    """The body of a create call."""

    requests: list[Row]


class Intake(Struct):
    """What the emulator keeps in memory of an accepted body.

    ``marked`` are the rows whose markers count attempts: their position and the fingerprint of their ``params``.
    """

    count: int
    marked: list[tuple[int, str]]


_DECODER = msgspec.json.Decoder(Body)


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap | bytes]:
    """The bytes of a file without reading them into memory."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""  # an empty file cannot be mapped
            return
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            yield view
        finally:
            with suppress(BufferError):  # rows still in use point into the map: it goes when they do
                view.close()


def rows(body: mmap.mmap | bytes) -> list[Row]:
    """The rows of a body that was accepted before."""
    return _DECODER.decode(body).requests


def examine(path: Path) -> Intake:
    """Checks the form of a body. Raises ApiError: 400 for a wrong form, 413 for too many requests."""
    with mapped(path) as body:
        try:
            found = rows(body)
            _check_encoding(body)
        except msgspec.ValidationError as error:
            raise invalid(explain(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid(f"The request body is not valid JSON: {error}") from None
        except RecursionError:
            raise invalid("The request body is not valid JSON: it is nested too deeply") from None
        if len(found) > MAX_REQUESTS:
            raise ApiError(413, f"requests: a batch holds at most {MAX_REQUESTS} requests, not {len(found)}")
        if not found:
            raise invalid("requests: List should have at least 1 item after validation, not 0")
        _check_ids(found)
        _check_params(found)
        return Intake(len(found), _marked(found) if body.find(markers.OPENING) >= 0 else [])


def _check_encoding(body: mmap.mmap | bytes) -> None:
    # The decoder steps over raw parts without looking at their encoding; this looks, and is fast.
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _CHUNK):
        decoder.decode(body[start : start + _CHUNK])
    decoder.decode(b"", final=True)


def _check_ids(found: list[Row]) -> None:
    ids = [row.custom_id for row in found]
    joined = "\n".join(ids) + "\n"
    # A line end inside an id would change the number of lines: the pattern alone would not notice.
    if not _IDS.fullmatch(joined) or joined.count("\n") != len(ids):
        place = next(place for place, custom_id in enumerate(ids) if not _ID.fullmatch(custom_id))
        raise invalid(f"requests.{place}.custom_id: {_why(ids[place])}")
    if len(set(ids)) != len(ids):
        seen: set[str] = set()
        for place, custom_id in enumerate(ids):
            if custom_id in seen:
                # Neither the text nor the status for a repeated id is documented.
                raise invalid(f"requests.{place}.custom_id: custom_id must be unique within a batch")
            seen.add(custom_id)


def _why(custom_id: str) -> str:
    if not custom_id:
        return "String should have at least 1 character"
    if len(custom_id) > _LONGEST_ID:
        return "String should have at most 64 characters"
    return "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"


def _check_params(found: list[Row]) -> None:
    for place, row in enumerate(found):
        if bytes(memoryview(row.params)[:1]) != b"{":
            raise invalid(f"requests.{place}.params: Input should be an object")


def _marked(found: list[Row]) -> list[tuple[int, str]]:
    marked = []
    for place, row in enumerate(found):
        params = bytes(row.params)
        if markers.counts_attempts(params):
            marked.append((place, markers.fingerprint(params)))
    return marked
