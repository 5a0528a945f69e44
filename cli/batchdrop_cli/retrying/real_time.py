"""Finish the rest of a job through the Messages API: what it costs, who says yes, and where the answers go."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from botocore.exceptions import ClientError
from msgspec.structs import replace

from batchdrop.adapters.clock import SystemClock
from batchdrop.domain.call_headers import LONG_OUTPUT
from batchdrop.domain.money import MICRO, Sizes
from batchdrop.formats.api_result import parse_result
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import InvalidLine, shown
from batchdrop.money.amounts import dollars
from batchdrop.money.billing import Biller
from batchdrop.money.estimate import estimate, unpriced
from batchdrop.money.price_file import PriceFault
from batchdrop.money.price_list import PriceList
from batchdrop.money.sizing import Sizer
from batchdrop.reports.manifest import Manifest
from batchdrop_cli.amounts_said import duration, number, said
from batchdrop_cli.calling.account import NO_KEY, Access, access, base_url, is_emulator, unsafe
from batchdrop_cli.calling.keeping import SUCCEEDED, CannotKeep, Stopped, ToAsk
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED, FAILED, INCOMPLETE, STOPPED, USAGE, WAITS
from batchdrop_cli.opening.guarded import guarded
from batchdrop_cli.opening.local_prices import local_prices, real_time
from batchdrop_cli.opening.opened_file import IN_A_BUCKET, NeedsRecipe, OpenedFile
from batchdrop_cli.retrying.kept_answers import End, InUse, KeptAnswers, NotOurs, Run
from batchdrop_cli.retrying.rest_of_job import RECIPE, Rest, asked_before, fetched, folder_of, taken
from batchdrop_cli.retrying.shown_progress import Step, progress
from batchdrop_cli.retrying.whole_table import table_as_it_was
from batchdrop_cli.retrying.written import Written, write
from batchdrop_cli.terminal import on_terminal, out, say
from batchdrop_client.bucket import Bucket, aws_said, is_denied
from batchdrop_client.ended_job import EndedJob, names_in
from batchdrop_client.errors import StackError
from batchdrop_client.plain_text import plain

_ANSWERS = "answers.sqlite"
_SHOWN_ROWS = 10
_AGAIN = "Run the same command again to go on: what has an answer is not asked again."
_NOT_PLACED = (
    "They are not in the bucket: only the stack and its operators may write below outbox/. An operator who has this folder runs "
    "the same command to put them there."
)
_FILES = (
    "Rows name files in a bucket, and the stack alone reads these. Nothing was sent. Ask the stack for them: the same command "
    "without --real-time."
)


class _Toll(NamedTuple):
    """What the rows that are still to be asked take."""

    rows: int
    sizes: Sizes


class RealTime(msgspec.Struct, kw_only=True):
    bucket: Bucket
    job: EndedJob
    out: Path | None
    prices: Path | None
    approve_up_to: Decimal | None
    at_once: int
    may_pay_twice: bool
    as_json: bool

    @property
    def _folder(self) -> Path:
        return self.out or Path(f"retry-{self.job.id}")

    def run(self) -> int:
        """The exit code. Raises CannotUse."""
        state = self._folder / "state"
        try:
            prices = real_time(local_prices(self.prices, SystemClock().now()))
            if not (state / _ANSWERS).exists():
                # Whatever keeps this from being begun leaves no folder behind.
                self._can_begin()
            with KeptAnswers(state / _ANSWERS) as kept:
                return guarded(lambda: self._run(state, kept, prices))
        except InUse:
            return say(f"Another command works with {plain(str(self._folder))}. Wait for it, or stop it.", FAILED)
        except NotOurs:
            return say(f"{plain(str(state))} holds something else. Name another folder with --out.", USAGE)
        except CannotKeep as problem:
            return say(f"{problem} {_AGAIN}", FAILED)
        except PriceFault as fault:
            return say(plain(str(fault)), FAILED)
        except NeedsRecipe:
            return say(f"The rows of {self.job.id} need its recipe, and there is none any more.", FAILED)

    def _can_begin(self) -> None:
        """Raises CannotUse."""
        self._not_asked_before()
        url = base_url()
        if why := unsafe(url):
            raise CannotUse(why, USAGE)
        if access(url, emulated=is_emulator(url)) is None:
            raise CannotUse(NO_KEY, USAGE)

    def _not_asked_before(self) -> None:
        """Raises CannotUse."""
        if before := asked_before(self.bucket, self.job):
            raise CannotUse(
                f"These rows were asked again before, {plain(before)}. Nothing was sent. What has no answer there is asked again "
                "by that id.",
                USAGE,
            )

    def _not_asked_meanwhile(self, run: Run) -> None:
        """Raises CannotUse."""
        if self.may_pay_twice:
            return
        if meanwhile := asked_before(self.bucket, self.job, but=run.id):
            raise CannotUse(
                f"These rows were asked again meanwhile, {plain(meanwhile)}. Nothing more was sent: only --may-pay-twice asks "
                f"about the others all the same. The answers so far are kept in {plain(str(self._folder))}.",
                USAGE,
            )

    def _is_placed(self, run: Run) -> bool:
        """Also if the command was killed before it could note it."""
        return run.finished_at is not None and "manifest.json" in names_in(self.bucket, folder_of(run))

    def _run(self, state: Path, kept: KeptAnswers, prices: PriceList) -> int:
        now = SystemClock().now()
        if kept.run() is None:
            self._not_asked_before()
        run = fetched(self.bucket, self.job, state, kept, now)
        if run.placed or self._is_placed(run):
            return self._over(run)
        rest = taken(state, run, kept, may_pay_twice=self.may_pay_twice)
        if not rest.chosen:
            raise CannotUse(_nothing(run), INCOMPLETE)
        with rest.opened() as found:
            if self._ask(run, rest, found, kept, prices) or run.finished_at is None:
                run = replace(run, finished_at=SystemClock().now())
                kept.keep_run(run)
            was = table_as_it_was(self.bucket, self.job, state)
            written = write(rest, run, kept, found, prices, was, self._folder)
        return self._delivered(run, kept, written)

    # ------------------------------------------------------------ before and while it is asked

    def _ask(self, run: Run, rest: Rest, found: OpenedFile, kept: KeptAnswers, prices: PriceList) -> bool:
        """Returns when every row has been asked: whether any was now. Raises CannotUse, CannotKeep."""
        url = base_url()
        if why := unsafe(url):
            raise CannotUse(why, USAGE)
        emulated = is_emulator(url)
        toll = self._toll(rest, found, kept, prices, run)
        self._introduce(run, rest, found, kept)
        if not toll.rows:
            return False
        called = access(url, emulated=emulated)
        if called is None:
            raise CannotUse(NO_KEY, USAGE)
        self._not_asked_meanwhile(run)
        self._approved(toll, prices, run, emulated=emulated)
        stopped = self._asked(run, rest, found, kept, prices, called)
        self._say_lost(kept, stopped)
        if stopped is not None:
            counts = kept.counts()
            why = f"{plain(stopped.why)} " if stopped.why else "Stopped by you. "
            raise CannotUse(
                f"{why}{counts[End.answered]:,} of {number(rest.chosen, 'row')} have an answer, kept in "
                f"{plain(str(self._folder))}. {_AGAIN}",
                FAILED if stopped.why else STOPPED,
            )
        return True

    def _introduce(self, run: Run, rest: Rest, found: OpenedFile, kept: KeptAnswers) -> None:
        counts = kept.counts()
        again = f", {rest.chosen:,} of which can be asked again" if rest.chosen != run.lines else ""
        say(f"job      {run.of}, {plain(run.file)}", ANSWERED)
        say(f"rows     {run.lines:,} without an answer{again}", ANSWERED)
        if done := counts[End.answered] + counts[End.refused]:
            say(f"so far   {done:,} asked by an earlier run", ANSWERED)
        unknown = kept.lines(End.asked, at_most=_SHOWN_ROWS)
        if unknown and not self.may_pay_twice:
            which = _rows(unknown, counts[End.asked])
            say(f"unknown  sent by an earlier run, may have been paid, not sent without --may-pay-twice: {which}", ANSWERED)
        if run.maybe_paid and not self.may_pay_twice:
            rows = number(run.maybe_paid, "row")
            say(f"unknown  {rows} of the job may have been paid, not sent without --may-pay-twice", ANSWERED)
        if LONG_OUTPUT in found.headers.betas:
            say("Long output is for batches: in real time answers end at 128,000 tokens.", ANSWERED)

    def _toll(self, rest: Rest, found: OpenedFile, kept: KeptAnswers, prices: PriceList, run: Run) -> _Toll:
        sizer = Sizer(prices, run.started_at)
        rows = 0
        named = (isinstance(row, InvalidLine) and row.message == IN_A_BUCKET for _, row in rest.planned(found))
        if found.rows.names_files or any(named):
            raise CannotUse(_FILES, USAGE)
        for row in self._to_ask(rest, found, kept):
            sizer.add(row)
            rows += 1
        return _Toll(rows, sizer.take())

    def _to_ask(self, rest: Rest, found: OpenedFile, kept: KeptAnswers) -> Iterator[Row]:
        for _, row in rest.planned(found):
            if isinstance(row, Row):
                end = kept.end_of(row.line)
                if end is None or (end is End.asked and self.may_pay_twice):
                    yield row

    def _approved(self, toll: _Toll, prices: PriceList, run: Run, *, emulated: bool) -> None:
        """Raises CannotUse unless somebody has said yes to this amount."""
        if emulated:
            say("This is the emulator: nothing is paid.", ANSWERED)
            return
        if models := unpriced([toll.sizes], prices, run.started_at):
            names = ", ".join(map(shown, models))
            raise CannotUse(f"No price is known of {names}. Nothing was sent. Give its prices with --prices.", USAGE)
        cost = estimate(toll.sizes, prices, run.started_at, None)
        amounts = f"{said(cost.low, cost.high)}, {dollars(cost.worst)} at most"
        asks = (
            f"{number(toll.rows, 'row')} in real time, with your key: {amounts}. "
            "That is twice the price of a batch, and no limit of the stack counts it."
        )
        if self.approve_up_to is not None:
            if cost.worst > self.approve_up_to * MICRO:
                raise CannotUse(f"{asks} That is more than you approve. Nothing was sent.", WAITS)
            say(asks, ANSWERED)
            return
        if not on_terminal(sys.stdin, sys.stderr):
            raise CannotUse(f"{asks} Nothing was sent: approve it with --approve-up-to, or run this on a terminal.", WAITS)
        try:
            said_yes = click.confirm(f"{asks} Go on?", default=False, err=True)
        except click.Abort:
            said_yes = False
        if not said_yes:
            raise CannotUse("Nothing was sent.", STOPPED)

    def _asked(
        self, run: Run, rest: Rest, found: OpenedFile, kept: KeptAnswers, prices: PriceList, called: Access
    ) -> Stopped | None:
        # The SDK takes most of a second to load: what is wrong with job, key and price is said before.
        from batchdrop_cli.calling.many_rows import PATIENCE, ManyRows  # noqa: PLC0415
        from batchdrop_cli.calling.realtime import Api, lowered  # noqa: PLC0415

        long_output = LONG_OUTPUT in found.headers.betas
        rows = (
            ToAsk(row.line, lowered(row.params) if long_output else row.params, row.max_tokens)
            for row in self._to_ask(rest, found, kept)
        )
        counts = kept.counts()
        done = counts[End.answered] + counts[End.refused]

        def tell(why: str) -> None:
            again = f"It is tried again for {duration(PATIENCE)}; Ctrl-C stops it."
            say(f"waiting  {plain(why)} {again}", ANSWERED)

        with progress(done, rest.chosen) as step:
            keeping = _Telling(kept, Biller(prices, run.started_at), step)
            return ManyRows(Api(called), found.headers, keeping, self.at_once, tell)(rows)

    @staticmethod
    def _say_lost(kept: KeptAnswers, stopped: Stopped | None) -> None:
        if stopped is not None and stopped.lost:
            say(
                f"The answers to {_rows(list(stopped.lost), len(stopped.lost))} came, are paid, and could not be kept.",
                FAILED,
            )
        if unknown := kept.lines(End.asked, at_most=_SHOWN_ROWS):
            which = _rows(unknown, kept.counts()[End.asked])
            say(f"Sent without an answer, may have been paid: {which}. Only --may-pay-twice sends them again.", INCOMPLETE)

    # ------------------------------------------------------------ the answers

    def _delivered(self, run: Run, kept: KeptAnswers, written: Written) -> int:
        here = plain(str(self._folder))
        folder = folder_of(run)
        say(f"{_sentence(written)} The answers are in {here}.", ANSWERED)
        try:
            with aws_said(self.bucket.name):
                placed = self._uploaded(folder, written)
        except StackError as problem:
            say(f"They are not in the bucket. {problem} {_AGAIN}", FAILED)
            return FAILED
        where = f"s3://{self.bucket.name}/{folder}" if placed else str(self._folder)
        if placed:
            kept.keep_run(replace(run, placed=True))
        else:
            say(_NOT_PLACED, ANSWERED)
        out(msgspec.json.format(written.manifest, indent=-1) if self.as_json else plain(where))
        return ANSWERED if written.counts.succeeded == written.counts.total else INCOMPLETE

    def _over(self, run: Run) -> int:
        """Its answers are in the outbox, and nothing of them changes any more."""
        folder = folder_of(run)
        with aws_said(self.bucket.name):
            manifest = self.bucket.objects.get(f"{folder}manifest.json")
        counts = msgspec.json.decode(manifest, type=Manifest).counts
        say(f"This was done before. What has no answer is asked again by the id {run.id}.", ANSWERED)
        out(msgspec.json.format(manifest, indent=-1) if self.as_json else plain(f"s3://{self.bucket.name}/{folder}"))
        return ANSWERED if counts["succeeded"] == counts["total"] else INCOMPLETE

    def _uploaded(self, folder: str, written: Written) -> bool:
        """False: the caller may not write there."""
        objects = self.bucket.objects
        recipe = self._folder / "state" / RECIPE
        try:
            if recipe.exists():
                # For whoever asks the rest of these: the one in the inbox may be another by then.
                objects.put_file(folder + RECIPE, recipe, content_type="application/yaml")
            for name in written.files:
                kind = "text/csv; charset=utf-8" if name.endswith(".csv") else "application/jsonl"
                objects.put_file(folder + name, self._folder / name, content_type=kind)
            objects.put(f"{folder}status.json", written.status)
            objects.put(f"{folder}manifest.json", written.manifest, once=True)
        except ClientError as error:
            if is_denied(error):
                return False
            raise
        return True


class _Telling:
    """Keeps what became of rows, and tells that there is one more."""

    def __init__(self, kept: KeptAnswers, biller: Biller, step: Step) -> None:
        self.asked = kept.asked
        self.not_asked = kept.not_asked
        self._kept = kept
        self._biller = biller
        self._step = step

    def answered(self, line: int, message: bytes) -> None:
        self._kept.answered(line, message)
        self._step(self._biller.bill(parse_result(SUCCEEDED % message)) or 0)

    def refused(self, line: int, error_type: str, error: str) -> None:
        self._kept.refused(line, error_type, error)
        self._step(0)


def _sentence(written: Written) -> str:
    counts = written.counts
    rest = counts.total - counts.succeeded
    why = Counter({name: getattr(counts, name) for name in ("errored", "expired", "canceled", "invalid", "missing")})
    reasons = ", ".join(f"{many:,} {name}" for name, many in why.items() if many)
    without = f"; {rest:,} still {'has' if rest == 1 else 'have'} none ({reasons}): see failed.jsonl" if rest else ""
    have = "has" if counts.succeeded == 1 else "have"
    return f"{counts.succeeded:,} of {number(counts.total, 'row')} {have} an answer now{without}."


def _nothing(run: Run) -> str:
    if run.maybe_paid:
        rows = number(run.maybe_paid, "row")
        return f"Nothing is sent: {rows} may have been answered and paid for, and are asked again with --may-pay-twice only."
    return f"There is nothing to ask again: {number(run.lines, 'row')} failed for a reason that does not pass. See failed.jsonl."


def _rows(lines: list[int], total: int) -> str:
    more = f" and {total - len(lines):,} more" if total > len(lines) else ""
    return f"{'row' if total == 1 else 'rows'} {', '.join(map(str, lines[:_SHOWN_ROWS]))}{more}"
