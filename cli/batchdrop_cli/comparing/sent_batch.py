"""Send some requests as one batch, wait for it within a bound, and count its results; or cancel it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from batchdrop.domain import ids
from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Incomplete, NotFound, Unavailable
from batchdrop.formats.api_result import parse_result, result_lines
from batchdrop.formats.batch_body import BodyWriter
from batchdrop.formats.input_line import Row
from batchdrop.formats.lines import Line
from batchdrop.jobs.scratch import scratch
from batchdrop.ports import ApiBatch, Claude
from batchdrop_cli.comparing.answers_counted import AnswersCounted

_ENDED = "ended"
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 15.0
_SLOWER = 1.3
# A read that failed may succeed a moment later: results of a batch that has just ended were seen to be 404 for a while.
_PASSING = (Unavailable, NotFound, Incomplete)


class TooLate(Exception):
    """The time to wait is over, and the batch goes on."""


class SentBatch:
    """`sleep` and `clock` (seconds that only go forward) are the machine's, unless a test has its own."""

    def __init__(
        self,
        claude: Claude,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claude = claude
        self._sleep = sleep
        self._clock = clock

    def send(self, rows: Sequence[Row], prefix: str, headers: CallHeaders) -> ApiBatch:
        """Raises Refused: nothing was accepted; Ambiguous: it may have been."""
        with scratch() as folder:
            path = folder / "body.json"
            with path.open("wb") as file:
                body = BodyWriter(file, prefix, middle=0)
                for row in rows:
                    body.add(Line(row.line, 0, 0, b"", cut=False), msgspec.Raw(row.params))
                body.close()
            return self._claude.create(path, headers)

    def wait(self, batch_id: str, seconds: float) -> ApiBatch:
        """The batch when it has ended. Raises TooLate; Refused if the key is not accepted any more."""
        return self._repeated(lambda: self._ended(batch_id), seconds)

    def collect(self, batch_id: str, prefix: str, counted: Callable[[], AnswersCounted], seconds: float) -> AnswersCounted:
        """Its results, once each. `counted`: makes what they are counted in, anew when a stream broke off.

        Raises TooLate; Refused.
        """
        return self._repeated(lambda: self._results(batch_id, prefix, counted()), seconds)

    def cancel(self, batch_id: str) -> None:
        """Raises Refused, Unavailable, NotFound."""
        self._claude.cancel(batch_id)

    def _ended(self, batch_id: str) -> ApiBatch | None:
        batch = self._claude.retrieve(batch_id)
        return batch if batch.status == _ENDED else None

    def _results(self, batch_id: str, prefix: str, counted: AnswersCounted) -> AnswersCounted:
        seen: set[str] = set()
        with self._claude.results(batch_id) as chunks:
            for line in result_lines(chunks):
                try:
                    found = parse_result(line)
                except ValueError:
                    continue
                custom_id = ids.parse_custom_id(found.custom_id)
                if custom_id is not None and custom_id.prefix == prefix and found.custom_id not in seen:
                    seen.add(found.custom_id)
                    counted.result(found)
        return counted

    def _repeated[T](self, attempt: Callable[[], T | None], seconds: float) -> T:
        until = self._clock() + seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                if (found := attempt()) is not None:
                    return found
            except _PASSING:
                pass
            left = until - self._clock()
            if left <= 0:
                raise TooLate
            self._sleep(min(pause, left))
            pause = min(pause * _SLOWER, _LONGEST_PAUSE)
