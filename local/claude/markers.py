"""Markers in a prompt that force what happens to its row.

======================================  ==========================================================
``[[error:overloaded_error]]``          the row fails with this error type
``[[expire]]``                          the row expires
``[[missing]]``                         the row is counted as succeeded but has no result line
``[[duplicate]]``                       the row has two result lines
======================================  ==========================================================

A number at the end (``[[error:api_error:1]]``, ``[[expire:2]]``) limits a marker to that many attempts with exactly these
``params``; after that the row is answered. That is how a test sees a retry succeed.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

_MARKER = re.compile(rb"\[\[(error|expire|missing|duplicate)(?::([a-z_]+))?(?::(\d{1,6}))?\]\]")
OPENING = b"[["


class Marks(msgspec.Struct, frozen=True):
    """What the markers of one row ask for in this attempt."""

    error: str | None = None
    expire: bool = False
    missing: bool = False
    duplicate: bool = False


NO_MARKS = Marks()


def counts_attempts(params: bytes) -> bool:
    """Whether some marker in these raw ``params`` depends on how often they were accepted."""
    return OPENING in params and any(match[3] for match in _MARKER.finditer(params))


def fingerprint(params: bytes) -> str:
    """What identifies these raw ``params`` when attempts are counted."""
    return hashlib.blake2b(params, digest_size=16).hexdigest()


def read(params: bytes, attempt: int) -> Marks:
    """The marks that hold in this ``attempt`` (the first is 1) of these raw ``params``."""
    if OPENING not in params:
        return NO_MARKS
    error, found = None, set()
    for match in _MARKER.finditer(params):
        if match[3] is None or attempt <= int(match[3]):
            found.add(match[1])
            if match[1] == b"error":
                error = error or (match[2] or b"api_error").decode()
    return Marks(error, b"expire" in found, b"missing" in found, b"duplicate" in found)
