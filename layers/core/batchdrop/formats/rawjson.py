"""Questions about JSON as bytes, answered without building what it holds.

msgspec decodes an object into the raw bytes of its values and refuses bad syntax, control characters, bad escapes, lone surrogate
escapes, NaN and Infinity on the way. What it lets through in those raw values is checked here: bytes that are not UTF-8, numbers
no double can hold, nesting, repeated keys. Every pattern is possessive: time is linear and memory constant in the input.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice, pairwise
from math import isinf
from operator import itemgetter
from typing import NamedTuple

import msgspec

# Parsers that guard against deep input commonly stop at 128 levels; the body of a batch puts two around a line's own.
MAX_DEPTH = 100
# No double needs more than 767 significant digits; parsers that refuse long numbers do so at 4,300 digits (CPython's default).
MAX_NUMBER_CHARS = 1_000

_WINDOW = 1 << 20
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# Text without a number that could matter: up to 200 digits before the point and 99 in the exponent stay below 1e300.
_HARMLESS = re.compile(
    rb'(?:[^"0-9]++|' + _STRING + rb"|[0-9]{1,200}+(?:\.[0-9]{1,200}+)?+(?:[eE][+-]?+[0-9]{1,2}+)?+(?![0-9.eE]))*+", re.DOTALL
)
_COARSE = bytes.maketrans(b"123456789E", b"000000000e")
_NUMBER = re.compile(rb"[0-9][0-9.eE+-]*+")
_BETWEEN = rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+"
_TO_BRACKET = re.compile(_BETWEEN + rb"([\[\]{}])", re.DOTALL)
# An array or object with none inside it. Where its brackets do not matter, millions of them are passed over in one step.
_FLAT = rb"[\[{]" + _BETWEEN + rb"[\]}]"
_flat = re.compile(_FLAT, re.DOTALL).match
_TO_OUTER_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb"|" + _FLAT + rb")*+([\[\]{}]|\Z)", re.DOTALL)
_STEP = {b"[": 1, b"{": 1, b"]": -1, b"}": -1, b"": 0}
_KEY = re.compile(rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+", re.DOTALL)
_LEAF = re.compile(_STRING + rb'|[^"\[\]{},\s]++', re.DOTALL)
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*+(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
# Pairs first, then half of one (group 1), then every other escape: `\\\\ud83d` is none.
_ESCAPES = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.")

fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The members of an object, values raw. Raises msgspec.DecodeError (ValidationError when it is not an object), RecursionError."""


class Member(NamedTuple):
    """One `key: value` of an object: bytes [start, end) of it, the value from `value`."""

    key: str
    start: int
    value: int
    end: int


def bad_utf8(data: bytes) -> int | None:
    """The offset of the first byte that is not UTF-8 (raw surrogates are not), or None."""
    if data.isascii():
        return None
    if len(data) <= _WINDOW:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return error.start
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    # In windows: the text of a long line with one emoji would take four bytes for each character.
    for offset in range(0, len(data), _WINDOW):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(data[offset : offset + _WINDOW], final=offset + _WINDOW >= len(data))
        except UnicodeDecodeError as error:
            return offset - held + error.start
    return None


def depth(data: bytes) -> int:
    """How many arrays and objects are open at the deepest place of valid JSON; 0 if few enough for a value of params.

    Such a value is two levels deep in its line itself.
    """
    # Fewer brackets than levels allowed, text included, need no closer look; counting is ten times cheaper than looking.
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH - 2:
        return 0
    # The deepest place is in a flat one.
    return 1 + max(_levels(data, _TO_OUTER_BRACKET), default=0)


def bad_number(data: bytes) -> bytes | None:
    """The first number of valid JSON that is longer than 1,000 characters or beyond the range of a double, or None."""
    if len(data) <= 200 and b"e" not in data and b"E" not in data:
        return None
    # Cheap and never wrong: such a number has 200 digits on end or a digit, `e` and three digits.
    coarse = data.translate(_COARSE, b"+")
    if b"0e000" not in coarse and b"00" not in coarse[::100]:
        return None
    end = 0
    while (end := _past(_HARMLESS, data, end)) < len(data):
        start, end = end, _past(_NUMBER, data, end)
        if end - start > MAX_NUMBER_CHARS or isinf(float(data[start:end])):
            return data[start:end]
    return None


