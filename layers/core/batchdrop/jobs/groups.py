"""Which files ask together, and which of them an approval holds for."""

from __future__ import annotations

from batchdrop.domain import ids
from batchdrop.domain.keys import folder_of
from batchdrop.domain.records import Job
from batchdrop.money.price_list import PriceList


def group_key(job: Job, prices: PriceList) -> str:
    """Of files of one folder with the same recipe, byte for byte, at the same prices."""
    return ids.group_key(folder_of(job.input.key), job.recipe.etag if job.recipe else "", prices.digest)
