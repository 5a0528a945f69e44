"""Ask about many rows at the same time, each once: what may have been paid is not sent again, and all is kept as it comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from http import HTTPStatus

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Refused
from batchdrop.domain.refusals import cause_of, may_be_of_a_row
from batchdrop.formats.api_result import parse_result
from batchdrop_cli.calling.keeping import SUCCEEDED, CannotKeep, Keeping, Stopped, ToAsk
from batchdrop_cli.calling.pace import Pace
from batchdrop_cli.calling.realtime import Answer, Api, CannotAsk, NoAnswer, NotSent, Send, refused_row

PATIENCE = 600.0
"""Seconds for which everything may be refused for now, or the API not be reached, before the command ends."""
MOST_LOST_IN_A_ROW = 5
"""Rows without an answer, with none between them that has one: more are not risked."""
MOST_ALIKE_IN_A_ROW = 10
"""Rows that are refused in the same words, and none accepted: it is not about them, then."""
# The SDK counts an hour for the longest answer of 128,000 tokens (2.12.0, `_calculate_nonstreaming_timeout`).
_LEAST_SECONDS, _SECONDS_A_TOKEN = 600.0, 3_600 / 128_000
# With a well-formed error of the API: it was not begun, and may be asked again (Anthropic, "Errors").
_FOR_NOW = frozenset({429, 529})
_OF_A_ROW = frozenset({400, 403, 404, 413, 422})
_DEFINITE = _FOR_NOW | _OF_A_ROW | {401, 402}
_INTERRUPTED = (signal.SIGINT, signal.SIGTERM)


class ManyRows:
    """Asks about rows. The first interrupt lets what is under way come to its end; the second one does not."""

    def __init__(
        self, api: Api, headers: CallHeaders, keeping: Keeping, at_once: int, tell: Callable[[str], object] = lambda _: None
    ) -> None:
        """`tell`: why nothing is accepted for now, once until something is."""
        self._api = api
        self._headers = headers
        self._keeping = keeping
        self._at_once = at_once
        self._tell = tell
        self._why: str | None = None
        self._lost: list[int] = []
        self._silent = 0
        self._alike: dict[str, list[int]] = {}
        """Rows that were refused, by the API's words, as long as none was accepted."""
        self._refused_since: float | None = None
        self._accepted = False
        self._tasks: list[asyncio.Task[None]] = []

    def __call__(self, rows: Iterator[ToAsk]) -> Stopped | None:
        """None if every row was asked."""
        asyncio.run(self._all(rows))
        return None if self._why is None else Stopped(self._why, tuple(self._lost))

    async def _all(self, rows: Iterator[ToAsk]) -> None:
        self._pace = Pace(self._at_once)
        loop = asyncio.get_running_loop()
        for number in _INTERRUPTED:
            loop.add_signal_handler(number, self._interrupted)
        try:
            async with self._api.sending(self._headers) as send:
                self._tasks = [asyncio.create_task(self._worker(send, rows)) for _ in range(self._at_once)]
                ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        except CannotAsk as problem:
            self._stop(str(problem))
            return
        finally:
            for number in _INTERRUPTED:
                loop.remove_signal_handler(number)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _interrupted(self) -> None:
        if self._why is not None:
            for task in self._tasks:
                task.cancel()
        self._stop("")

    def _stop(self, why: str) -> None:
        if self._why is None:
            self._why = why
        self._pace.stop()

    # ------------------------------------------------------------ one row

    async def _worker(self, send: Send, rows: Iterator[ToAsk]) -> None:
        try:
            while self._why is None and (row := next(rows, None)) is not None:
                while await self._tried(send, row):
                    pass
        except CannotKeep as problem:
            self._stop(str(problem))
        except BaseException:
            # The rows cannot be read, say: nobody else goes on.
            self._stop("")
            raise

    async def _tried(self, send: Send, row: ToAsk) -> bool:
        """Whether it has to be tried again."""
        began = await self._pace.turn()
        if began is None:
            return False
        try:
            self._keeping.asked(row.line)
            answer = await send(row.params, max(_LEAST_SECONDS, row.max_tokens * _SECONDS_A_TOKEN))
        except NotSent as problem:
            self._keeping.not_asked(row.line)
            return self._later(began, 0.0, str(problem))
        except NoAnswer as problem:
            self._without_answer(str(problem))
            return False
        except CannotAsk as problem:
            self._keeping.not_asked(row.line)
            self._pace.over()
            self._stop(str(problem))
            return False
        except BaseException:
            self._pace.over()
            raise
        return self._answered(row, answer, began)

    def _answered(self, row: ToAsk, answer: Answer, began: float) -> bool:
        if answer.status == HTTPStatus.OK and _is_message(answer.body):
            self._keep(row.line, answer.body)
            return False
        if not answer.error_type or answer.status not in _DEFINITE:
            self._without_answer(self._api.refused(answer))
            return False
        cause = cause_of(Refused(answer.error, status=answer.status, kind=answer.error_type, code=answer.code))
        of_all = cause is not None and not may_be_of_a_row(cause)
        if of_all or answer.status not in _FOR_NOW | _OF_A_ROW:
            self._keeping.not_asked(row.line)
            self._pace.over()
            self._stop(self._api.refused(answer))
            return False
        if answer.status in _FOR_NOW:
            self._keeping.not_asked(row.line)
            return self._later(began, answer.retry_after, self._api.refused(answer))
        self._refused(row, answer)
        return False

    def _keep(self, line: int, message: bytes) -> None:
        self._silent, self._refused_since, self._accepted = 0, None, True
        self._pace.went_well()
        try:
            self._keeping.answered(line, message)
        except CannotKeep:
            self._lost.append(line)
            raise

    def _refused(self, row: ToAsk, answer: Answer) -> None:
        self._pace.went_well()
        self._refused_since = None
        self._keeping.refused(row.line, answer.error_type, refused_row(answer))
        if self._accepted:
            return
        alike = self._alike.setdefault(answer.error, [])
        alike.append(row.line)
        if len(alike) == MOST_ALIKE_IN_A_ROW:
            for line in alike:
                self._keeping.not_asked(line)
            self._stop(
                f"{len(alike)} rows were refused in the same words and none was accepted, so it is hardly about the rows. "
                f"Nothing was paid. The API says: {answer.error}"
            )

    def _later(self, began: float, retry_after: float, why: str) -> bool:
        now = asyncio.get_running_loop().time()
        self._pace.slow_down(began, retry_after)
        if self._refused_since is None:
            self._refused_since = began
            self._tell(why)
        if max(now - self._refused_since, retry_after) > PATIENCE:
            self._stop(why)
        return self._why is None

    def _without_answer(self, why: str) -> None:
        """It stays as one that was asked: whether it was answered nobody knows."""
        self._pace.over()
        self._silent += 1
        if self._silent >= MOST_LOST_IN_A_ROW:
            self._stop(f"{self._silent} rows in a row were sent and brought no answer, so no more are risked. {why}")


def _is_message(body: bytes) -> bool:
    """An edge in between may say anything with a status of 200."""
    try:
        parse_result(SUCCEEDED % body)
    except ValueError:
        return False
    return body.lstrip().startswith(b"{")
