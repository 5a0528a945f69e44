"""What is tried again, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta

# How long Anthropic keeps the results of a batch, from its creation (Anthropic, "Batch processing").
RESULTS_KEPT = timedelta(days=29)
# How long results may lack answers that the API counts before the others are delivered without them. An incident at the API is
# over by then, weekend included, and an operator has three weeks left to fetch them before they are deleted.
ANSWERS_AWAITED = timedelta(days=7)
# After a cancel. The API itself takes no longer than this to end a batch.
ANSWERS_AWAITED_AFTER_CANCEL = timedelta(days=1)
# How long a file waits for a recipe, from the last time that it was held.
RECIPE_AWAITED = timedelta(days=7)
# How long a job waits for somebody to say whether it may cost what it will cost, from the last time that it asked.
ANSWER_AWAITED = timedelta(days=7)
_FIRST_LOOK = timedelta(minutes=2)
_LONGEST_PAUSE = timedelta(hours=6)
# How often planning may begin without coming further. So many handled errors take nine hours, longer than most outages: a
# message is delivered 30 times, then `poll` sends it again. A file that fails as often is at fault itself.
MAX_PLAN_TRIES = 40
# Of these, tries that were cut off: with the default timeouts they take 15 hours, and each uses up a whole invocation.
MAX_PLAN_CUT_OFF = 10
# A file is rejected after so many invocations in a row that came no further with its lines: one may have met a slow network.
MAX_FRUITLESS = 3
# How long a file that could be planned may be refused to `submit` and `collect`: somebody is repairing a role or a key.
UNREADABLE_AT_MOST = timedelta(days=1)
# Errors that the request did not cause (Anthropic, API errors): the same request may succeed later.
_RETRYABLE_ERRORS = frozenset({"overloaded_error", "api_error", "rate_limit_error", "timeout_error"})
# The API did not get to the request, or returned no line for one that it counts as not billed.
_RETRYABLE_TYPES = frozenset({"expired", "missing"})
NO_RESULT = "missing_result"
"""The API returned no result for a row, and counts it as not billed."""


def retryable(type: str, error_type: str) -> bool:  # noqa: A002 - the API's word
    """Whether the same row may succeed in another batch.

    An unknown error type is not retried: it may be billed, or fail again, and the row can be dropped again from `failed.jsonl`.
    """
    return type in _RETRYABLE_TYPES or (type == "errored" and error_type in _RETRYABLE_ERRORS)


def goes_again(status: str, error_type: str) -> bool:
    """Whether somebody who asks for a retry wants the row: a canceled one was never answered and never billed."""
    return status == "canceled" or retryable(status, error_type)


def may_be_paid(status: str, error_type: str) -> bool:
    """Whether a row may have been answered, and paid for then: no answer came, and the API does not say that there is none."""
    return status == "missing" and error_type != NO_RESULT


def given_up(tries: int, errors: int) -> bool:
    """Whether planning is not begun again after so many tries, of which so many ended in handled errors."""
    return tries >= MAX_PLAN_TRIES or tries - errors >= MAX_PLAN_CUT_OFF


def next_look(incomplete_since: datetime, now: datetime) -> datetime:
    """When to look again at results that lack answers: each pause as long as the wait so far, from 2 minutes to 6 hours."""
    return now + min(max(now - incomplete_since, _FIRST_LOOK), _LONGEST_PAUSE)
