"""What the rows of a job took, against what they were guessed to take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce

from batchdrop.domain.money import Sizes, added
from batchdrop.domain.records import Batch, Taught, Usage
from batchdrop.money.estimate import guessed_cost, usage_cost
from batchdrop.money.price_file import built_in
from batchdrop.reports.manifest import add_usage


def taught_by(batches: Sequence[Batch], at: datetime) -> Taught | None:
    """None: nobody knows, as for a model without a built-in price.

    Both sides are counted at the built-in prices: only their ratio counts. A row that goes again was guessed once.
    """
    usage: dict[str, Usage] = {}
    for batch in batches:
        add_usage(usage, batch.usage)
    sizes: Sizes = reduce(added, (batch.sizes for batch in batches if batch.attempt == 1), {})
    cost = usage_cost(usage, built_in(), at)
    rows = sum(of.requests for of in usage.values())
    if cost is None or not rows:
        return None
    guessed, most = guessed_cost(sizes, built_in(), at)
    return Taught(guessed_input=guessed, input=cost[0], most_output=most, output=cost[1], rows=rows)
