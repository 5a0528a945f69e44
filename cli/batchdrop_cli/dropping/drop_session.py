"""Drop a file or a folder, and watch its job to the answers."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click
import msgspec

from batchdrop.domain.open_work import APPROVAL, LIMIT, PLACE, PRICE, RECIPE
from batchdrop.domain.records import JobState
from batchdrop_cli.amounts_said import number
from batchdrop_cli.dropping.look import Look, look_at, recipe_line
from batchdrop_cli.dropping.shown_progress import job_progress, transfer
from batchdrop_cli.dropping.tried import tried_lines, why_lines
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED, FAILED, STOPPED, TIMED_OUT, USAGE, WAITS
from batchdrop_cli.following.jobs_table import SHORT_ID
from batchdrop_cli.following.said_status import Lookup, code_of, goes_on, next_lines
from batchdrop_cli.following.told import says_yes
from batchdrop_cli.opening.guarded import guarded
from batchdrop_cli.opening.local_recipe import recipe_for
from batchdrop_cli.terminal import columns, fitted, on_terminal, out, say
from batchdrop_client.dropped_before import DroppedBefore
from batchdrop_client.dropping import Drop, Wishes, recipe_beside
from batchdrop_client.errors import FileThere, NotApproved, OtherRecipe, StackError, TimedOut
from batchdrop_client.job import LOOK_SECONDS, Job
from batchdrop_client.job_status import JobStatus
from batchdrop_client.plain_text import plain
from batchdrop_client.stack import Stack

_ENDINGS = (".gz", ".jsonl", ".csv", ".tsv", ".xlsx")
_SHOWN = 3
_RECIPE_SEEN_SECONDS = 60.0
_WAITS_FOR = {RECIPE: "a recipe", APPROVAL: "approval", LIMIT: "a limit", PRICE: "a price", PLACE: "its turn"}
_TABLE, _LINES = ".csv", ".jsonl"
_MOST_NAME_BYTES = 255  # Linux and macOS (NAME_MAX); Windows counts characters


class DropSession(msgspec.Struct, kw_only=True):
    path: Path
    bucket: str | None
    to: str
    recipe: Path | None
    all_documents: bool
    wait: bool
    out: Path | None
    approve_up_to: Decimal | None
    reference: str
    priority: str
    minutes: float | None
    as_json: bool

    def run(self) -> int:
        """The exit code. Raises StackError."""
        return guarded(self._run)

    def _run(self) -> int:
        stack = Stack(self.bucket)
        wishes = Wishes(self.reference, self.priority)
        drop = Drop(stack.bucket, self.path, self.to, wishes, all_documents=self.all_documents)
        recipe = self.recipe or self._nearest_recipe()
        look = self._look(drop, recipe)
        if self.recipe is not None and not look.is_table:
            raise CannotUse(f"{plain(self.path.name)} holds requests, and takes no recipe. Nothing was dropped.", USAGE)
        target = self._target(look) if self.wait else None
        say("\n".join(look.lines), ANSWERED)
        try:
            job, wakes = self._dropped_once(drop, recipe if look.is_table else None)
        except KeyboardInterrupt:
            raise CannotUse("Stopped while it was uploaded: no job was made, unless that had just ended.", STOPPED) from None
        if target is None:
            named = {"job_id": job.id, "bucket": stack.bucket.name, "key": drop.key, "outbox": job.folder}
            out(msgspec.json.encode(named) if self.as_json else job.id)
            return ANSWERED
        try:
            if wakes:
                _await_recipe(job)
            return self._followed(job, target)
        except KeyboardInterrupt:
            raise CannotUse(f"\n{goes_on(job.id, self._lookup)}", TIMED_OUT) from None

    @property
    def _lookup(self) -> Lookup:
        return Lookup(self.bucket, self.to)

    # ------------------------------------------------------------ before anything is sent

    def _nearest_recipe(self) -> Path | None:
        return recipe_beside(self.path) if self.path.is_dir() else recipe_for(self.path, Path.home())

    def _look(self, drop: Drop, recipe: Path | None) -> Look:
        if drop.documents is None:
            return look_at(self.path, recipe)
        lines = [f"{plain(self.path.absolute().name)}  {number(drop.documents, 'document')}", recipe_line(recipe)]
        if others := drop.others():
            first = plain(", ".join(others[:_SHOWN]))
            more = f" and {len(others) - _SHOWN:,} more" if others[_SHOWN:] else ""
            which = "they" if self.all_documents else "those that this recipe has not been asked about"
            lines.append(f"also there      {first}{more}: {which} go along")
        lines += [f"left out        {said}" for said in drop.left_out(self._recipe_text(drop, recipe))]
        return Look(lines, is_table=True)

    @staticmethod
    def _recipe_text(drop: Drop, recipe: Path | None) -> bytes | None:
        """None: it is not known here."""
        if recipe is not None:
            return recipe.read_bytes()
        with suppress(StackError):  # it is only told of
            there = drop.recipe_there()
            return None if there is None else there[1]
        return None

    def _target(self, look: Look) -> Path:
        """Where the answers go. Raises CannotUse: a job whose answers have no place is not begun."""
        ending = _TABLE if look.is_table else _LINES
        path = self.out or _beside(self.path, f".results{ending}")
        if path.suffix.lower() not in (_TABLE, _LINES):
            raise CannotUse(f"{plain(str(path))} is no name for the answers: --out ends in .csv or .jsonl.", USAGE)
        if path.suffix.lower() == _TABLE and not look.is_table:
            raise CannotUse("Requests are answered in JSON lines: give --out a name that ends in .jsonl.", USAGE)
        # A table that is too much for the stack comes as lines.
        if len(os.fsencode(path.with_suffix(_LINES).name)) > _MOST_NAME_BYTES:
            raise CannotUse(
                f"{plain(path.name)} is too long a name for the answers: a disk takes {_MOST_NAME_BYTES} bytes. Choose a shorter "
                "one with --out. Nothing was dropped.",
                USAGE,
            )
        if os.path.lexists(path):
            raise FileThere(path)
        if not os.access(path.absolute().parent, os.W_OK):
            folder = plain(str(path.absolute().parent))
            raise CannotUse(f"{folder} cannot be written, so the answers would have no place. Nothing was dropped.", USAGE)
        return path

    def _dropped_once(self, drop: Drop, recipe: Path | None) -> tuple[Job, bool]:
        """The job that it becomes, or was before, if that is to be gone on with; and whether that waits for this recipe."""
        before = self._gone_on_with(drop, recipe)
        if recipe is not None:
            self._put_recipe(drop, recipe)
        if before is not None:
            return before.job, recipe is not None and before.status.needs == RECIPE
        with transfer("uploading", drop.size) as sent:
            job = drop(None, sent=sent)
        say(f"uploaded        {_uploaded(drop)}    job {job.id}", ANSWERED)
        return job, False

    def _gone_on_with(self, drop: Drop, recipe: Path | None) -> DroppedBefore | None:
        before = drop.before()
        if before is None:
            return None
        if before.status.has_ended and recipe is not None and drop.recipe_to_put(recipe, replace=True) is not None:
            return None  # answers to another question
        said = f"The same file was dropped {_ago(before.at)}: job {before.job.id[-SHORT_ID:]}, {_standing(before.status)}."
        if not on_terminal(sys.stdin, sys.stderr):
            say(f"{said} It is dropped, and paid, again.", ANSWERED)
            return None
        instead = "wait for that one" if self.wait else "leave it at that"
        return None if _confirmed(f"{said} Drop it again, and pay again? If not: {instead}.") else before

    def _put_recipe(self, drop: Drop, recipe: Path) -> None:
        try:
            drop.put_recipe(recipe, replace=self.recipe is not None)
        except OtherRecipe as other:
            if not on_terminal(sys.stdin, sys.stderr):
                raise
            self._confirm_replacing(other, recipe)
            drop.put_recipe(recipe, replace=True)

    @staticmethod
    def _confirm_replacing(other: OtherRecipe, recipe: Path) -> None:
        question = (
            f"{plain(other.key)} is another recipe than {plain(str(recipe))}. Files that wait there are planned again with the "
            "new one. Replace it?"
        )
        if not _confirmed(question):
            raise CannotUse("Nothing was dropped.", STOPPED)

    # ------------------------------------------------------------ the job

    def _followed(self, job: Job, target: Path) -> int:
        until = None if self.minutes is None else time.monotonic() + self.minutes * 60
        approved = False
        while True:
            try:
                status = _watched(job, until, approved=approved)
            except TimedOut as late:
                say(f"{plain(late.status.message)} {goes_on(job.id, self._lookup)}", ANSWERED)
                return self._told(job, late.status, None)
            if status.has_ended:
                return self._ended(job, status, target)
            if not status.asks:
                say(plain(status.message), ANSWERED)
                return self._told(job, status, None)
            if not self._approved(job, status):
                return self._told(job, status, None)
            approved = True

    def _ended(self, job: Job, status: JobStatus, target: Path) -> int:
        try:
            return self._told(job, status, self._delivered(job, status, target))
        except KeyboardInterrupt:
            fetch = self._lookup.command("fetch", job.id)
            raise CannotUse(f"\n{plain(status.message)} What it has left comes with: {fetch}", FAILED) from None

    def _approved(self, job: Job, status: JobStatus) -> bool:
        """Whether it was told to go on, or asks something else by now."""
        assert status.question is not None, "it asks"  # noqa: S101
        if self.approve_up_to is not None:
            try:
                job.approve(self.approve_up_to, code=status.question.code)
            except NotApproved as refused:
                say(str(refused), WAITS)
                return False
            return True
        if not on_terminal(sys.stdin, sys.stderr):
            say(plain(status.message), ANSWERED)
            return False
        for line in tried_lines(status.samples, self._lookup.command("open", job.id), columns()):
            say(line, ANSWERED)
        if not says_yes(status):
            return False
        try:
            job.approve(code=status.question.code)
        except NotApproved as refused:
            say(str(refused), ANSWERED)
        return True

    def _delivered(self, job: Job, status: JobStatus, target: Path) -> Path | None:
        """None: it has left no answers."""
        name = "results" + target.suffix.lower()
        names = job.files()
        if name not in names and "results.jsonl" in names:
            # The table was too much for the stack: the lines are there.
            target, name = target.with_suffix(_LINES), "results.jsonl"
        if name not in names or status.state is JobState.rejected:
            return None
        try:
            with transfer("downloading", job.size(name)) as come:
                return job.save(target, come=come)
        except (OSError, StackError) as problem:
            fetch = self._lookup.command("fetch", job.id)
            said = problem if isinstance(problem, StackError) else f"{plain(str(target))} cannot be written: {problem.strerror}."
            raise CannotUse(f"{plain(status.message)} {said} The answers wait: {fetch}", FAILED) from None

    def _told(self, job: Job, status: JobStatus, answers: Path | None) -> int:
        """The exit code."""
        if status.has_ended:
            say(plain(status.message), ANSWERED)
        if status.has_ended and not status.is_complete:
            for line in why_lines(job.failures()):
                say(line, ANSWERED)
        if not status.is_complete and (lines := next_lines(status, self._lookup)):
            say("\n".join(lines), ANSWERED)
        if self.as_json:
            found = msgspec.json.decode(status.document or b"{}", type=dict[str, msgspec.Raw])
            out(msgspec.json.encode({**found, "results": str(answers) if answers else None}))
        elif answers is not None:
            out(plain(str(answers)))
        return code_of(status)


def _confirmed(question: str) -> bool:
    """Raises CannotUse."""
    try:
        return click.confirm(fitted(question, columns()), default=False, err=True)
    except click.Abort:
        say("", ANSWERED)  # the question's line is left
        raise CannotUse("Nothing was dropped.", STOPPED) from None


def _standing(status: JobStatus) -> str:
    if status.has_ended:
        return "which is done"
    if status.needs in _WAITS_FOR:
        return f"which waits for {_WAITS_FOR[status.needs]}"
    return "which goes on"


def _ago(at: datetime) -> str:
    seconds = (datetime.now(UTC) - at).total_seconds()
    for size, what in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{number(int(seconds // size), what)} ago"
    return "a moment ago"


def _await_recipe(job: Job) -> None:
    """Until the stack has seen a recipe that was put for it; or not, if it is another that was needed."""
    until = time.monotonic() + _RECIPE_SEEN_SECONDS
    while job.status().needs == RECIPE and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)


def _uploaded(drop: Drop) -> str:
    """`54 bytes to inbox/reviews.csv`; of a folder also how many documents were there."""
    size = f"{drop.size / 1e6:,.1f} MB" if drop.size >= 100_000 else number(drop.size, "byte")
    if drop.documents is None:
        return f"{size} to {plain(drop.key)}"
    put = number(drop.documents - drop.already_there, "document")
    there = f"; already there: {drop.already_there:,}" if drop.already_there else ""
    return f"{put} ({size}) to {plain(drop.folder)}{there}"


def _watched(job: Job, until: float | None, *, approved: bool) -> JobStatus:
    left = None if until is None else max(0.0, until - time.monotonic())
    with job_progress(approved=approved) as shown:
        for status in job.watch(left):
            shown(status)
    return status


def _beside(path: Path, ending: str) -> Path:
    """`a/reviews.csv.gz` -> `a/reviews.results.csv`."""
    path = path.absolute() if path.name in ("", "..") else path
    name = path.name
    for one in _ENDINGS:
        if name.lower().endswith(one) and len(name) > len(one):
            name = name[: -len(one)]
    return path.with_name(f"{name}{ending}")
