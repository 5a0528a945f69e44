"""What comes before and after rows are asked both ways: which rows, what it costs at most, who says yes; and what is shown."""

from __future__ import annotations

import shlex
import shutil
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec

from batchdrop.adapters.clock import SystemClock
from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.keys import RECIPES
from batchdrop.domain.money import MICRO
from batchdrop.formats.input_line import Row
from batchdrop.formats.invalid_line import shown
from batchdrop.money.amounts import dollars
from batchdrop.money.price_file import PriceFault
from batchdrop.money.price_list import PriceList
from batchdrop.reports import sentences
from batchdrop_cli.amounts_said import number
from batchdrop_cli.calling.account import NO_KEY, Access, access, base_url, is_emulator, unsafe
from batchdrop_cli.comparing.comparison import Comparison, KeptFile, Progress, encode
from batchdrop_cli.comparing.ends import Ends
from batchdrop_cli.comparing.most_it_costs import NoPrice, most_it_costs
from batchdrop_cli.comparing.shown_comparison import described
from batchdrop_cli.exit_codes import ANSWERED, FAILED, INCOMPLETE, STOPPED, USAGE, WAITS
from batchdrop_cli.opening.guarded import RECIPE_NAMED, guarded, without_recipe
from batchdrop_cli.opening.local_prices import local_prices
from batchdrop_cli.opening.local_recipe import recipe_for
from batchdrop_cli.opening.opened_file import NeedsRecipe, OpenedFile, opened
from batchdrop_cli.opening.spread import spread
from batchdrop_cli.terminal import on_terminal, out, say, waiting
from batchdrop_client.plain_text import plain

if TYPE_CHECKING:
    from batchdrop_cli.comparing.both_ways import BothWays

_PIPED_COLUMNS = 100
_MOST_COLUMNS = 116


class Picked(NamedTuple):
    rows: list[Row]
    left_out: int
    of_rows: int
    headers: CallHeaders


