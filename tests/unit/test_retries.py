"""Which rows may be sent again."""

from __future__ import annotations

import pytest

from batchdrop.domain.retries import retryable


@pytest.mark.parametrize(
    ("kind", "error_type", "expected"),
    [
        ("errored", "overloaded_error", True),
        ("errored", "api_error", True),
        ("errored", "rate_limit_error", True),
        ("errored", "timeout_error", True),
        ("expired", "", True),
        ("missing", "", True),
        ("errored", "invalid_request_error", False),
        ("errored", "authentication_error", False),
        ("errored", "permission_error", False),
        ("errored", "not_found_error", False),
        ("errored", "request_too_large", False),
        ("errored", "billing_error", False),
        ("errored", "an_error_of_tomorrow", False),
        ("errored", "", False),
        ("canceled", "", False),
        ("succeeded", "api_error", False),
        ("a_new_word", "api_error", False),
    ],
)
def test_what_is_tried_again(kind: str, error_type: str, expected: bool) -> None:
    assert retryable(kind, error_type) is expected
