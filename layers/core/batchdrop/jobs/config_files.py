"""The files that operators write below `config/`, as this process last saw them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from batchdrop.domain.errors import Forbidden, ObjectGone
from batchdrop.domain.keys import LIMITS, PRICES, SOURCES
from batchdrop.domain.records import ObjectRef
from batchdrop.formats.config_file import MAX_BYTES, ConfigFault
from batchdrop.formats.source_file import read_sources
from batchdrop.money.limit_file import LimitList, read_limits
from batchdrop.money.price_file import built_in, read_prices
from batchdrop.money.price_list import PriceList
from batchdrop.ports import Objects
from batchdrop.reports import sentences

log = logging.getLogger(__name__)

REMEMBERED = timedelta(seconds=60)
"""How long a change of the object may take to be seen."""
_LOOKS = 3


class Seen[T](NamedTuple):
    value: T
    """What holds without the file, if there is none or it cannot be used."""
    fault: str
    """Why it cannot be used, for everybody to read: no word of the file. Empty if nothing is wrong."""


class ConfigObject[T]:
    """`read` makes a value of the bytes and the version of the object; it raises ConfigFault. `without`: what holds without it.

    It is called once for each version of the object; whether there is another is looked up at most once a minute.
    """

    def __init__(self, objects: Objects, key: str, read: Callable[[bytes, str, datetime], T], without: T) -> None:
        self._objects = objects
        self._key = key
        self._read = read
        self._ref: ObjectRef | None = None
        self._without = without
        self._seen = Seen(without, "")
        self._looked_at: datetime | None = None

    def current(self, now: datetime) -> Seen[T]:
        """May raise what reading an object raises, but for a missing or a forbidden one."""
        if self._looked_at is None or not self._looked_at <= now < self._looked_at + REMEMBERED:
            self._seen = self._look(now)
            self._looked_at = now
        return self._seen

    def _look(self, now: datetime) -> Seen[T]:
        before, self._ref = self._ref, None
        try:
            for _ in range(_LOOKS):
                if (ref := self._find()) is None:
                    return Seen(self._without, "")
                seen = self._seen if ref == before else self._parsed(ref, now)
                if seen is not None:
                    self._ref = ref
                    return seen
        except Forbidden as refusal:
            # It may well hold what forbids spending, so this is not the same as no object.
            words = f"cannot be read: S3 answers {refusal.code}. Let the functions of the stack read it, or delete it."
            return Seen(self._without, f"{self._key} {words}")
        return Seen(self._without, f"{self._key} is replaced again and again while it is read. It is read again in a minute.")

    def _find(self) -> ObjectRef | None:
        try:
            return self._objects.head(self._key).ref
        except ObjectGone:
            return None

    def _parsed(self, ref: ObjectRef, now: datetime) -> Seen[T] | None:
        """None if that very version is gone: the next may be there by now."""
        try:
            # One byte more than may be, so that a longer object is known as one, and not held.
            with self._objects.read(ref, 0, min(ref.size, MAX_BYTES + 1)) as stream:
                data = stream.read()
            return Seen(self._read(data, ref.version_id or ref.etag, now), "")
        except ObjectGone:
            return None
        except ConfigFault as fault:
            log.warning("a file of the operators is not used", extra={"fault": str(fault)})
            return Seen(self._without, sentences.faulty_config(fault.name, fault.line))


def prices(objects: Objects) -> ConfigObject[PriceList]:
    """Those of the operators' file, else those built in."""

    def read(data: bytes, version: str, now: datetime) -> PriceList:
        return read_prices(data, name=PRICES, version=version, at=now)

    return ConfigObject(objects, PRICES, read, built_in())


def limits(objects: Objects) -> ConfigObject[LimitList]:
    """Those of the operators' file, else none."""

    def read(data: bytes, version: str, _: datetime) -> LimitList:
        return read_limits(data, name=LIMITS, version=version)

    return ConfigObject(objects, LIMITS, read, LimitList())


def sources(objects: Objects) -> ConfigObject[Mapping[str, Sequence[str]]]:
    """Prefixes that rows may name files of, by folder: those of the operators' file, else none."""

    def read(data: bytes, _: str, __: datetime) -> Mapping[str, Sequence[str]]:
        return read_sources(data, name=SOURCES)

    return ConfigObject(objects, SOURCES, read, {})
