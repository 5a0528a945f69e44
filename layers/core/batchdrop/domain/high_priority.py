"""Which files may go before those of other folders: an operator lists their folders."""

from __future__ import annotations

from batchdrop.domain.keys import is_below
from batchdrop.domain.record import Record
from batchdrop.domain.records import NORMAL

_EVERYWHERE = "*"


class HighPriority(Record, frozen=True, kw_only=True):
    """`folders`: below the inbox, such as `marketing/urgent`; files in them and below may. `*`: all files may."""

    folders: tuple[str, ...] = ()

    @classmethod
    def of(cls, folders: str) -> HighPriority:
        """From a list separated by commas, as the stack's parameter holds it."""
        return cls(folders=tuple(filter(None, (folder.strip().strip("/") for folder in folders.split(",")))))

    def refuses(self, priority: int, input_key: str) -> bool:
        """Whether this file runs as normal instead."""
        if priority >= NORMAL or _EVERYWHERE in self.folders:
            return False
        return not any(is_below(input_key, folder) for folder in self.folders)
