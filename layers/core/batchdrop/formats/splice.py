"""Take the two raw fields out of lines that `rows.parse` has accepted. Nothing is checked again: once per row is enough."""

from __future__ import annotations

import re

import msgspec

_NOTHING = msgspec.Raw(b"{}")
# An id that comes first is found without a look at the rest of the line.
_FIRST_ID = re.compile(rb'\{"custom_id": ?("[^"\\]*+")')


class _Params(msgspec.Struct):
    params: msgspec.Raw = _NOTHING


class _CustomId(msgspec.Struct):
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_params = msgspec.json.Decoder(_Params)
_custom_id = msgspec.json.Decoder(_CustomId).decode


def params_of(data: bytes) -> msgspec.Raw:
    """The `params` of a line, byte for byte, as a buffer. `{}` where there is none."""
    return _params.decode(data).params


def params_in(block: bytes) -> list[msgspec.Raw]:
    """The same of every line of a block of lines. One call for all of them takes half the time."""
    return [found.params for found in _params.decode_lines(block)]


def custom_id_of(data: bytes) -> bytes | None:
    """The user's `custom_id` as written, quotes included, or None."""
    if first := _FIRST_ID.match(data):
        return first[1]
    found = _custom_id(data).custom_id
    return None if found is msgspec.UNSET else bytes(found)
