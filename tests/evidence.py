"""What the API in memory holds, for an audit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from batchdrop_cli.audit.evidence import Accepted, Sent
from tests.fakes.claude import FakeClaude


class FakeEvidence:
    complete = True

    def __init__(self, claude: FakeClaude) -> None:
        self._claude = claude

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        for api_id in self._claude.ids:
            if self._claude.created_at(api_id) >= since:
                yield Accepted(id=api_id, requests=len(self._claude.requests_of(api_id)))

    def requests(self, api_id: str) -> Iterator[Sent]:
        answered = self._claude.answered(api_id)
        return (Sent(one, one in answered) for one in self._claude.requests_of(api_id))