def surely_unique(found: Mapping[str, msgspec.Raw], size: int) -> bool:
    """Whether an object of `size` bytes, decoded to `found`, cannot hold a key twice. False means: look closer.

    The members found and their punctuation account for a number of bytes. One member more, of a key already there, would add
    at least its quotes, colon, comma, a value of one byte and its key: with less than that to spare there is none.
    """
    spare, shortest = size - 1, size
    for key, value in found.items():
        length = len(key)
        spare -= length + len(value) + 4
        if length < shortest:  # noqa: PLR1730 - min() costs more than the rest of the loop
            shortest = length
    return spare < shortest + 5


def members(data: bytes) -> Iterator[Member]:
    """Every member of a valid JSON object in order, repeated keys included."""
    end = data.index(b"{") + 1
    while key := _KEY.match(data, end):
        end = value_end(data, key.end())
        yield Member(msgspec.json.decode(key[1], type=str), key.start(1), key.end(), end)


def values(data: bytes) -> dict[str, bytes]:
    """The members of what looks like an object, told by quotes and brackets alone: msgspec may refuse what they hold.

    Of a key that stands there twice, the last one. Raises ValueError, IndexError, msgspec.DecodeError.
    """
    if not data.lstrip().startswith(b"{"):
        raise ValueError("not a JSON object")
    return {member.key: data[member.value : member.end] for member in members(data)}


def is_closed(data: bytes) -> bool:
    """Whether it is one object as far as quotes and brackets tell."""
    text = data.strip()
    try:
        return text.startswith(b"{") and value_end(text, 0) == len(text)
    except ValueError:
        return False


def has_more_members(data: bytes, most: int) -> bool:
    """Whether a valid JSON object has more members than that, repeated keys included. Holds none of them."""
    return next(islice(members(data), most, None), None) is not None


def has_more_objects(data: bytes, most: int) -> bool:
    """Whether a valid JSON array has more elements than that which are objects or arrays. Holds none of them."""
    if data.count(b"{") + data.count(b"[") <= most:
        return False
    # Every closing bracket that leads back to level 1 ends an element.
    ends = (1 for before, after in pairwise(_levels(data, _TO_BRACKET)) if before > after == 1)
    return next(islice(ends, most, None), None) is not None


def repeated_key(data: bytes) -> str | None:
    """A key that a valid JSON object holds twice, spelled in whatever way, or None."""
    seen: set[str] = set()
    for member in members(data):
        if member.key in seen:
            return member.key
        seen.add(member.key)
    return None


def has_lone_surrogate(data: bytes) -> bool:
    """Whether an escape names half of a surrogate pair."""
    return _LONE_SURROGATE.search(data) is not None


def mended(data: bytes) -> bytes:
    """With U+FFFD for each escape of half a surrogate pair, which msgspec refuses and RFC 8259 does not."""
    return _ESCAPES.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], data)


def _levels(data: bytes, to_bracket: re.Pattern[bytes]) -> Iterator[int]:
    """How many arrays and objects are open behind each bracket of valid JSON."""
    return accumulate(map(_STEP.__getitem__, map(itemgetter(1), to_bracket.finditer(data))))


def value_end(data: bytes, start: int) -> int:
    """Where the valid value ends that begins at `start`. Raises ValueError, IndexError."""
    if data[start] not in b"[{":
        return _past(_LEAF, data, start)
    if flat := _flat(data, start):
        return flat.end()
    level = 0
    for bracket in _TO_OUTER_BRACKET.finditer(data, start):
        level += _STEP[bracket[1]]
        if not level:
            return bracket.end()
    raise ValueError("not valid JSON")


def _past(pattern: re.Pattern[bytes], data: bytes, start: int) -> int:
    found = pattern.match(data, start)
    if found is None:
        raise ValueError("not valid JSON")
    return found.end()
