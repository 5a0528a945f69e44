"""What the requests of a batch are expected to take, added up row by row."""

from __future__ import annotations

from datetime import datetime

from batchdrop.domain.model_names import LONG_OUTPUT_TOKENS
from batchdrop.domain.money import MOST_CLASSES, OTHERS, Size, Sizes
from batchdrop.formats.input_line import Row
from batchdrop.money.price_list import PriceList
from batchdrop.money.token_guess import Look, guess_together, look, most_of

MAX_ANSWER_TOKENS = LONG_OUTPUT_TOKENS
"""The longest answer of any model: a `max_tokens` beyond it is refused or never reached."""
_NO_PROMPT_IS_LONGER = 10**18
# A file names few models. Those of one that names many are looked up each time.
_MOST_REMEMBERED = 200
_REMEMBERED_CHARS = 100
# Rows of a model are guessed this many bytes at a time: enough to pay for the call, little to hold.
_TOGETHER_BYTES = 32_000
# Of a prompt without images, at most, and what is counted beside its text: one that cannot be long by these is not looked at by
# itself. Letters with accents take the most, and have two bytes.
_MOST_TOKENS_A_BYTE = 1.3
_MOST_BESIDE = 600

type _Sums = list[int]


class _Model:
    """Where rows of one model are counted, and those that wait to be guessed together."""

    __slots__ = ("above", "apart", "bytes", "rows", "sums")

    def __init__(self, above: int, apart: int) -> None:
        self.above = above
        """Tokens of a guess beyond which a prompt may be a long one."""
        self.apart = apart
        """Bytes from which on a request is looked at by itself."""
        self.rows: list[Row] = []
        self.bytes = 0
        self.sums: dict[tuple[bool, bool], _Sums] = {}
        """By whether they are to run in the United States alone, and whether their prompts may be long."""


class Sizer:
    """Sees every row of a file, so it counts in lists instead of making a record of each step.

    A request is counted as a long prompt if by the most that its prompt may take it may be one: no worst case is too low then.
    """

    def __init__(self, prices: PriceList, at: datetime) -> None:
        self._prices = prices
        self._at = at
        self._by_class: dict[str, _Sums] = {}
        self._models: dict[str, _Model] = {}

    def add(self, row: Row) -> None:
        model = self._models.get(row.model) or self._of_model(row.model)
        size = len(row.params)
        if size >= model.apart:
            self._look(row, model)
            return
        model.rows.append(row)
        model.bytes += size
        if model.bytes >= _TOGETHER_BYTES:
            self._guess(model)

    def take(self) -> Sizes:
        """The sizes of the rows since the last time."""
        for model in self._models.values():
            self._guess(model)
        sizes = {
            name: Size(requests=requests, input_tokens=tokens, max_output_tokens=output, cache_tokens=cached)
            for name, (requests, tokens, output, cached) in self._by_class.items()
            if requests
        }
        self._by_class, self._models = {}, {}
        return sizes

    def _guess(self, model: _Model) -> None:
        rows = model.rows
        if not rows:
            return
        found = guess_together([row.params for row in rows], rows[0].model)
        if found is None:
            for row in rows:
                self._look(row, model)
            # Rows of a file are mostly alike.
            model.apart = 0
        else:
            most = [row.max_tokens for row in rows]
            if max(most) > MAX_ANSWER_TOKENS:
                most = [min(MAX_ANSWER_TOKENS, one) for one in most]
            self._count(rows[0].model, model, len(rows), found, sum(most))
        model.rows, model.bytes = [], 0

    def _look(self, row: Row, model: _Model) -> None:
        self._count(row.model, model, 1, look(row.params, row.model), min(MAX_ANSWER_TOKENS, row.max_tokens))

    def _count(self, name: str, model: _Model, requests: int, found: Look, most: int) -> None:
        """Only of one request the prompt may be long."""
        tokens, us, caches = found
        of = us, requests == 1 and tokens > model.above
        sums = model.sums.get(of)
        if sums is None:
            sums = model.sums[of] = self._of_class(name, *of)
        sums[0] += requests
        sums[1] += tokens
        sums[2] += most
        if caches:
            sums[3] += tokens

    def _of_model(self, model: str) -> _Model:
        tier = self._prices.long_above(model, self._at)
        above = _NO_PROMPT_IS_LONGER if tier is None else tier * tier // most_of(tier)
        found = _Model(above, min(_TOGETHER_BYTES, max(0, int((above - _MOST_BESIDE) / _MOST_TOKENS_A_BYTE))))
        if len(self._models) < _MOST_REMEMBERED and len(model) <= _REMEMBERED_CHARS:
            self._models[model] = found
        else:
            found.apart = 0
        return found

    def _of_class(self, model: str, us: bool, long: bool) -> _Sums:
        of = self._prices.price_class(
            model, self._at, prompt_tokens=_NO_PROMPT_IS_LONGER if long else 0, geo="us" if us else None
        )
        name = str(of)
        if name not in self._by_class and len(self._by_class) >= MOST_CLASSES - 1 and self._prices.rates(of, self._at) is None:
            name = OTHERS
        return self._by_class.setdefault(name, [0, 0, 0, 0])
