"""What an audit says. Never a prompt, an answer or a key."""

from __future__ import annotations

from enum import StrEnum

from batchdrop.domain.record import Record


class Severity(StrEnum):
    error = "error"
    """A promise is broken: paid twice, lost, invented, or counted wrong."""
    warning = "warning"
    """Something could not be looked at, or may be right in a moment."""


class Finding(Record, frozen=True, kw_only=True):
    severity: Severity = Severity.error
    kind: str
    """One word or two for programs: `accepted_twice`, `row_lost`, `counter`, ..."""
    sentence: str
    job_id: str | None = None
    batch: str | None = None
    line: int | None = None
