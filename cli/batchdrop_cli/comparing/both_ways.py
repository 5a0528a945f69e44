"""Ask some rows one by one, then the same rows as one batch, and keep what came of it. Whatever ends it says what was paid."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from batchdrop.adapters.claude import AnthropicClaude
from batchdrop.adapters.clock import SystemClock
from batchdrop.domain import ids
from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Ambiguous, ApiError, Refused
from batchdrop.formats.input_line import Row
from batchdrop.money.price_list import PriceList
from batchdrop_cli.amounts_said import number
from batchdrop_cli.calling.account import Access
from batchdrop_cli.calling.realtime import Api, CannotAsk, Reply
from batchdrop_cli.comparing.answers_counted import AnswersCounted
from batchdrop_cli.comparing.comparison import Comparison, KeptFile, Progress
from batchdrop_cli.comparing.ends import Ends
from batchdrop_cli.comparing.sent_batch import SentBatch, TooLate
from batchdrop_cli.comparing.shown_comparison import amount
from batchdrop_cli.exit_codes import FAILED, STOPPED, TIMED_OUT
from batchdrop_cli.opening.local_prices import real_time
from batchdrop_cli.terminal import say, waiting
from batchdrop_client.plain_text import plain

_CANCELED_WITHIN = 120.0
"""Seconds that an interrupted command waits for the end of its batch, to say what was paid."""
_RESULTS_WITHIN = 120.0


class BothWays(msgspec.Struct, frozen=True, kw_only=True):
    kept: KeptFile
    prices: PriceList
    access: Access
    within: float
    """Seconds to wait for the batch."""
    again: str
    """The command that goes on waiting."""

    def asked(self, begun: Comparison, rows: Sequence[Row], headers: CallHeaders) -> Comparison:
        """With the figures of both ways. Raises Ends."""
        first = self._one_by_one(begun, rows, headers)
        began = time.monotonic()
        sent = self._sent(first, rows, headers)
        return self._waited(sent, lambda _: time.monotonic() - began)

    def resumed(self, sent: Comparison) -> Comparison:
        """The same, of a batch that an earlier run has sent: it took as long as the API says. Raises Ends."""
        return self._waited(sent, lambda took: took)

    # ------------------------------------------------------------ one by one

    def _one_by_one(self, begun: Comparison, rows: Sequence[Row], headers: CallHeaders) -> Comparison:
        counted = AnswersCounted(real_time(self.prices), begun.started_at)
        began = time.monotonic()

        def so_far() -> Comparison:
            return replace(begun, one_by_one=counted.way(begun.rows, time.monotonic() - began))

        with waiting("one by one", begun.rows) as step:

            def done(reply: Reply) -> None:
                if reply.message is None:
                    counted.error(reply.error_type)
                else:
                    counted.message(reply.message)
                step()

            try:
                Api(self.access).ask([row.params for row in rows], headers, done, at_once=1)
            except CannotAsk as problem:
                self.kept.remove()
                raise Ends(f"{problem} No batch was sent. {_paid(so_far())}", FAILED) from None
            except KeyboardInterrupt:
                self.kept.remove()
                raise Ends(
                    f"Stopped by you. No batch was sent. {_paid(so_far())} The row that was being asked about may come on top.",
                    STOPPED,
                ) from None
            return so_far()

    # ------------------------------------------------------------ as a batch

    def _sent(self, first: Comparison, rows: Sequence[Row], headers: CallHeaders) -> Comparison:
        prefix = ids.new_prefix()
        try:
            batch = self._batches.send(rows, prefix, headers)
        except Refused as no:
            self.kept.remove()
            raise Ends(f"The API did not accept the batch: {no} {_paid(first)}", FAILED) from None
        except (Ambiguous, KeyboardInterrupt):
            self._keep(replace(first, progress=Progress.unknown))
            raise Ends(
                "No answer came when the batch was sent: it may be with the API, and is paid then. Look in the Console for a "
                f"batch of {number(first.rows, 'request')} of about {datetime.now(UTC):%H:%M} UTC. {_paid(first)}",
                FAILED,
            ) from None
        sent = replace(first, progress=Progress.sent, batch_id=batch.id, prefix=prefix)
        self._keep(sent)
        return sent

    def _waited(self, sent: Comparison, seconds: Callable[[float], float]) -> Comparison:
        """`seconds`: how long the batch took, given how long it did by the API's own times."""
        try:
            with waiting(f"batch {sent.batch_id} of {number(sent.rows, 'row')}"):
                done = replace(self._ended(sent, self.within, seconds), progress=Progress.done)
        except KeyboardInterrupt:
            raise self._canceled(sent) from None
        self._keep(done)
        return done

    def _ended(self, sent: Comparison, within: float, seconds: Callable[[float], float]) -> Comparison:
        """With the figures of the batch. Raises Ends."""
        try:
            batch = self._batches.wait(sent.batch_id, within)
            took = (batch.ended_at - batch.created_at).total_seconds() if batch.ended_at else 0.0
            wall = seconds(took)
            found = self._batches.collect(
                sent.batch_id, sent.prefix, lambda: AnswersCounted(self.prices, batch.created_at), _RESULTS_WITHIN
            )
        except TooLate:
            raise Ends(
                f"The results of {sent.batch_id} are not there yet. The batch goes on, and what it answers is paid. Fetch them "
                f"with: {self.again}",
                TIMED_OUT,
            ) from None
        except Refused as no:
            raise Ends(f"The API does not tell about {sent.batch_id}: {no} When it does: {self.again}", FAILED) from None
        return replace(sent, batch=found.way(sent.rows, wall))

    def _canceled(self, sent: Comparison) -> Ends:
        try:
            self._batches.cancel(sent.batch_id)
            with waiting(f"canceling {sent.batch_id}"):
                done = replace(self._ended(sent, _CANCELED_WITHIN, lambda took: took), progress=Progress.canceled)
        except (ApiError, Ends, KeyboardInterrupt):
            return Ends(
                f"Stopped by you. Whether {sent.batch_id} is canceled is not known yet, and what it answers is paid. "
                f"{_paid(sent)} Look with: {self.again}",
                STOPPED,
            )
        self._keep(done)
        answered = done.batch.answered if done.batch else 0
        return Ends(
            f"Stopped by you: {sent.batch_id} is canceled; {answered} of its {number(sent.rows, 'row')} had an answer by then. "
            f"{_paid(done)}",
            STOPPED,
        )

    @property
    def _batches(self) -> SentBatch:
        key, url, workspace = self.access.key, self.access.url, self.access.workspace
        return SentBatch(AnthropicClaude(key, url, SystemClock(), workspace=workspace))

    def _keep(self, comparison: Comparison) -> None:
        try:
            self.kept.replace(comparison)
        except OSError as error:
            batch = f" The batch is {comparison.batch_id}." if comparison.batch_id else ""
            say(f"{plain(str(self.kept.path))} could not be written: {error.strerror or error}.{batch}", FAILED)


def _paid(found: Comparison) -> str:
    if found.emulated:
        return "It was the emulator: nothing was paid."
    ways = [way for way in (found.one_by_one, found.batch) if way is not None]
    without = sum(sum(way.unpriced.values()) for way in ways)
    more = f", and {number(without, 'answer')} of unknown price" if without else ""
    return f"Paid so far: {amount(found.paid)}{more}."
