"""What a demonstration answers when a job asks: what somebody says at the terminal, or `APPROVE` as far as it reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

from batchdrop.domain import keys
from batchdrop.domain.open_work import APPROVAL, LIMIT, RECIPE

_CENT = Decimal("0.01")
# What a job waits for by itself while it is held passes with a tick or two; a price that nobody knows does not.
_PATIENCE_SECONDS = 120.0


class Asked(NamedTuple):
    """What a job asks."""

    job_id: str
    code: str
    key: str
    """Of the object that says yes."""
    total: Decimal
    """Dollars that the job will have cost in all, at the high end of what is shown."""


def asked(status: Mapping[str, Any]) -> Asked | None:
    """By its `status.json`, amounts in it as decimals. None: it asks nothing that a yes answers."""
    question, cost = status["question"], status["cost"]
    if question is None or status["needs"] != APPROVAL:
        return None
    total = cost["usd"] + cost["reserved_usd"] + question["high_usd"]
    return Asked(status["job_id"], question["code"], question["answer"], Decimal(total))


def amount(text: str) -> Decimal:
    """Dollars, as `APPROVE=2.50` has them. Raises ValueError."""
    try:
        usd = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not usd.is_finite() or usd < 0:
        raise ValueError(text)
    return usd


class End(StrEnum):
    """How the talk with a job ends."""

    ended = "ended"
    """The job ended, or goes on to its end."""
    recipe = "recipe"
    """It waits for one."""
    no = "no"
    """Somebody said no, and it is canceled."""
    nobody = "nobody"
    """Nobody could say yes, and it is canceled."""


class Consent:
    """For all jobs of a demonstration. `ask` puts a question to a person; None: there is no terminal."""

    def __init__(self, up_to: Decimal | None, ask: Callable[[str], bool] | None, say: Callable[[str], None]) -> None:
        self._up_to = up_to
        self._ask = ask
        self._say = say
        self._approved: dict[str, Decimal] = {}

    def __call__(self, question: Asked, tried: Sequence[str]) -> End:
        """`ended` is a yes. `tried`: lines that show rows of it with their answers."""
        in_all = sum((usd for job_id, usd in self._approved.items() if job_id != question.job_id), question.total)
        if tried:
            self._say("\n".join([*tried, ""]))
        if self._up_to is not None and in_all <= self._up_to:
            self._approved[question.job_id] = question.total
            self._say(f"Approved by APPROVE={self._up_to}: it will have cost ${_cents(question.total)} at most.")
            return End.ended
        if self._up_to is not None:
            self._say(f"APPROVE={self._up_to} does not reach: this would make ${_cents(in_all)}.")
        if self._ask is None:
            self._say(f"Nobody is here to say yes. APPROVE={_cents(in_all)} would have, and on a terminal you are asked.")
            return End.nobody
        if not self._ask("Go on?"):
            return End.no
        self._approved[question.job_id] = question.total
        return End.ended


class Talk:
    """With one job while it is held: each of its questions is answered once.

    `tried` fetches what was tried and shows it; `command` creates an object with that key.
    """

    def __init__(self, consent: Consent, tried: Callable[[], Sequence[str]], command: Callable[[str], None]) -> None:
        self._consent = consent
        self._tried = tried
        self._command = command
        self._answered: set[str] = set()
        self._last = ""
        self._since = 0.0

    def __call__(self, status: Mapping[str, Any], now: float) -> End:
        """What is said to it now. `now`: seconds of a clock that only goes on."""
        if status["needs"] == RECIPE:
            return End.recipe
        if status["message"] != self._last:
            self._last, self._since = status["message"], now
        question = asked(status)
        if question is not None:
            end = self._answer(question)
        else:
            stuck = status["needs"] == LIMIT or now - self._since > _PATIENCE_SECONDS
            end = End.nobody if stuck else End.ended
        if end is not End.ended:
            self._command(f"{keys.CONTROL}cancel/{status['job_id']}")
        return end

    def _answer(self, question: Asked) -> End:
        if question.code in self._answered:
            return End.ended
        self._answered.add(question.code)
        end = self._consent(question, self._tried())
        if end is End.ended:
            self._command(question.key)
        return end


def _cents(usd: Decimal) -> str:
    """Rounded up: never less than what may be asked for."""
    return str(usd.quantize(_CENT, ROUND_CEILING))
