"""The rows of a pilot: which of them have come to their end, and what they teach about the others."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import reduce

from msgspec.structs import replace

from batchdrop.domain.admission import is_waiting
from batchdrop.domain.money import Sizes, added, rest_of
from batchdrop.domain.records import Batch, RowStatus, Settled, Usage
from batchdrop.domain.transitions import CacheVerdict, Collected, Holder
from batchdrop.formats.input_line import Row
from batchdrop.formats.lines import Line
from batchdrop.money.billing import Biller
from batchdrop.money.cache_rules import hit_share, pays_above
from batchdrop.money.estimate import guessed_cost
from batchdrop.money.learning import OtherRows, TriedRow, learn
from batchdrop.money.price_list import PriceList, for_batch
from batchdrop.money.sizing import Sizer
from batchdrop.reports import sentences
from batchdrop.stages.collect.pieces import PartWriter
from batchdrop.stages.collect.route import Router
from batchdrop.stages.collect.row_lines import RowLines, Unusable


class TriedRows(Router):
    """A row whose end is final is settled, so one that was paid for is, whatever its answer is worth.

    One that may get an answer yet is left to the batch that it lies in: it expired, or the API was at fault, or it was not sent.
    """

    def __init__(
        self,
        batch: Batch,
        lines: RowLines,
        biller: Biller,
        results: PartWriter,
        failed: PartWriter,
        retry: PartWriter,
        *,
        lost: bool,
        prices: PriceList,
        at: datetime,
        rendered: bool,
        others: Sizes,
        decides: bool,
    ) -> None:
        """`others`: of the job's other batches, in which the rows that were tried are counted too. `decides`: whether these are
        to be cached.
        """
        sizer = Sizer(prices, at)
        super().__init__(batch, lines, biller, results, failed, retry, may_retry=True, lost=lost, sizer=sizer, rendered=rendered)
        self._prices = prices
        self._at = at
        self._others = others
        self._decides = decides
        self._digests = {row.line: row.digest for row in batch.tries}
        self.left = 0
        """Rows that are left to their batches."""
        self.settled_rows: list[Settled] = []
        self.settled_sizes: dict[int, Sizes] = {}
        self.tried: list[TriedRow] = []
        """Of those that were settled, whose cost is known."""
        self._uncached: list[TriedRow] = []
        """The same, had they not been cached."""

    def row(self, line: Line, data: bytes | None, paid: int | None = 0) -> None:
        before = Counter(self._ends)
        super().row(line, data, paid)
        for status in self._ends - before:
            self.settled_rows.append(Settled(line=line.number, status=status, digest=self._digests.get(line.number, "")))
            row = self._check(line)
            if isinstance(row, Row):
                sizer = Sizer(self._prices, self._at)
                sizer.add(row)
                self.settled_sizes[line.number] = sizer.take()
                self._learn(self.settled_sizes[line.number], data)

    def close(self) -> Collected:
        collected = super().close()
        cache = self._weigh(collected.usage) if self._decides else None
        tried = self.tried if cache is None or cache.cached else self._uncached
        learned = learn(tried, self._other_rows()) if tried else None
        return replace(
            collected,
            cache=cache,
            settled=tuple(self.settled_rows),
            settled_sizes=self.settled_sizes,
            left=self.left,
            learned=learned,
        )

    def _other_rows(self) -> OtherRows:
        """Those that will be sent: all but the ones that were tried."""
        rest = rest_of(self._others, _together(self.settled_sizes.values()))
        prompts, answers = guessed_cost(rest, self._prices, self._at)
        return OtherRows(sum(size.requests for size in rest.values()), prompts, answers)

    def _learn(self, sizes: Sizes, data: bytes | None) -> None:
        answer = None if data is None else self._parsed(data)
        biller = Biller(self._prices, self._at)
        if answer is None or (answer.type == "succeeded" and biller.bill(answer) is None):
            return
        guessed, most = guessed_cost(sizes, self._prices, self._at)
        prompt, output = biller.parts()
        self.tried.append(TriedRow(guessed_input=guessed, input=prompt, most_output=most, output=output))
        saved = for_batch(biller.saved())
        self._uncached.append(TriedRow(guessed_input=guessed, input=prompt + saved, most_output=most, output=output))

    def _weigh(self, usage: Mapping[str, Usage]) -> CacheVerdict:
        share = hit_share(usage.values())
        of = self._prices.price_class(next(iter(usage), ""), self._at, prompt_tokens=0, geo=None)
        rates = self._prices.rates(of, self._at)
        pays = pays_above(rates) if rates is not None else None
        cached = share is not None and pays is not None and share > pays
        return CacheVerdict(cached, sentences.cache_weighed(share, pays, cached=cached))

    def _without_line(self, line: Line, paid: int | None) -> None:
        unsent = self._batch.unsent
        if unsent is None or unsent.status is RowStatus.missing:
            super()._without_line(line, paid)
        else:
            self.without_line += 1
            self.left += 1

    def _send_again(self, line: Line, paid: int | None) -> None:  # noqa: ARG002 - it was not paid for
        self.left += 1

    def _fail(
        self,
        line: Line,
        status: RowStatus,
        error_type: str,
        message: str,
        cost: int | None,
        *,
        attempts: int | None = None,
        unusable: Unusable | None = None,
    ) -> None:
        if status is RowStatus.canceled:
            self.left += 1
        else:
            super()._fail(line, status, error_type, message, cost, attempts=attempts, unusable=unusable)


def sizes_of(batches: Iterable[Batch]) -> Sizes:
    return _together(batch.sizes for batch in batches)


def _together(sizes: Iterable[Sizes]) -> Sizes:
    return reduce(added, sizes, {})


def holders_of(batches: Iterable[Batch], pilot: Collected) -> tuple[Holder, ...]:
    """`batches` of the job, by their first lines.

    One that waits no more, as a version without pilots has sent it, keeps its rows, and its own answers are delivered.
    """
    rest = deque(pilot.settled)
    holders = []
    for batch in batches:
        rows = []
        while not batch.tries and rest and rest[0].line <= batch.last_line:
            rows.append(rest.popleft())
        if rows and is_waiting(batch):
            sizes = _together(pilot.settled_sizes.get(row.line, {}) for row in rows)
            holders.append(Holder(batch, tuple(rows), sizes))
    return tuple(holders)
