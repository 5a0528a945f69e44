"""What the requests of a batch are expected to take, added up row by row."""

from __future__ import annotations

from datetime import datetime

from batchdrop.domain.money import Size, Sizes
from batchdrop.formats.input_line import Row
from batchdrop.money.price_list import PriceList
from batchdrop.money.token_guess import look, most_of

MAX_ANSWER_TOKENS = 300_000
"""The longest answer of any model, with the header `output-300k-2026-03-24` (Anthropic, "Models overview"): a `max_tokens` beyond
it is refused or never reached."""
MOST_CLASSES = 20
"""Price classes of a batch: a record of the table has room for some. Classes with a price are never more than it has."""
OTHERS = "(other)"
"""Requests of further models without a price."""
_NO_TIER = 10**18
# A file names few models. Those of one that names many are looked up each time.
_MOST_REMEMBERED = 200
_REMEMBERED_CHARS = 100

type _Sums = list[int]


class Sizer:
    """Sees every row of a file, so it counts in lists instead of making a record of each step.

    A request is counted as a long prompt if by the most that its prompt may take it may be one: no worst case is too low then.
    """

    def __init__(self, prices: PriceList, at: datetime) -> None:
        self._prices = prices
        self._at = at
        self._by_class: dict[str, _Sums] = {}
        self._by_model: dict[tuple[str, bool], tuple[int, _Sums, _Sums]] = {}

    def add(self, row: Row) -> None:
        tokens, us, caches = look(row.params, row.model)
        above, short, long = self._by_model.get((row.model, us)) or self._of_model(row.model, us)
        sums = short if tokens <= above else long
        sums[0] += 1
        sums[1] += tokens
        sums[2] += min(MAX_ANSWER_TOKENS, row.max_tokens)
        if caches:
            sums[3] += tokens

    def take(self) -> Sizes:
        """The sizes of the rows since the last time."""
        sizes = {
            name: Size(requests=requests, input_tokens=tokens, max_output_tokens=output, cache_tokens=cached)
            for name, (requests, tokens, output, cached) in self._by_class.items()
            if requests
        }
        self._by_class, self._by_model = {}, {}
        return sizes

    def _of_model(self, model: str, us: bool) -> tuple[int, _Sums, _Sums]:
        tier = self._prices.long_above(model, self._at)
        short = self._sums(model, us=us, prompt_tokens=0)
        found = (
            (_NO_TIER, short, short)
            if tier is None
            else (tier * tier // most_of(tier), short, self._sums(model, us=us, prompt_tokens=tier + 1))
        )
        if len(self._by_model) < _MOST_REMEMBERED and len(model) <= _REMEMBERED_CHARS:
            self._by_model[model, us] = found
        return found

    def _sums(self, model: str, *, us: bool, prompt_tokens: int) -> _Sums:
        of = self._prices.price_class(model, self._at, prompt_tokens=prompt_tokens, geo="us" if us else None)
        name = str(of)
        if name not in self._by_class and len(self._by_class) >= MOST_CLASSES - 1 and self._prices.rates(of, self._at) is None:
            name = OTHERS
        return self._by_class.setdefault(name, [0, 0, 0, 0])
