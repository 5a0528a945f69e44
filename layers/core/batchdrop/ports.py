"""What the stages need from the outside, in their own words.

Each port has one adapter (AWS or Anthropic) and one in-memory fake in `tests/fakes/`; one test suite runs over both.
Every method that leaves the process may raise `Throttled`; anything else it may raise is named in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import msgspec

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.file_facts import FileFacts
from batchdrop.domain.marks import Mark
from batchdrop.domain.messages import Message, Queue
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.record import Record
from batchdrop.domain.records import Admission, ApiCounts, Arrivals, Batch, Group, Job, ObjectRef, Purse
from batchdrop.domain.transitions import Move

# ---------------------------------------------------------------- time


class Clock(Protocol):
    def now(self) -> datetime:
        """Timezone-aware UTC."""

    def sleep(self, seconds: float) -> None: ...


class Deadline(Protocol):
    def remaining(self) -> float:
        """Seconds until this invocation is killed."""


# ---------------------------------------------------------------- objects


class ObjectInfo(Record, frozen=True, kw_only=True):
    ref: ObjectRef
    written_at: datetime
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    """User metadata, keys in lower case."""
    storage_class: str = ""
    """As S3 names it; empty for STANDARD."""
    kms_key: str = ""
    """ARN of the KMS key that it is encrypted with, if it is."""


class ObjectWriter(Protocol):
    """One object being written as a stream; nothing is visible before `close`.

    Memory: one part. As a context manager it aborts on an exception and closes otherwise.
    """

    def write(self, data: bytes | memoryview) -> None: ...

    def close(self) -> bool:
        """Completes the object. False: an object of that key existed already and was kept (only if `once`)."""

    def abort(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...


class ResumedWriter(ObjectWriter, Protocol):
    """An object that is written over several invocations, each of which could write all of it with the same bytes.

    As a context manager it keeps what is stored on an exception and closes otherwise.
    """

    @property
    def complete(self) -> bool:
        """An earlier invocation has written all of it; `close` answers False."""

    @property
    def stored(self) -> int:
        """Bytes from the start of the object that need not be written again: `write` goes on behind those it began with."""

    def suspend(self) -> bytes:
        """Leaves what is stored to the next invocation. Returns the rest of what was written, less than a part."""


class Objects(Protocol):
    """The bucket."""

    def head(self, key: str, version_id: str | None = None, *, bucket: str | None = None) -> ObjectInfo:
        """`bucket`: another one than the stack's. Raises ObjectGone, Forbidden."""

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> AbstractContextManager[BinaryIO]:
        """Bytes [start, end) of that very version. A broken connection is resumed with `Range` and `If-Match`.

        The reader is a plain binary stream (`read(n)`, `readinto`). Raises ObjectGone and Forbidden, also while
        reading.
        """

    def get(self, key: str) -> bytes:
        """A small object, whole, newest version. Raises ObjectGone, Forbidden."""

    def put(
        self, key: str, body: bytes, *, content_type: str = "application/json", once: bool = False, one_day: bool = False
    ) -> bool:
        """Writes a small object. With `once` (`IfNoneMatch: *`) False means that one existed and was kept.

        `one_day`: it is written again and again, and a version that was replaced is kept for a day only.
        """

    def overwrite(self, was: ObjectRef, body: bytes, *, content_type: str = "application/json", one_day: bool = False) -> bool:
        """Writes a small object in the place of the one that was read (`IfMatch`). False: it is another one by now, or none."""

    def put_file(self, key: str, path: Path, *, content_type: str = "application/octet-stream") -> None: ...

    def get_file(self, key: str, path: Path) -> None:
        """Raises ObjectGone, Forbidden."""

    def writer(self, key: str, *, content_type: str = "application/jsonl", once: bool = False) -> ObjectWriter:
        """A streaming multipart write; small bodies become one PUT. `once`: as in `put`."""

    def resume(
        self,
        key: str,
        *,
        content_type: str = "application/jsonl",
        metadata: Mapping[str, str] | None = None,
        upto: int | None = None,
    ) -> ResumedWriter:
        """Goes on with a write that an earlier invocation has suspended or was killed in; else begins one. Written once.

        `metadata`: the user metadata of the object, the same in every invocation. `upto`: bytes beyond these count as not stored:
        the invocation that wrote them may have written others.
        """

    def join(
        self, key: str, sources: Sequence[ObjectRef], *, go_on: Callable[[], bool], content_type: str = "application/jsonl"
    ) -> int:
        """Makes one object of others of the bucket, server-side where S3's part rules allow it; written once.

        It goes on where an earlier call stopped, and stops when `go_on` says so. Returns how many bytes are in place: all of them
        once the object is there. Raises ObjectGone for a source.
        """

    def abandon(self, prefix: str) -> None:
        """Ends every write under a prefix that has begun and is not complete."""

    def delete(self, key: str) -> None:
        """Removes the newest version's visibility; no error when it does not exist."""

    def folders(self, prefix: str, *, after: str = "", limit: int) -> list[str]:
        """Names of the folders right below a prefix that ends in a slash, in the order of keys: `limit`, those behind `after`.

        Fewer than `limit`: there are no more.
        """

    def newest(self, prefix: str, *, after: str = "", limit: int) -> list[ObjectRef]:
        """The objects below a prefix in the order of keys, each in its newest version: `limit`, those behind the key `after`.

        Fewer than `limit`: there are no more. Deleted ones are left out.
        """

    def remove_all(self, prefix: str, *, limit: int) -> int:
        """Removes what is below a prefix for good: at most `limit` versions and delete markers. Returns how many there were."""


