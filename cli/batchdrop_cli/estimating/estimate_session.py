"""Open the file, read its rows, and tell what they will cost."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import msgspec

from batchdrop.adapters.clock import SystemClock
from batchdrop.domain.keys import RECIPES
from batchdrop.domain.money import Learned
from batchdrop.formats.input_line import Row
from batchdrop.money.price_file import PriceFault
from batchdrop.money.price_list import PriceList
from batchdrop.reports import sentences
from batchdrop_cli.estimating.estimate_json import as_json
from batchdrop_cli.estimating.estimated import estimated
from batchdrop_cli.estimating.known import Known, known_by
from batchdrop_cli.estimating.planned_file import PlannedFile, planned_file
from batchdrop_cli.estimating.shown_estimate import described
from batchdrop_cli.exit_codes import ANSWERED, FAILED, INCOMPLETE, USAGE
from batchdrop_cli.opening.guarded import RECIPE_NAMED, guarded, without_recipe
from batchdrop_cli.opening.local_prices import local_prices
from batchdrop_cli.opening.local_recipe import recipe_for
from batchdrop_cli.opening.opened_file import NeedsRecipe, OpenedFile, opened
from batchdrop_cli.opening.spread import spread
from batchdrop_cli.terminal import on_terminal, out, say, waiting
from batchdrop_client.plain_text import plain

_PIPED_COLUMNS = 100
_MOST_COLUMNS = 116


class NotCounted(Exception):
    """The message says why, and `code` how the command ends."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class EstimateSession(msgspec.Struct, kw_only=True):
    file: Path
    recipe: Path | None
    prices: Path | None
    prompt_tokens: int | None
    answer_tokens: int | None
    count: bool
    as_json: bool

    def run(self) -> int:
        """The exit code."""
        if self.file.name in RECIPES:
            return say(RECIPE_NAMED.format(plain(self.file.name)), USAGE)
        return guarded(self._estimate)

    def _estimate(self) -> int:
        now = SystemClock().now()
        try:
            prices = local_prices(self.prices, now)
            with opened(self.file, self.recipe or recipe_for(self.file, Path.home())) as found:
                return self._tell(found, prices, now)
        except NeedsRecipe as needs:
            return say(without_recipe(self.file.name, needs, "look at a few rows with `batchdrop try`"), USAGE)
        except PriceFault as fault:
            return say(plain(str(fault)), FAILED)
        except NotCounted as reason:
            return say(plain(str(reason)), reason.code)

    def _tell(self, found: OpenedFile, prices: PriceList, now: datetime) -> int:
        with waiting("reading the rows"):
            planned = planned_file(found.rows.planned(), prices, now)
        if not planned.rows:
            return say(sentences.no_rows(0), FAILED)
        learned = self._learned(found, planned, prices, now) if self.count and planned.requests else None
        told = estimated(self.file.name, planned, prices, now, self._known(planned, learned))
        if found.warnings:
            say(plain(found.warnings), ANSWERED)
        out(as_json(told) if self.as_json else described(told, _width()))
        if not told.requests:
            return FAILED
        return INCOMPLETE if told.invalid or told.unpriced else ANSWERED

    def _known(self, planned: PlannedFile, learned: Learned | None) -> Known:
        prompts = None
        if self.prompt_tokens is not None and planned.requests:
            guessed = sum(size.input_tokens for size in planned.sizes.values())
            prompts = Fraction(self.prompt_tokens * planned.requests, guessed)
        return known_by(learned, prompts=prompts, prompt=self.prompt_tokens, answer=self.answer_tokens)

    def _learned(self, found: OpenedFile, planned: PlannedFile, prices: PriceList, now: datetime) -> Learned:
        """By rows that are sent to be counted. Raises NotCounted."""
        # The SDK takes most of a second to load: what is wrong with file and recipe is said before.
        from batchdrop_cli.calling.account import NO_KEY, access, base_url, is_emulator  # noqa: PLC0415
        from batchdrop_cli.calling.realtime import Api, CannotAsk  # noqa: PLC0415
        from batchdrop_cli.estimating.token_sample import MOST_ROWS, learned_by_counting  # noqa: PLC0415

        url = base_url()
        called = access(url, emulated=is_emulator(url))
        if called is None:
            raise NotCounted(f"{NO_KEY} Without --count the estimate needs none.", USAGE)
        places = frozenset(spread(planned.rows, MOST_ROWS))
        rows = [row for place, (_, row) in enumerate(found.rows.planned()) if place in places and isinstance(row, Row)]
        api = Api(called)
        with waiting(f"counting {len(rows)}", len(rows)) as done:
            try:
                learned = learned_by_counting(rows, api, found.headers, prices, now, done)
            except CannotAsk as problem:
                raise NotCounted(f"{problem} Without --count the estimate needs no API.", FAILED) from None
        if learned is None:
            raise NotCounted("The API counted none of the rows that were sent to it. Look at one with `batchdrop try`.", FAILED)
        say(f"{learned.rows} of {planned.rows:,} rows were sent to the API to be counted, free of charge.", ANSWERED)
        return learned


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _MOST_COLUMNS) if on_terminal(sys.stdout) else _PIPED_COLUMNS
