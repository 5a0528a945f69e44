"""A job of a stack, seen and told what to do through its bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from batchdrop.domain import ids, keys
from batchdrop.domain.answer_counts import OTHER, Told
from batchdrop.domain.errors import Forbidden, ObjectGone
from batchdrop.domain.record import Record
from batchdrop.domain.records import JobState, ObjectRef
from batchdrop.reports import sentences
from batchdrop.reports.manifest import OutputFile
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.each_answer import each
from batchdrop_client.ended_job import names_in
from batchdrop_client.errors import NotApproved, StackError, TimedOut, Unreachable
from batchdrop_client.job_status import Input, JobStatus, parse_status
from batchdrop_client.outputs import OUTPUTS, STARTER, check_free, download, is_copy, is_same
from batchdrop_client.plain_text import plain
from batchdrop_client.progress import Progress
from batchdrop_client.rows import Row, merged

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 900.0
"""For so long in a row a job that is waited for may be out of reach: a laptop that slept, a network that changed."""


class Failure(Record, frozen=True):
    """Rows without an answer for reasons of one kind."""

    status: str
    """Of the ends of a row; `(other)` of kinds that are not told apart: there are more than ten."""
    rows: int
    error: str = ""
    message: str = ""
    """Of all of them; of a job that ended with an earlier version, of the first."""
    messages: tuple[Told, ...] = ()
    """The sentences that they came back with, at most three, and how many rows did with each."""
    lines: tuple[int, ...] = ()
    """The first of them."""

    def reasons(self) -> list[str]:
        of_first = (Told(message=self.message, rows=1),) if self.message and self.status != OTHER else ()
        return sentences.reasons(self.rows, self.messages or of_first)


class _Outcome(Record, frozen=True):
    """What is read of a manifest."""

    files: dict[str, OutputFile] = msgspec.field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


class Job:
    """All methods raise StackError."""

    def __init__(self, bucket: Bucket, folder: str, *, dropped: str = "") -> None:
        """`folder`: of the job in the outbox, slash included. `dropped`: the key of its file, if it may not have begun yet."""
        self._bucket = bucket
        self._dropped_now = dropped
        self._approved: set[str] = set()
        self.folder = folder
        self.id = folder.rstrip("/").rsplit("/", 1)[-1]

    def __repr__(self) -> str:
        return f"<Job {self.id} in {plain(self._bucket.name)}>"

    # ------------------------------------------------------------ where it stands

    def status(self) -> JobStatus:
        with aws_said(self._bucket.name):
            try:
                return self._read_status()
            except (ObjectGone, Forbidden):
                # A 403 is also said of what is not there, to whoever may not list everything.
                if not self._dropped_now:
                    raise
            if "status.json" in names_in(self._bucket, self.folder):
                return self._read_status()  # written after the first look
        return JobStatus(self.id, JobState.planning, _begins(self._dropped_now), Input(self._dropped_now))

    def _read_status(self) -> JobStatus:
        status = parse_status(self._bucket.objects.get(f"{self.folder}status.json"), self.id)
        self._dropped_now = ""  # it has begun: without a status from now on it is gone
        return status

    def watch(self, timeout: float | None = None) -> Iterator[JobStatus]:
        """Looks every few seconds, and ends with the status in which it has ended or waits for somebody.

        `timeout`: seconds, after which TimedOut is raised. A bucket that is out of reach for some minutes is looked at again.
        """
        until = None if timeout is None else time.monotonic() + timeout
        seen = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                status = self.status()
                seen = now
            except Unreachable:
                if now - seen > PATIENCE_SECONDS or (until is not None and now >= until):
                    raise
            else:
                yield status
                if status.is_over and not self._has_said_yes(status):
                    return
                if until is not None and time.monotonic() >= until:
                    raise TimedOut(status)
            time.sleep(LOOK_SECONDS)

    def wait(self, timeout: float | None = None, on_change: Callable[[JobStatus], object] | None = None) -> JobStatus:
        """Returns when it has ended or waits for somebody: `status.waits`. `on_change` is told each new sentence about it.

        `timeout`: seconds, after which TimedOut is raised; the job goes on.
        """
        told = None
        for status in self.watch(timeout):
            if on_change is not None and status.message != told:
                on_change(status)
            told = status.message
        return status

    # ------------------------------------------------------------ what it answers

    def results(self) -> Iterator[Row]:
        """Every row of the file that was read, in its order, with or without an answer."""
        return self._results(self.files())

    def data_frame(self, library: str = "") -> Any:  # noqa: ANN401 - of either library
        """The same with the columns of results.csv, in memory. `library`: `pandas` or `polars`, else whichever is installed."""
        from batchdrop_client.frames import data_frame  # noqa: PLC0415 - neither is needed for anything else

        return data_frame(self.results(), library)

    def save(self, path: Path | str, *, replace: bool = False, come: Progress = lambda _: None) -> Path:
        """Writes the answers into one file: results.csv if the name ends in .csv, else results.jsonl. Returns its path.

        `come`: told how many bytes more are here. Raises FileThere, unless a file of that name is to be replaced; OSError.
        """
        path = Path(path)
        name = "results.csv" if path.suffix.lower() == ".csv" else "results.jsonl"
        if name not in self.files():
            raise StackError(f"The job {self.id} has left no {name}. {plain(self.status().message)}")
        download(self._bucket, self._ref(name), path, replace=replace, come=come)
        return path

    def report(self, path: Path | str) -> Path:
        """Writes report.html as it is now into a file, which must not be there. Returns its path. Raises OSError."""
        path = Path(path)
        if "report.html" not in names_in(self._bucket, self.folder):
            raise StackError(f"The job {self.id} has no report.html. {plain(self.status().message)}")
        download(self._bucket, self._ref("report.html"), path)
        return path

    def download(self, folder: Path | str, *, replace: bool = False, come: Progress = lambda _: None) -> list[Path]:
        """Brings everything that it has left into a folder, which is made if it is not there. Returns the files.

        Those that are there and are the same are left, so that a second call goes on where one broke off. Raises FileThere for
        one that is another, before anything is written, unless it is to be replaced; OSError.
        """
        names = self.files()
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        listed = self._outcome().files
        found = [folder / name for name in OUTPUTS if name in names]
        missing = [path for path in found if not self._is_here(path, listed.get(path.name))]
        if not replace:
            check_free(missing)
        for path in missing:
            download(self._bucket, self._ref(path.name), path, replace=replace, come=come)
        return found

    def _is_here(self, path: Path, file: OutputFile | None) -> bool:
        """`file`: None of what the manifest does not list. That is small, and so is compared as it is."""
        if file is None:
            return is_copy(self._bucket, self._ref(path.name), path)
        return is_same(path, file.size, file.checksum)

    def download_each(self, folder: Path | str, *, replace: bool = False) -> Iterator[Path]:
        """Writes each answer into a file of its own, named by the document or the id of its row. As `download`."""
        rows = _Rows(self, self.files())
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return each(rows, folder, replace=replace)

    def starter(self, folder: Path | str, *, replace: bool = False) -> list[Path]:
        """Brings the recipe to begin with, and what an editor knows its fields by, of a job that waits for one. As `download`."""
        names = names_in(self._bucket, self.folder)
        if "manifest.json" in names or STARTER[0] not in names:
            raise StackError(f"The job {self.id} has no starter of a recipe. {plain(self.status().message)}")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        found = [folder / name for name in STARTER if name in names]
        for path in found:
            download(self._bucket, self._ref(path.name), path, replace=replace)
        return found

    def failures(self) -> Sequence[Failure]:
        """Why rows have no answer: one entry for each reason. Of a job that ended with an earlier version it is empty."""
        self.files()
        return self._outcome().failures

    def size(self, *names: str) -> int:
        """Bytes of some of its files, or of all; those that the manifest does not list are small."""
        self.files()
        return sum(file.size for name, file in self._outcome().files.items() if not names or name in names)

    def _outcome(self) -> _Outcome:
        with aws_said(self._bucket.name):
            data = self._bucket.objects.get(f"{self.folder}manifest.json")
        try:
            return msgspec.json.decode(data, type=_Outcome)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise StackError(f"The manifest of {self.id} cannot be read.") from None

    def _results(self, names: Container[str]) -> Iterator[Row]:
        with ExitStack() as open_files, aws_said(self._bucket.name):
            answered, failed = (
                open_files.enter_context(self._bucket.objects.read(self._ref(name))) if name in names else None
                for name in ("results.jsonl", "failed.jsonl")
            )
            yield from merged(answered, failed)

    def files(self) -> frozenset[str]:
        """The names of what it has left. Raises StackError while it has not ended."""
        names = names_in(self._bucket, self.folder)
        if "manifest.json" not in names:
            raise StackError(f"The job {self.id} has not ended. {plain(self.status().message)}")
        return names & frozenset(OUTPUTS)

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef(bucket=self._bucket.name, key=self.folder + name)

    # ------------------------------------------------------------ what it is told

    def approve(self, up_to: Decimal | float | str | None = None, *, code: str | None = None) -> str:
        """Says yes to what it asks now, and returns the key of the object that says so. Raises NotApproved.

        `up_to`: dollars that the job may cost in all; what would exceed them gets no yes. `code`: of the question that is meant,
        as a status showed it: by now another one may be asked. Without either the answer is yes to whatever it asks.
        """
        status = self.status()
        question = status.question
        if question is None or not status.asks:
            raise NotApproved(f"There is nothing to approve. {plain(status.message)}")
        key = keys.command_key("approve", self._dropped(status), f"{self.id}-{question.code}")
        if not ids.is_code(question.code) or question.answer != key:
            raise StackError(f"The question of {self.id} cannot be read.")
        if code and code != question.code:
            raise NotApproved(
                f"Nothing was approved: {plain(code)} is not the code of what is asked now. {plain(status.message)}"
            )
        if up_to is not None and status.most_usd > Decimal(str(up_to)):
            raise NotApproved(
                f"It may cost ${status.most_usd} in all, more than ${up_to}, and nothing was approved. {plain(status.message)}"
            )
        self._say(key)
        self._approved.add(question.code)
        return key

    def cancel(self) -> str | None:
        """Stops it, and returns the key of the object that says so; None if it has ended.

        Rows that have an answer are delivered and paid.
        """
        status = self.status()
        return None if status.has_ended else self._say(keys.command_key("cancel", self._dropped(status), self.id))

    def retry(self) -> str:
        """Has the stack ask again, as a job of its own, about the rows without an answer; returns the key that says so.

        Rows are asked again that were canceled, or failed for a reason that may pass. `retried` is that job.
        """
        return self._say(keys.command_key("retry", self._dropped(self.status()), self.id))

    def retried(self, timeout: float = 0.0) -> Job | None:
        """The job that asks again about its rows; None if there is none yet, or will be none: `status().message` says why.

        `timeout`: seconds for which the stack is given time to make it. It needs a minute at most after `retry`, unless the
        rows are very many.
        """
        first = status = self.status()
        key = keys.retried_input(self._dropped(status), self.id)
        until = time.monotonic() + timeout
        while "" not in names_in(self._bucket, key):
            # The file is there before the job tells of it.
            if time.monotonic() >= until or status.message != first.message:
                return None
            time.sleep(LOOK_SECONDS)
            status = self.status()
        with aws_said(self._bucket.name):
            info = self._bucket.objects.head(key)
        return Job(self._bucket, keys.outbox_folder(key, ids.job_id(info.ref, info.written_at)), dropped=key)

    def _has_said_yes(self, status: JobStatus) -> bool:
        """The stack is told, and has not gone on yet."""
        return status.asks and status.question is not None and status.question.code in self._approved

    def _dropped(self, status: JobStatus) -> str:
        """The key of the file."""
        if not status.input.key.startswith(keys.INBOX):
            raise StackError(f"{self.id} was asked in real time, and the stack knows no such job.")
        return status.input.key

    def _say(self, key: str) -> str:
        with aws_said(self._bucket.name):
            self._bucket.objects.put(key, b"")
        return key


class _Rows:
    """Those of a job, read anew each time they are gone through."""

    def __init__(self, job: Job, names: Container[str]) -> None:
        self._job = job
        self._names = names

    def __iter__(self) -> Iterator[Row]:
        return self._job._results(self._names)  # noqa: SLF001 - its own rows


def _begins(key: str) -> str:
    name = plain(keys.name_of(key))
    return f"{name} was uploaded, and has not been looked at yet. A stack begins within a minute, if this is its bucket."
