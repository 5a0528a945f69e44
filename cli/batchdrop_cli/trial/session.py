"""The loop of somebody who writes a prompt: ask about a few rows, look, change the recipe, ask again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import msgspec

from batchdrop.domain.call_headers import LONG_OUTPUT
from batchdrop.domain.keys import RECIPES
from batchdrop.domain.records import RowStatus
from batchdrop.formats.invalid_line import shown
from batchdrop.reports import sentences
from batchdrop_cli.calling.account import NO_KEY, access, base_url, has_key, is_emulator
from batchdrop_cli.exit_codes import ANSWERED, FAILED, INCOMPLETE, USAGE
from batchdrop_cli.opening.guarded import RECIPE_NAMED, guarded, without_recipe
from batchdrop_cli.opening.local_recipe import recipe_for
from batchdrop_cli.opening.opened_file import Asked, NeedsRecipe, OpenedFile, opened
from batchdrop_cli.opening.spread import spread
from batchdrop_cli.terminal import on_terminal, out, say, waiting
from batchdrop_cli.trial.shown_rows import as_json, described, request_as_json, request_described
from batchdrop_client.plain_text import plain

_NO_KEY = f"{NO_KEY} Or look at the requests with --dry-run."
_NEXT = "[Enter] {rows} more   [e] edit {recipe}   [q] quit"


class Session(msgspec.Struct, kw_only=True):
    file: Path
    recipe: Path | None
    rows: int
    dry_run: bool
    as_json: bool
    taken: set[int] = msgspec.field(default_factory=set)
    """Places of the rows that were tried with the recipe as it is."""

    def run(self) -> int:
        """The exit code."""
        if self.file.name in RECIPES:
            return say(RECIPE_NAMED.format(plain(self.file.name)), USAGE)
        if not self.dry_run and not has_key() and not is_emulator(base_url()):
            return say(_NO_KEY, USAGE)
        self.recipe = self.recipe or recipe_for(self.file, Path.home())
        code = guarded(self._round)
        while code != USAGE and self._goes_on():
            match self._command():
                case "q":
                    break
                case "e":
                    click.edit(filename=str(self.recipe))
                    self.taken = set()  # the same rows again: what has the change changed?
                    code = guarded(self._round)
                case _:
                    code = guarded(self._round)
        return code

    def _round(self) -> int:
        """Asks about some rows. Raises what `opened` raises."""
        try:
            with opened(self.file, self.recipe) as found:
                return self._tried(found)
        except NeedsRecipe as needs:
            return self._without_recipe(needs)

    def _without_recipe(self, needs: NeedsRecipe) -> int:
        from batchdrop_cli.trial.prompting import ask_for_recipe  # noqa: PLC0415 - YAML and templates, for few

        if not on_terminal(sys.stdin, sys.stdout, sys.stderr):
            otherwise = "run this on a terminal, where it asks for the prompt"
            return say(without_recipe(self.file.name, needs, otherwise), USAGE)
        self.recipe = ask_for_recipe(self.file, needs.look)
        return self._round()

    def _tried(self, found: OpenedFile) -> int:
        with waiting("counting the rows"):
            total = found.rows.count()
        places = spread(total, self.rows, self.taken)
        if not total:
            return say(sentences.no_rows(0), FAILED)
        if not places:
            return say("Every row of the file was tried.", ANSWERED)
        if not self.taken:
            self._introduce(found, total)
        self.taken.update(places)
        picked = list(found.rows.picked(frozenset(places)))
        return self._show_requests(picked) if self.dry_run else self._answer(found, picked)

    def _introduce(self, found: OpenedFile, total: int) -> None:
        what = "row" if total == 1 else "rows"
        if found.rows.columns:
            click.echo(f"columns  {shown(plain(', '.join(found.rows.columns)))}", err=True)
        if found.answer is not None and self.recipe is not None:
            click.echo(f"recipe   {plain(_near(self.recipe))}", err=True)
        click.echo(f"file     {total:,} {what}", err=True)
        if found.warnings:
            click.echo(plain(found.warnings), err=True)
        if LONG_OUTPUT in found.headers.betas:
            click.echo("Long output is for batches: in real time answers end at 128,000 tokens.", err=True)

    def _show_requests(self, picked: list[Asked]) -> int:
        for asked in picked:
            out(request_as_json(asked) if self.as_json else request_described(asked))
        return INCOMPLETE if any(asked.invalid for asked in picked) else ANSWERED

    def _answer(self, found: OpenedFile, picked: list[Asked]) -> int:
        # The SDK takes most of a second to load: what is wrong with file and recipe is said before.
        from batchdrop_cli.calling.realtime import Api, CannotAsk  # noqa: PLC0415
        from batchdrop_cli.trial.outcome import Judge, never_sent  # noqa: PLC0415

        called = access(base_url(), emulated=is_emulator(base_url()))
        if called is None:
            return say(_NO_KEY, USAGE)
        api = Api(called)
        asked = [row for row in picked if row.invalid is None]
        began = time.monotonic()
        with waiting(f"asking about {len(asked)}", len(asked)) as done:
            try:
                replies = iter(api.ask([row.params for row in asked], found.headers, lambda _: done()))
            except CannotAsk as problem:
                return say(plain(str(problem)), FAILED)
        seconds = time.monotonic() - began
        judge = Judge(found.answer)
        outcomes = [never_sent(row) if row.invalid else judge.outcome(row, next(replies)) for row in picked]
        width = len(str(picked[-1].line))
        for outcome in outcomes:
            out(as_json(outcome) if self.as_json else described(outcome, width))
        read, written = (sum(getattr(one, name) for one in outcomes) for name in ("input_tokens", "output_tokens"))
        rows = f"{len(outcomes)} {'row' if len(outcomes) == 1 else 'rows'}"
        click.echo(f"{rows}, {seconds:.0f} s, {read:,} tokens in, {written:,} out, in real time.", err=True)
        return ANSWERED if all(one.status is RowStatus.succeeded for one in outcomes) else INCOMPLETE

    # ------------------------------------------------------------ the terminal

    def _goes_on(self) -> bool:
        return not self.dry_run and not self.as_json and on_terminal(sys.stdin, sys.stdout, sys.stderr)

    def _command(self) -> str:
        menu = _NEXT.format(rows=self.rows, recipe=plain(self.recipe.name) if self.recipe else "")
        if self.recipe is None:
            menu = menu.replace("[e] edit    ", "")
        try:
            answer: str = click.prompt(menu, default="", show_default=False, prompt_suffix=" ", err=True)
        except click.Abort:
            return "q"
        word = answer.strip().lower()[:1]
        return "" if word == "e" and self.recipe is None else word


def _near(path: Path) -> str:
    """As somebody in this folder names it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
