"""Changes of jobs, as events on a bus of Amazon EventBridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Protocol, TypedDict

import msgspec

from batchdrop.adapters.aws import is_later, throttling
from batchdrop.domain.errors import ConfigurationError, Throttled

SOURCE = "batchdrop"
DETAIL_TYPE = "Batchdrop Job State Change"
_AT_ONCE = 10
"""Entries of a call (Amazon EventBridge API reference, PutEvents)."""
MAX_CALL_BYTES = 256_000
"""Of all its entries: the least that regions have allowed ("Calculating PutEvents event entry size")."""
_LATER = frozenset({"InternalException", "InternalFailure"})


class _Answer(TypedDict):
    FailedEntryCount: int
    Entries: list[dict[str, str]]


class _Client(Protocol):
    """The one call that is made of boto3's client."""

    def put_events(self, *, Entries: list[dict[str, str]]) -> _Answer: ...  # noqa: N803 - boto3's name


class BusEvents:
    """An event is a few kilobytes at most: S3 bounds the names and the metadata in it, so ten of them fit one call."""

    def __init__(self, client: _Client, bus: str) -> None:
        self._client = client
        self._bus = bus

    def put(self, details: Sequence[Mapping[str, object]]) -> None:
        """A call that answers may still have refused some of its entries. Raises Throttled, ConfigurationError."""
        for some in batched(details, _AT_ONCE, strict=False):
            with throttling():
                answer = self._client.put_events(Entries=[self._entry(detail) for detail in some])
            refused = [entry.get("ErrorCode", "") for entry in answer["Entries"] if entry.get("ErrorCode")]
            if refused or answer["FailedEntryCount"]:
                said = f"{answer['FailedEntryCount']} of {len(some)} events were not taken: {', '.join(sorted(set(refused)))}"
                raise Throttled(said) if all(is_later(code) or code in _LATER for code in refused) else ConfigurationError(said)

    def _entry(self, detail: Mapping[str, object]) -> dict[str, str]:
        return {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": msgspec.json.encode(detail).decode(),
            "EventBusName": self._bus,
        }
