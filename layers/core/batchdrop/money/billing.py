"""What the answered rows of a batch cost, by the API's own usage and rules, never by what we make of an answer.

Anthropic, "Pricing" and "Refusals and fallback", 2026-10-08: only what succeeded is billed, by tokens of five classes, at prices
that depend on the model, on the length of the whole prompt and on where it ran, and half of them in a batch. Whether a batch pays
half for a web search is not documented: it is counted in full.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Context, Decimal
from typing import NamedTuple

from batchdrop.domain.money import OTHERS, Bill
from batchdrop.domain.records import Usage
from batchdrop.formats.api_result import ApiResult, Refusal
from batchdrop.money.amounts import FEMTO_DIGITS
from batchdrop.money.price_list import PriceList, Rates

NOT_METERED = "usage"
"""Under this name `Bill.unmetered` counts answers that came without the tokens they took."""
# Of a refusal before any output. A category that is not known yet counts as billed: what may be spent is not exceeded then.
_FREE_REFUSALS = frozenset({"cyber", "general_harms", None})
# Names come from the API; a record of the table has room for some.
_MOST_NAMES = 20
_NAMELESS = "(unknown)"
_NAME_CHARS = 80
# No prompt is that long.
_NO_TIER = 10**18
_EXACT = Context(prec=60)


class Biller:
    """Adds up the answers of one batch at the prices of `at`, when the API created it. Memory: a few numbers for each model."""

    def __init__(self, prices: PriceList, at: datetime) -> None:
        self._prices = prices
        self._at = at
        self._tariffs: dict[tuple[str, str | None], _Tariff] = {}
        self._unmetered: Counter[str] = Counter()
        self._searches = 0

    def bill(self, answer: ApiResult) -> int | None:
        """Femto-dollars that a result of the type `succeeded` costs; None if nobody knows. Each result is to be given once."""
        # Taken apart in one step: this runs for each row.
        _, _, _, _, _, model, plain, output, write_5m, write_1h, read, metered, geo, searches, tools, refusal = answer
        if refusal is not None and not _is_billed(refusal):
            return 0
        tariff = self._tariffs.get((model, geo)) or self._tariff(model, geo)
        account = tariff.short if plain + write_5m + write_1h + read <= tariff.above else tariff.long
        account.requests += 1
        if tools:
            self._unmetered.update(tools)
        if not metered:
            self._unmetered[NOT_METERED] += 1
            return None
        account.input += plain
        account.output += output
        if write_5m or write_1h or read:
            account.write_5m += write_5m
            account.write_1h += write_1h
            account.read += read
        rates = account.rates
        if rates is None:
            return None
        cost = plain * rates.input + output * rates.output
        if write_5m or write_1h or read:
            cost += write_5m * rates.write_5m + write_1h * rates.write_1h + read * rates.read
        if searches:
            self._searches += searches
            cost += searches * self._prices.web_search
        return cost

    def total(self) -> Bill:
        """Of all answers so far."""
        usd = real_time = uncached = self._searches * self._prices.web_search
        unpriced: Counter[str] = Counter()
        for (model, _), tariff in self._tariffs.items():
            for account in tariff.accounts:
                if account.rates is None or account.real_time is None:
                    unpriced[model or _NAMELESS] += account.requests
                    continue
                usd += account.cost(account.rates)
                real_time += account.cost(account.real_time)
                uncached += account.uncached_cost(account.real_time)
        return Bill(
            usd=_dollars(usd),
            real_time_usd=_dollars(real_time),
            uncached_usd=_dollars(uncached),
            unpriced=_bounded(unpriced),
            unmetered=_bounded(self._unmetered),
            prices=(self._prices.version,),
        )

    def parts(self) -> tuple[int, int]:
        """Femto-dollars of the prompts so far, searches included, and of the answers."""
        prompts, answers = self._searches * self._prices.web_search, 0
        for tariff in self._tariffs.values():
            for account in tariff.accounts:
                if account.rates is not None:
                    output = account.output * account.rates.output
                    answers += output
                    prompts += account.cost(account.rates) - output
        return prompts, answers

    def saved(self) -> int:
        """Femto-dollars that caching has saved in real time so far; negative if it has cost more."""
        saved = 0
        for tariff in self._tariffs.values():
            for account in tariff.accounts:
                if account.real_time is not None:
                    saved += account.uncached_cost(account.real_time) - account.cost(account.real_time)
        return saved

    def usage(self) -> dict[str, Usage]:
        """What was billed, by model."""
        found: dict[str, Usage] = {}
        for (model, _), tariff in self._tariffs.items():
            for account in tariff.accounts:
                found[model] = found.get(model, Usage()) + account.usage()
        return found

    def _tariff(self, model: str, geo: str | None) -> _Tariff:
        above = self._prices.long_above(model, self._at)
        short = self._account(model, geo, 0)
        long = short if above is None else self._account(model, geo, above + 1)
        tariff = self._tariffs[model, geo] = _Tariff(_NO_TIER if above is None else above, short, long)
        return tariff

    def _account(self, model: str, geo: str | None, prompt_tokens: int) -> _Account:
        of = self._prices.price_class(model, self._at, prompt_tokens=prompt_tokens, geo=geo)
        rates = self._prices.rates(of, self._at)
        return _Account(rates, None if rates is None else rates.percent(self._prices.batch_percent))


class _Tariff(NamedTuple):
    """Of one model in one place."""

    above: int
    """Tokens of a prompt beyond which its request goes on the other account."""
    short: _Account
    long: _Account

    @property
    def accounts(self) -> tuple[_Account, ...]:
        return (self.short,) if self.long is self.short else (self.short, self.long)


class _Account:
    """Tokens that were billed at the same rates. None: nobody knows these."""

    __slots__ = ("input", "output", "rates", "read", "real_time", "requests", "write_1h", "write_5m")

    def __init__(self, real_time: Rates | None, rates: Rates | None) -> None:
        self.real_time = real_time
        self.rates = rates
        self.requests = self.input = self.output = self.write_5m = self.write_1h = self.read = 0

    def cost(self, rates: Rates) -> int:
        tokens = (self.input, self.output, self.write_5m, self.write_1h, self.read)
        return sum(number * rate for number, rate in zip(tokens, rates, strict=True))

    def uncached_cost(self, rates: Rates) -> int:
        return (self.input + self.write_5m + self.write_1h + self.read) * rates.input + self.output * rates.output

    def usage(self) -> Usage:
        return Usage(
            requests=self.requests,
            input_tokens=self.input,
            output_tokens=self.output,
            cache_write_5m_tokens=self.write_5m,
            cache_write_1h_tokens=self.write_1h,
            cache_read_tokens=self.read,
        )


def _is_billed(refusal: Refusal) -> bool:
    return refusal.has_output or refusal.category not in _FREE_REFUSALS


def _dollars(femto: int) -> Decimal:
    return Decimal(femto).scaleb(-FEMTO_DIGITS, _EXACT)


def _bounded(numbers: Counter[str]) -> dict[str, int]:
    """The most frequent ones by name, the rest as one."""
    found = {name[:_NAME_CHARS]: number for name, number in numbers.most_common(_MOST_NAMES) if number}
    rest = numbers.total() - sum(found.values())
    return found | {OTHERS: rest} if rest else found
