"""A job of a stack, seen and told what to do through its bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal

from batchdrop.domain import ids, keys
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.errors import NotApproved, StackError, TimedOut, Unreachable
from batchdrop_client.job_status import JobStatus, parse_status
from batchdrop_client.plain_text import plain

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 900.0
"""For so long in a row a job that is waited for may be out of reach: a laptop that slept, a network that changed."""


class Job:
    """All methods raise StackError."""

    def __init__(self, bucket: Bucket, folder: str) -> None:
        """`folder`: of the job in the outbox, slash included."""
        self._bucket = bucket
        self.folder = folder
        self.id = folder.rstrip("/").rsplit("/", 1)[-1]

    def __repr__(self) -> str:
        return f"<Job {self.id} in {plain(self._bucket.name)}>"

    # ------------------------------------------------------------ where it stands

    def status(self) -> JobStatus:
        with aws_said(self._bucket.name):
            data = self._bucket.objects.get(f"{self.folder}status.json")
        return parse_status(data, self.id)

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
                if status.is_over:
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
            raise NotApproved(f"Something else is asked by now, and nothing was approved. {plain(status.message)}")
        if up_to is not None and status.most_usd > Decimal(str(up_to)):
            raise NotApproved(
                f"It may cost ${status.most_usd} in all, more than ${up_to}, and nothing was approved. {plain(status.message)}"
            )
        return self._say(key)

    def cancel(self) -> str | None:
        """Stops it, and returns the key of the object that says so; None if it has ended.

        Rows that have an answer are delivered and paid.
        """
        status = self.status()
        return None if status.has_ended else self._say(keys.command_key("cancel", self._dropped(status), self.id))

    def retry(self) -> str:
        """Has the stack ask again, as a job of its own, about the rows without an answer; returns the key that says so.

        Rows are asked again that were canceled, or failed for a reason that may pass.
        """
        return self._say(keys.command_key("retry", self._dropped(self.status()), self.id))

    def _dropped(self, status: JobStatus) -> str:
        """The key of the file."""
        if not status.input.key.startswith(keys.INBOX):
            raise StackError(f"{self.id} was asked in real time, and the stack knows no such job.")
        return status.input.key

    def _say(self, key: str) -> str:
        with aws_said(self._bucket.name):
            self._bucket.objects.put(key, b"")
        return key
