"""When a job that is watched is told of: at each change, and now and then in between."""

from __future__ import annotations

import time
from datetime import datetime

from batchdrop_client.job_status import JobStatus
from batchdrop_client.plain_text import plain

QUIET_SECONDS = 300.0
"""After so long without a change the last sentence is told again: whoever reads a log sees that somebody still looks."""


class Changes:
    def __init__(self) -> None:
        self._told = ""
        self._at = 0.0

    def line(self, status: JobStatus) -> str | None:
        """`08:31:02 ...`, the sentence of the job; None: it was told a moment ago."""
        now = time.monotonic()
        if status.message == self._told and now - self._at < QUIET_SECONDS:
            return None
        self._told, self._at = status.message, now
        return f"{datetime.now():%H:%M:%S} {plain(status.message)}"  # noqa: DTZ005 - the wall's
