"""Markers in a prompt that force what happens to its row.

======================================  ==========================================================
``[[error:overloaded_error]]``          the row fails with this error type
``[[expire]]``                          the row expires
``[[missing]]``                         the row is counted as succeeded but has no result line
``[[duplicate]]``                       the row has two result lines
``[[refuse:cyber]]``                    the model refuses, in this category (none: without one)
``[[truncate]]``                        the answer breaks off in the middle, at ``max_tokens``
``[[empty]]``                           the answer has no text
``[[pause]]``                           the turn is paused, without a text
``[[garble]]``                          the answer is text, whatever was asked for
``[[long]]``                            the answer is filler, as long as ``max_tokens`` allows
======================================  ==========================================================

A number at the end (``[[error:api_error:1]]``, ``[[expire:2]]``) limits a marker to that many attempts with exactly these
``params``; after that the row is answered. That is how a test sees a retry succeed.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

_MARKER = re.compile(
    rb"\[\[(error|expire|missing|duplicate|refuse|truncate|empty|pause|garble|long)(?::([a-z_]+))?(?::(\d{1,6}))?\]\]"
)
OPENING = b"[["
_ANSWERS = frozenset({b"refuse", b"truncate", b"empty", b"pause", b"garble", b"long"})


class Marks(msgspec.Struct, frozen=True):
    """What the markers of one row ask for in this attempt."""

    error: str | None = None
    expire: bool = False
    missing: bool = False
    duplicate: bool = False
    answer: str | None = None
    """How the answer fails its purpose: refuse, truncate, empty, pause or garble; or long."""
    category: str | None = None
    """Of a refusal."""


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
    error, answer, category, found = None, None, None, set()
    for match in _MARKER.finditer(params):
        if match[3] is None or attempt <= int(match[3]):
            found.add(match[1])
            if match[1] == b"error":
                error = error or (match[2] or b"api_error").decode()
            elif match[1] in _ANSWERS:
                answer, category = match[1].decode(), match[2].decode() if match[2] else None
    return Marks(error, b"expire" in found, b"missing" in found, b"duplicate" in found, answer, category)
