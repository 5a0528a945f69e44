"""AWS's passing troubles, told apart from its definite answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own name

from batchdrop.domain.errors import Throttled

# Names that the services give to "later, please"; botocore retries most of them before we see one.
_LATER = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalError",
        "InternalServerError",
        "KmsThrottled",
        "KMSThrottlingException",
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_SERVER_ERROR = 500
NO_ANSWER = (HTTPClientError, ConnectionError)
"""botocore's exceptions for a call that may or may not have arrived."""


def code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_later(code: str) -> bool:
    """Whether an error code only asks to come back."""
    return code in _LATER


def is_passing(error: Exception) -> bool:
    """Whether the same call may work in a moment: throttled, a server error, or no connection."""
    if isinstance(error, ClientError):
        return is_later(code_of(error)) or status_of(error) >= _SERVER_ERROR
    return isinstance(error, NO_ANSWER)


@contextmanager
def throttling() -> Iterator[None]:
    """Turns what is still passing trouble after the client's own retries into `Throttled`; the rest goes through."""
    try:
        yield
    except (ClientError, *NO_ANSWER) as error:
        if is_passing(error):
            raise Throttled(str(error)) from error
        raise