class CompareSession(msgspec.Struct, kw_only=True):
    file: Path
    rows: int
    recipe: Path | None
    prices: Path | None
    out: Path | None
    approve_up_to: Decimal | None
    minutes: float
    go_on: bool
    as_json: bool

    def run(self) -> int:
        """The exit code."""
        if self.file.name in RECIPES:
            return say(RECIPE_NAMED.format(plain(self.file.name)), USAGE)
        return guarded(self._guarded)

    def _guarded(self) -> int:
        try:
            return self._resumed() if self.go_on else self._compared()
        except NeedsRecipe as needs:
            return say(without_recipe(self.file.name, needs, "look at a few rows with `batchdrop try`"), USAGE)
        except PriceFault as fault:
            return say(plain(str(fault)), FAILED)
        except Ends as reason:
            return say(plain(str(reason)), reason.code)

    @property
    def _kept(self) -> KeptFile:
        return KeptFile(self.out or Path(f"compare-{self.file.name}.json"))

    # ------------------------------------------------------------ before anything is sent

    def _compared(self) -> int:
        now = SystemClock().now()
        prices = local_prices(self.prices, now)
        self._check_free()
        with opened(self.file, self.recipe or recipe_for(self.file, Path.home())) as found:
            picked = self._pick(found)
        url = base_url()
        if why := unsafe(url):
            raise Ends(why, USAGE)
        emulated = is_emulator(url)
        called = access(url, emulated=emulated)
        if called is None:
            raise Ends(NO_KEY, USAGE)
        at_most = self._at_most(picked, prices, now, emulated=emulated)
        if not emulated:
            self._approved(picked, at_most or 0)
        begun = Comparison(
            file=self.file.name,
            rows=len(picked.rows),
            of_rows=picked.of_rows,
            left_out=picked.left_out,
            lines=tuple(row.line for row in picked.rows),
            models=tuple(dict.fromkeys(row.model for row in picked.rows)),
            emulated=emulated,
            at_most_usd=None if at_most is None else Decimal(at_most) / MICRO,
            prices=prices.version,
            started_at=now,
        )
        self._kept.begin(begun)
        return self._told(self._both_ways(prices, called).asked(begun, picked.rows, picked.headers))

    def _check_free(self) -> None:
        path = self._kept.path
        if path.exists() or path.is_symlink():
            raise Ends(
                f"{path} is there already, and is not overwritten. Name another file with --out, remove it, or fetch what was "
                "left of it with --go-on.",
                USAGE,
            )

    def _pick(self, found: OpenedFile) -> Picked:
        with waiting("counting the rows"):
            total = found.rows.count()
        if not total:
            raise Ends(sentences.no_rows(0), FAILED)
        places = frozenset(spread(total, self.rows))
        planned = [row for place, (_, row) in enumerate(found.rows.planned()) if place in places]
        rows = [row for row in planned if isinstance(row, Row)]
        if not rows:
            raise Ends(f"None of {number(len(planned), 'row')} can be sent. `batchdrop estimate` says why.", FAILED)
        return Picked(rows, len(planned) - len(rows), total, found.headers)

    @staticmethod
    def _at_most(picked: Picked, prices: PriceList, now: datetime, *, emulated: bool) -> int | None:
        try:
            return most_it_costs(picked.rows, prices, now)
        except NoPrice as missing:
            if emulated:
                return None
            models = ", ".join(map(shown, missing.models))
            raise Ends(
                f"No price is known of {models}, so nobody can say what this costs at most. Nothing was sent. Give its prices "
                "with --prices.",
                USAGE,
            ) from None

    def _approved(self, picked: Picked, at_most: int) -> None:
        """Raises Ends unless somebody has said yes to this amount."""
        sends = f"This sends {number(len(picked.rows), 'row')} twice, and costs {dollars(at_most)} at most."
        if self.approve_up_to is not None:
            if at_most > self.approve_up_to * MICRO:
                raise Ends(f"{sends} That is more than you approve. Nothing was sent: take fewer --rows.", WAITS)
            say(sends, ANSWERED)
            return
        if not on_terminal(sys.stdin, sys.stderr):
            raise Ends(f"{sends} Nothing was sent: approve it with --approve-up-to, or run this on a terminal.", WAITS)
        try:
            said_yes = click.confirm(f"{sends} Go on?", default=False, err=True)
        except click.Abort:
            said_yes = False
        if not said_yes:
            raise Ends("Nothing was sent.", STOPPED)

    # ------------------------------------------------------------ an earlier run

    def _resumed(self) -> int:
        path = self._kept.path
        try:
            sent = self._kept.read()
        except FileNotFoundError:
            raise Ends(f"There is no {path} to go on with. Run this without --go-on.", USAGE) from None
        except ValueError:
            raise Ends(f"{path} is no file of a comparison. Name the right one with --out.", USAGE) from None
        if sent.progress is not Progress.sent:
            raise Ends(f"There is nothing to fetch for {path}: it says {sent.progress}.", USAGE)
        url = base_url()
        if why := unsafe(url):
            raise Ends(why, USAGE)
        called = access(url, emulated=is_emulator(url))
        if called is None:
            raise Ends(NO_KEY, USAGE)
        prices = local_prices(self.prices, SystemClock().now())
        return self._told(self._both_ways(prices, called).resumed(sent))

    # ------------------------------------------------------------ what came of it

    def _both_ways(self, prices: PriceList, called: Access) -> BothWays:
        # The SDK takes most of a second to load: what is wrong with file, recipe and key is said before.
        from batchdrop_cli.comparing.both_ways import BothWays  # noqa: PLC0415

        return BothWays(kept=self._kept, prices=prices, access=called, within=self.minutes * 60, again=self._again())

    def _told(self, done: Comparison) -> int:
        out(encode(done).rstrip() if self.as_json else described(done, _width()))
        say(f"Written to {plain(str(self._kept.path))}.", ANSWERED)
        first, second = done.one_by_one, done.batch
        complete = first is not None and second is not None and not (first.failed or second.failed or done.left_out)
        return ANSWERED if complete else INCOMPLETE

    def _again(self) -> str:
        """The command that goes on."""
        named = f" --out {_quoted(self.out)}" if self.out else ""
        return f"batchdrop compare {_quoted(self.file)}{named} --go-on"


def _quoted(path: Path) -> str:
    return shlex.quote(plain(str(path)))


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _MOST_COLUMNS) if on_terminal(sys.stdout) else _PIPED_COLUMNS
