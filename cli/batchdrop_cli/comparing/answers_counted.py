"""Counts the answers of one way as they come: how many, which tokens, what they cost."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from batchdrop.formats.api_result import ApiResult, parse_result
from batchdrop.money.billing import Biller
from batchdrop.money.price_list import PriceList
from batchdrop_cli.comparing.comparison import Way

_SUCCEEDED = "succeeded"
_RESULT = b'{"custom_id":"-","result":{"type":"succeeded","message":%b}}'
_UNREADABLE = "unreadable"


class AnswersCounted:
    """`prices`: those of this way (`four_ways.real_time`). `at`: when the requests were sent."""

    def __init__(self, prices: PriceList, at: datetime) -> None:
        self._biller = Biller(prices, at)
        self._errors: Counter[str] = Counter()
        self._answered = 0

    def message(self, body: bytes) -> None:
        """An answer of the Messages API."""
        try:
            self.result(parse_result(_RESULT % body.replace(b"\n", b" ")))
        except ValueError:
            self.error(_UNREADABLE)

    def result(self, found: ApiResult) -> None:
        """A result of a batch."""
        if found.type == _SUCCEEDED:
            self._answered += 1
            self._biller.bill(found)
        else:
            self.error(found.error_type or found.type)

    def error(self, kind: str) -> None:
        self._errors[kind[:80]] += 1

    def way(self, rows: int, seconds: float) -> Way:
        """Of `rows` that were asked about."""
        bill, usage = self._biller.total(), self._biller.usage().values()
        return Way(
            seconds=round(seconds, 3),
            answered=self._answered,
            failed=rows - self._answered,
            errors=dict(self._errors),
            input_tokens=sum(
                one.input_tokens + one.cache_write_5m_tokens + one.cache_write_1h_tokens + one.cache_read_tokens for one in usage
            ),
            output_tokens=sum(one.output_tokens for one in usage),
            usd=bill.usd,
            unpriced=bill.unpriced,
        )
