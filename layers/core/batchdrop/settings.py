"""What each function is told by its environment. Read inside the call, frozen, and a missing variable is named."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Self

import msgspec

from batchdrop.domain.errors import ConfigurationError
from batchdrop.domain.money import micro_up

_PREFIX = "BATCHDROP_"


def _variable(field: str) -> str:
    return field.upper() if field.startswith("anthropic_") else _PREFIX + field.upper()


_ANTHROPIC = "https://api.anthropic.com"
# Claude Platform on AWS, "Authentication".
_ON_AWS = re.compile(r"https://aws-external-anthropic\.[a-z0-9-]+\.api\.aws")


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """Base: the field `table` is read from `BATCHDROP_TABLE`, `anthropic_base_url` from `ANTHROPIC_BASE_URL`."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Raises ConfigurationError, naming the variable that is missing or wrong."""
        try:
            return msgspec.convert(dict(os.environ if environment is None else environment), cls, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"the environment of this function is incomplete: {error}") from error


class _Ledger(Settings, frozen=True, kw_only=True):
    account: str
    """The stack's, and so that of its bucket."""
    bucket: str
    table: str


class _Spending(_Ledger, frozen=True, kw_only=True):
    """What may lead to a POST."""

    switch: str
    """Name of the SSM parameter."""
    submit_queue: str


class _Calling(_Ledger, frozen=True, kw_only=True):
    """What talks to the API."""

    api_key_secret: str = ""
    """Name or ARN of the secret; empty: a key is minted from the function's role."""
    workspace: str = ""
    """Of Claude Platform on AWS, for which keys are minted; empty: that of the key."""
    anthropic_base_url: str = _ANTHROPIC

    def __post_init__(self) -> None:
        _check_access(self.api_key_secret, self.workspace)


def _check_access(secret: str, workspace: str) -> None:
    if not (secret or workspace):
        raise ValueError("BATCHDROP_API_KEY_SECRET or BATCHDROP_WORKSPACE must be set")


class _Admitting(_Spending, frozen=True, kw_only=True):
    queued_requests_limit: int
    creates_per_tick: int
    open_jobs_per_folder: int
    ask_above_usd: str = ""
    """Dollars, as the limits below. Empty: nobody is asked, and nothing is limited."""
    daily_limit_usd: str = ""
    monthly_limit_usd: str = ""

    def amount(self, field: str) -> int | None:
        """Micro-dollars of one of the three. Raises ConfigurationError."""
        text: str = getattr(self, field)
        try:
            return micro_up(Decimal(text)) if text.strip() else None
        except ArithmeticError as error:
            raise ConfigurationError(f"{_variable(field)} must be an amount in dollars such as 100: {text!r}") from error


class PlanSettings(_Admitting, frozen=True, kw_only=True):
    plan_queue: str
    collect_queue: str
    max_batch_requests: int
    max_batch_bytes: int
    max_input_bytes: int
    spool_bytes: int
    """Disk of the collector: bounds the worst-case answers of a batch."""
    allowed_api_versions: str = ""
    """Separated by commas, as `allowed_betas`: see `domain.call_headers`."""
    allowed_betas: str = ""
    high_priority_folders: str = ""
    """Separated by commas: see `domain.high_priority`."""
    allowed_tools: str = ""
    """Separated by commas: what reaches beyond the model and a recipe may use all the same."""
    separate_teams: bool = False


class SubmitSettings(_Calling, frozen=True, kw_only=True):
    switch: str
    collect_queue: str
    submit_queue: str


class PollSettings(_Admitting, frozen=True, kw_only=True):
    # A struct has one base with fields: what `_Calling` holds is repeated here.
    api_key_secret: str = ""
    workspace: str = ""
    anthropic_base_url: str = _ANTHROPIC
    plan_queue: str
    collect_queue: str
    finish_queue: str
    grace_seconds: int
    visibility_seconds: int
    topic: str
    event_bus: str
    delete_batches: bool = False

    def __post_init__(self) -> None:
        _check_access(self.api_key_secret, self.workspace)

    @property
    def official(self) -> bool:
        """The API is at Anthropic's own address, or at AWS's."""
        url = self.anthropic_base_url.rstrip("/")
        return url == _ANTHROPIC or _ON_AWS.fullmatch(url) is not None


class CollectSettings(_Calling, frozen=True, kw_only=True):
    collect_queue: str
    finish_queue: str
    spool_bytes: int
    max_attempts: int


class FinishSettings(_Ledger, frozen=True, kw_only=True):
    topic: str
    event_bus: str
    """Its name."""
    finish_queue: str
    delete_batches: bool = False


class ControlSettings(_Calling, frozen=True, kw_only=True):
    collect_queue: str
    control_queue: str
    separate_teams: bool = False
