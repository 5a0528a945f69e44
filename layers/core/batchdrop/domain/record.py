"""The base of everything that is stored or sent."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen struct with named fields only."""
