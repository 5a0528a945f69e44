"""Have the tokens of a few rows counted by the API, to correct the guess of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.money import Learned
from batchdrop.formats.input_line import Row
from batchdrop.money.learning import TriedRow, learn
from batchdrop.money.price_list import PriceList
from batchdrop.money.token_guess import look
from batchdrop_cli.calling.realtime import Api

MOST_ROWS = 20
"""They leave this machine, so they are few."""
# Of a model whose price nobody knows: its tokens count as any.
_A_DOLLAR = 10**9


def learned_by_counting(
    rows: Sequence[Row], api: Api, headers: CallHeaders, prices: PriceList, at: datetime, done: Callable[[], None]
) -> Learned | None:
    """None: the API counted none of them. Raises CannotAsk."""
    counts = api.count([row.params for row in rows], headers, lambda _: done())
    tried = [_tried(row, tokens, prices, at) for row, tokens in zip(rows, counts, strict=True) if tokens is not None]
    return learn(tried) if tried else None


def _tried(row: Row, tokens: int, prices: PriceList, at: datetime) -> TriedRow:
    """Of its answer nothing is known."""
    seen = look(row.params, row.model)
    of = prices.price_class(row.model, at, prompt_tokens=seen.tokens, geo="us" if seen.us else None)
    rates = prices.rates(of, at)
    rate = rates.input if rates else _A_DOLLAR
    return TriedRow(guessed_input=seen.tokens * rate, input=tokens * rate, most_output=0, output=0)
