"""Take the two raw fields out of a line that `rows.parse` has accepted. Nothing is checked again: once per row is enough."""

from __future__ import annotations

import msgspec

_NOTHING = msgspec.Raw(b"{}")


class _Params(msgspec.Struct):
    params: msgspec.Raw = _NOTHING


class _CustomId(msgspec.Struct):
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_params = msgspec.json.Decoder(_Params).decode
_custom_id = msgspec.json.Decoder(_CustomId).decode


def params_of(data: bytes) -> msgspec.Raw:
    """The `params` of a line, byte for byte, as a buffer. `{}` where there is none."""
    return _params(data).params


def custom_id_of(data: bytes) -> bytes | None:
    """The user's `custom_id` as written, quotes included, or None."""
    found = _custom_id(data).custom_id
    return None if found is msgspec.UNSET else bytes(found)
