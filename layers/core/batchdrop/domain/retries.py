"""Which rows are sent again, and for how long results can be collected."""

from __future__ import annotations

from datetime import timedelta

# How long Anthropic keeps the results of a batch, from its creation (Anthropic, "Batch processing").
RESULTS_KEPT = timedelta(days=29)
# Errors that the request did not cause (Anthropic, API errors): the same request may succeed later.
_RETRYABLE_ERRORS = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})
# The API did not get to the request, or returned no line for it; neither is billed.
_RETRYABLE_TYPES = frozenset({"expired", "missing"})


def retryable(type: str, error_type: str) -> bool:  # noqa: A002 - the API's word
    """Whether the same row may succeed in another batch.

    An unknown error type is not retried: it may be billed, or fail again, and the row can be dropped again from `failed.jsonl`.
    """
    return type in _RETRYABLE_TYPES or (type == "errored" and error_type in _RETRYABLE_ERRORS)
