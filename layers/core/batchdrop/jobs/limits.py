"""The limits of folders that hold now: those of `config/limits.json` where it can be used, else none."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from batchdrop.domain.keys import LIMITS
from batchdrop.jobs.config_object import ConfigObject
from batchdrop.money.limit_file import LimitList, read_limits
from batchdrop.ports import Objects


class CurrentLimits(NamedTuple):
    list: LimitList
    fault: str
    """Why the operators' file is not used, or empty. Nothing above `ask_above_usd` is sent while there is one."""


class Limits:
    """Remembers what it read, for a minute."""

    def __init__(self, objects: Objects) -> None:
        self._file = ConfigObject(objects, LIMITS, _read)

    def current(self, now: datetime) -> CurrentLimits:
        """May raise what reading an object raises, but for a missing or a forbidden one."""
        limits, fault = self._file.current(now)
        return CurrentLimits(limits or LimitList(), fault)


def _read(data: bytes, version: str, now: datetime) -> LimitList:  # noqa: ARG001 - limits do not depend on the time
    return read_limits(data, name=LIMITS, version=version)