class Inspector(Protocol):
    """Looks at files that users name."""

    def __call__(self, path: Path) -> FileFacts:
        """Never raises for what is in the file: one that cannot be read says so."""

    def close(self) -> None:
        """Gives up what it keeps from one file to the next."""


# ---------------------------------------------------------------- the table


class Ledger(Protocol):
    """The table. What is a job's is written by `commit`, as one conditional transaction; the loser of a race gets LostRace."""

    def get_job(self, job_id: str) -> Job | None:
        """Strongly consistent."""

    def get_jobs(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of them that there are, in any order. Strongly consistent."""

    def get_batch(self, job_id: str, name: str) -> Batch | None:
        """Strongly consistent."""

    def get_admission(self) -> Admission:
        """Strongly consistent; an empty record when there is none yet."""

    def get_models(self) -> ModelList | None:
        """The API's list of models as it was last stored. Strongly consistent."""

    def put_models(self, models: ModelList) -> None:
        """Replaces the list, whatever it was: of two at once either is right."""

    def get_arrivals(self, team: str) -> Arrivals:
        """Strongly consistent; none have arrived when there is no record yet."""

    def get_group(self, key: str) -> Group:
        """An empty one if nothing is known of it."""

    def get_purses(self, names: Sequence[str]) -> list[Purse]:
        """In the order of the names, at most 100 of them. Strongly consistent; nothing is used of one that is not there yet."""

    def has_open_work(self) -> bool:
        """Whether any job or batch is open work, or has a mark: one read, eventually consistent."""

    def list_marks(self, *, behind: str = "", limit: int) -> list[Mark]:
        """What the indexes of jobs do not show yet, by job, those behind a `due`. Eventually consistent."""

    def remove_marks(self, marks: Sequence[Mark]) -> None:
        """No error if one is gone."""

    def list_batches(self, job_id: str) -> Iterator[Batch]:
        """All batches of a job in order of name, strongly consistent, a page at a time."""

    def list_open_batches(self, work: OpenWork, *, limit: int | None = None) -> Iterator[Batch]:
        """Batches that are this kind of open work, in its order, a page at a time, eventually consistent."""

    def list_waiting_batches(self, job_id: str, *, limit: int) -> Iterator[Batch]:
        """Batches of a job that are to be admitted, by priority, then tag, a page at a time, eventually consistent."""

    def list_open_jobs(self, work: OpenWork, *, behind: str = "", limit: int | None = None) -> Iterator[Job]:
        """Jobs that are this kind of open work, in its order, a page at a time, eventually consistent.

        `behind`: only those whose place in that order comes after this text.
        """

    def owner_of(self, api_id: str) -> tuple[str, str] | None:
        """(job id, batch name) that claimed an API batch, or None. Strongly consistent."""

    def commit[R: (Job, Batch, Admission, Arrivals, Group)](self, move: Move[R]) -> R:
        """Writes a move with all that belongs to it, or nothing. Returns the record as it is stored.

        - A record is replaced if its revision is still that of `before`; the stored revision is one higher.
        - A record without `before` is created, with its revision as given.
        - What it charges is added to purses; a purse is made by its first charge.
        - The counters of jobs and of the admission record change by addition only, so a move never writes them.
        - A job whose change an index shows gets a mark (`domain.marks`).
        - An `api_id` that a batch gains is claimed for this batch alone; one that it gives up is released.

        Raises AlreadyExists if the record to be created is there; LostRace if any other condition failed.
        """


# ---------------------------------------------------------------- queues


class Queues(Protocol):
    def send(self, message: Message, *, delay: int = 0) -> None:
        """Sends a message to its queue. `delay` in seconds, at most 900 (SQS)."""

    def put_off(self, queue: Queue, receipt: str, seconds: int) -> None:
        """The message received with that receipt, which stays in its queue, is delivered again after so many seconds."""


# ---------------------------------------------------------------- the API


class ApiBatch(Record, frozen=True, kw_only=True):
    id: str
    status: str
    """`in_progress`, `canceling` or `ended`"""
    counts: ApiCounts
    created_at: datetime
    ended_at: datetime | None = None
    has_results: bool = False


class ApiPage(Record, frozen=True, kw_only=True):
    """Newest first. `next` is the cursor of the next, older page; None at the end. `key`: as `Claude.key` names it."""

    batches: tuple[ApiBatch, ...]
    next: str | None
    key: str


DEFAULT_HEADERS = CallHeaders()


class Claude(Protocol):
    """The Message Batches API. Nothing here retries a create; reads are retried a few times within a bound."""

    def key(self, *, fresh: bool = False) -> str:
        """A fingerprint of the API key that the next create is sent with; `fresh` reads the secret again. Raises Refused.

        Of keys that are minted for a workspace, it is that of the workspace.
        """

    def create(self, body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        """POSTs a ready-made body once, streamed from disk with its length. Raises Refused or Ambiguous, nothing else.

        It is sent with the key that `key` named last; a minted one that is refused because it has ended is replaced once.
        `within`: seconds after which no answer counts as one that will not come.
        """

    def models(self) -> tuple[ListedModel, ...]:
        """The API's models, retired ones too. Raises Unavailable, NotFound, Refused."""

    def page(self, after: str | None = None) -> ApiPage:
        """One list call, 1,000 at most. Raises Unavailable or Refused (401, 403)."""

    def retrieve(self, api_id: str) -> ApiBatch:
        """Raises NotFound, Unavailable, Refused."""

    def cancel(self, api_id: str) -> ApiBatch:
        """Raises NotFound, Unavailable, Refused. An already ended batch is answered as it is."""

    def delete(self, api_id: str) -> None:
        """Removes an ended batch and its results for good. Raises NotFound, Unavailable, Refused."""

    def results(self, api_id: str) -> AbstractContextManager[Iterable[bytes]]:
        """The results stream in chunks as they come (not lines). Raises NotFound, Unavailable; Incomplete when it is cut."""


# ---------------------------------------------------------------- the rest


class SwitchState(StrEnum):
    run = "run"
    pause = "pause"
    stop = "stop"


class Switch(Protocol):
    def state(self) -> SwitchState:
        """At most a few seconds old. Forbidden or unknown text counts as `pause`: fail closed for spending."""


class Notices(Protocol):
    def publish(self, subject: str, text: str, document: Mapping[str, object], attributes: Mapping[str, str]) -> None:
        """Tells subscribers of a job: people by `text`, programs by `document`. None of the attributes is empty.

        Never carries a prompt, a row or an answer; of answers, labels that were counted. Raises Throttled.
        """


class Events(Protocol):
    def put(self, details: Sequence[Mapping[str, object]]) -> None:
        """Tells workflows of jobs, one event for each. Raises Throttled or ConfigurationError; some may have gone out then."""


class Metrics(Protocol):
    def count(self, name: str, value: float = 1, **dimensions: str) -> None:
        """`dimensions`: besides the stack."""
