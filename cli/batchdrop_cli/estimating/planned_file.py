"""Read a file as `plan` would: rows, batches, and what the requests are expected to take."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from batchdrop.domain.money import Size, Sizes
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.stages.plan.cutter import Cut, Cutter, Limits
from batchdrop_cli.estimating.shared_start import SharedStarts
from batchdrop_cli.opening.opened_file import Planned

DEFAULT_LIMITS = Limits.of_a_stack(max_requests=100_000, max_body_bytes=250_000_000, spool_bytes=3_435_973_836)
"""Of a stack whose parameters are as `template.yaml` has them: `MaxBatchRequests`, `MaxBatchBytes`, `CollectDiskMiB`."""
_MOST_FAULTS = 5


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    batches: tuple[Cut, ...]
    """Those with requests; `sizes` of each."""
    faults: tuple[InvalidLine, ...]
    """The first of them."""
    invalid: int
    """All of them."""
    shared: dict[str, int]
    """Tokens that the prompts of a model begin with alike, by its name in the price list."""

    @property
    def requests(self) -> int:
        return self.rows - self.invalid

    @property
    def sizes(self) -> Sizes:
        """Of all batches together."""
        return summed(cut.sizes for cut in self.batches)


def planned_file(lines: Iterable[Planned], prices: PriceList, at: datetime, limits: Limits = DEFAULT_LIMITS) -> PlannedFile:
    """Memory: what batches there are, and one prompt of each model."""
    cutter = Cutter(limits, Sizer(prices, at))
    shared = SharedStarts(lambda model: prices.price_class(model, at, prompt_tokens=0, geo=None).model)
    cuts: list[Cut | None] = []
    faults: list[InvalidLine] = []
    rows = invalid = 0
    for line, row in lines:
        rows += 1
        cuts += filter(None, [cutter.take(line, row)])
        if isinstance(row, Row):
            shared.add(row)
            continue
        invalid += 1
        if len(faults) < _MOST_FAULTS:
            faults.append(row)
    cuts.append(cutter.finish())
    return PlannedFile(
        rows=rows,
        batches=tuple(cut for cut in cuts if cut is not None and cut.requests),
        faults=tuple(faults),
        invalid=invalid,
        shared=shared.tokens(),
    )


def summed(of_batches: Iterable[Sizes]) -> Sizes:
    total: Sizes = {}
    for sizes in of_batches:
        for name, size in sizes.items():
            total[name] = total.get(name, Size()) + size
    return total
