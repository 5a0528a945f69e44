"""What a refusal is about."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchdrop.domain.errors import Refused
from batchdrop.domain.refusals import Cause, cause_of, is_of_this_batch, waiting_time

CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
LIMIT_OF_WORKSPACE = "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01."


def refusal(status: int | None, text: str = "no", *, code: str = "", retry_after: float | None = None) -> Refused:
    return Refused(text, status=status, kind="some_error", code=code, retry_after=retry_after)


@pytest.mark.parametrize(
    ("refused", "cause"),
    [
        (refusal(401), Cause.key),
        (refusal(402), Cause.credit),
        (refusal(403), Cause.permission),
        (refusal(404), Cause.address),
        (refusal(400, CREDIT), Cause.credit),
        (refusal(400, CREDIT.upper()), Cause.credit),
        (refusal(400, LIMIT), Cause.usage_limit),
        (refusal(400, LIMIT_OF_WORKSPACE), Cause.usage_limit),
        (refusal(400, code="organization_on_hold"), Cause.hold),
        (refusal(429, code="enforced_spend_limit_reached"), Cause.spend_limit),
        (refusal(429, code="contract_spend_limit_reached"), Cause.contract),
    ],
)
def test_what_is_about_the_account(refused: Refused, cause: Cause) -> None:
    assert cause_of(refused) is cause


@pytest.mark.parametrize(
    "refused",
    [
        refusal(400),
        refusal(400, f"requests.3.params: '{CREDIT}' is not a model"),
        refusal(400, f"could not read: {LIMIT}"),
        refusal(400, "Your credit balance is too lowly"),
        refusal(413, CREDIT),
        refusal(422),
    ],
)
def test_what_is_about_the_batch(refused: Refused) -> None:
    assert cause_of(refused) is None
    assert is_of_this_batch(refused)


@pytest.mark.parametrize(
    ("refused", "seconds"),
    [
        (refusal(429, code="ramp_limit_exceeded", retry_after=5400), 5400),
        (refusal(429, retry_after=0), 1),
        (refusal(429, retry_after=10**9), 6 * 3600),
        (refusal(429), 60),
        (refusal(529), 60),
        (refusal(None), 60),
    ],
)
def test_what_passes_by_itself(refused: Refused, seconds: int) -> None:
    assert cause_of(refused) is None
    assert not is_of_this_batch(refused)
    assert waiting_time(refused, 1) == timedelta(seconds=seconds)
