"""What the rows of a job took, against what they were guessed to take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce

from batchdrop.domain.money import PriceClass, Sizes, added, sizes_share
from batchdrop.domain.records import Batch, Taught, Usage
from batchdrop.money.estimate import guessed_cost, usage_cost
from batchdrop.money.price_file import built_in
from batchdrop.reports.manifest import add_usage


def taught_by(batches: Sequence[Batch], at: datetime) -> Taught | None:
    """None: nobody knows, as for a model without a built-in price.

    `batches`: in the order of their names, so that those that send rows again follow the one that sent them first. Both sides are
    counted at the built-in prices of short prompts in no special place: only their ratio counts. A row that goes again was
    guessed once, and one that was never answered not at all.
    """
    usage: dict[str, Usage] = {}
    first: list[Sizes] = []
    answered: list[int] = []
    for batch in batches:
        if batch.attempt <= 1:
            first.append(batch.sizes)
            answered.append(0)
        answered[-1] += sum(of.requests for of in batch.usage.values())
        add_usage(usage, batch.usage)
    sizes: Sizes = reduce(added, map(_of_answered, first, answered), {})
    cost = usage_cost(usage, built_in(), at)
    if cost is None or not sizes:
        return None
    guessed, most = guessed_cost(sizes, built_in(), at)
    rows = sum(size.requests for size in sizes.values())
    return Taught(guessed_input=guessed, input=cost[0], most_output=most, output=cost[1], rows=rows)


def _of_answered(sizes: Sizes, answered: int) -> Sizes:
    """By model alone. A row whose answer could not be used may have been answered more than once."""
    requests = sum(size.requests for size in sizes.values())
    by_model: Sizes = reduce(added, ({PriceClass.parse(name).model: size} for name, size in sizes.items()), {})
    return sizes_share(by_model, min(answered, requests), requests)[0] if requests else {}
