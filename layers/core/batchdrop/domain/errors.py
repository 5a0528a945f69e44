"""Everything that can go wrong, as one small tree.

BatchdropError
├── LostRace          somebody else changed the item first; carries nothing, the loser reads again or stops
│   └── AlreadyExists   the record to be created is there
├── Rejected          the dropped object can never become a job's work; the sentence goes to its owner
├── ForeignEvent      a message is about an object of another bucket, or comes from another account
├── PutOff            nothing is wrong, and there is nothing to do before a known moment
│   ├── Leased          another invocation is at work on the same job
│   └── TooEarly        a command about a file that is not looked at yet
├── Waits             the dropped object becomes work once there is a recipe that fits; the sentence goes to its owner
├── ObjectGone        the object (or that version of it) no longer exists
├── UnreadableList    our own list of a batch's invalid rows is gone or damaged
├── Forbidden         S3 does not hand the object out: archived, or a key or a policy is closed to this function
├── Incomplete        a stream ended before its time; reading again may help
├── OutOfDisk         the spool does not fit the function's ephemeral storage
├── ConfigurationError  a setting is missing or wrong; names it
├── Throttled         AWS asked to slow down and went on asking after the client's own retries
└── ApiError          the Message Batches API did not give the answer hoped for
    ├── Refused       a definite no: nothing was accepted, nothing will be billed
    ├── Ambiguous     no definite answer: the batch may exist
    ├── NotFound      404 on a known id; observed to be transient (anthropics/anthropic-sdk-python#1432)
    └── Unavailable   a read failed; asking again later is free
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class BatchdropError(Exception):
    """The root: whatever Batchdrop raises on purpose."""


class LostRace(BatchdropError):
    """A conditional write found the item changed. The winner carries on; the loser logs and stops."""


class AlreadyExists(LostRace):
    """The record that a move creates exists: somebody else was first, or this is a repetition. Nothing was changed."""


class Rejected(BatchdropError):
    """The object cannot become a job. The message is one plain sentence for the person who dropped it."""


class ForeignEvent(BatchdropError):
    """An event is about another bucket, or comes from another account: no rule of this stack has sent it."""


class PutOff(BatchdropError):
    """Nothing is wrong, and there is nothing to do before then: the message comes back."""

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Leased(PutOff):
    """Another invocation holds the job's lease until then: it is at work, or was killed."""


class TooEarly(PutOff):
    """A command about a file that was dropped a moment ago and is not looked at yet."""


class Waits(BatchdropError):
    """The object cannot be planned without another recipe. The message says why and what to do, for the person who dropped it."""


class ObjectGone(BatchdropError):
    """The object, or the version of it that was asked for, does not exist (any more)."""


class UnreadableList(BatchdropError):
    """Our own list of the rows of a batch that are never sent is gone or damaged: which rows these are is not known any more."""


class Forbidden(BatchdropError):
    """S3 answered 400 or 403 for the object: it is archived, or its KMS key or a policy is closed to this function."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code
        """S3's word for it (`InvalidObjectState`, `AccessDenied`, `KMS.DisabledException`); for a HEAD only the status."""


class Incomplete(BatchdropError):
    """A stream ended before its announced or documented end."""


class OutOfDisk(BatchdropError):
    """The function's ephemeral storage is full."""


class ConfigurationError(BatchdropError):
    """A setting is missing or unusable; the message names it."""


class Throttled(BatchdropError):
    """AWS throttled the call beyond the client's own retries. The queue delivers the message again."""


class ApiError(BatchdropError):
    """The Message Batches API did not give the answer hoped for."""

    def __init__(self, message: str, *, status: int | None = None, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        """HTTP status, or None when there was no answer."""
        self.kind = kind
        """`error.type` of the API's answer (`rate_limit_error`), or a word of ours where there was none."""


class Refused(ApiError):
    """A definite no to `create`: nothing was accepted.

    `retry_after` is in seconds, as the API sent it, or None. `code` is `error.details.error_code`, or "".
    """

    def __init__(self, message: str, *, status: int | None, kind: str, retry_after: float | None = None, code: str = "") -> None:
        super().__init__(message, status=status, kind=kind)
        self.retry_after = retry_after
        self.code = code


class Ambiguous(ApiError):
    """No definite answer to `create`: the batch may or may not exist. Never send it again on this evidence."""


class NotFound(ApiError):
    """404 for an id that is known to exist: transient, never an end."""


class Unavailable(ApiError):
    """A read from the API failed (connection, 429, 5xx). Reading again later costs nothing."""
