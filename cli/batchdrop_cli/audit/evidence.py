"""What the API holds: what the real one can tell, and what the Claude emulator knows besides."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from batchdrop.domain.records import Record
from batchdrop.formats.api_result import peek_custom_id, result_lines
from batchdrop.ports import Claude

_EMULATOR_SECONDS = 60.0


class Accepted(Record, frozen=True, kw_only=True):
    """A batch that the API has accepted, whoever sent it."""

    id: str
    requests: int


class Evidence(Protocol):
    """What the API holds."""

    complete: bool
    """Whether `custom_ids` names every request. Results do not: a row may be missing from them."""

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        """Every batch created at that time or later; older ones do no harm."""

    def custom_ids(self, api_id: str) -> Iterator[str] | None:
        """Of every request of a batch; None while they cannot be known."""


class ListedEvidence:
    """What the real API can tell: its list, and the results of batches that have ended."""

    complete = False

    def __init__(self, claude: Claude) -> None:
        self._claude = claude
        self._ended: dict[str, bool] = {}

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        cursor: str | None = None
        while True:
            page = self._claude.page(cursor)
            for batch in page.batches:
                if batch.created_at < since:
                    return
                self._ended[batch.id] = batch.has_results
                yield Accepted(id=batch.id, requests=batch.counts.all)
            cursor = page.next
            if cursor is None:
                return

    def custom_ids(self, api_id: str) -> Iterator[str] | None:
        return self._of_results(api_id) if self._ended.get(api_id) else None

    def _of_results(self, api_id: str) -> Iterator[str]:
        with self._claude.results(api_id) as chunks:
            for line in result_lines(chunks):
                yield peek_custom_id(line)


class EmulatorEvidence:
    """What the Claude emulator has accepted, request bodies included."""

    complete = True

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        for batch in self._get("/batches")["batches"]:
            if datetime.fromisoformat(batch["created_at"]) >= since:
                yield Accepted(id=batch["id"], requests=batch["requests"])

    def custom_ids(self, api_id: str) -> Iterator[str]:
        return (request["custom_id"] for request in self._get(f"/batches/{api_id}/body")["requests"])

    def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        with closing(http.client.HTTPConnection(self._address, timeout=_EMULATOR_SECONDS)) as connection:
            try:
                connection.request("GET", f"/_emulator{path}")
            except OSError as error:
                raise OSError(f"the Claude emulator at {self._address} cannot be reached: {error}") from error
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"the Claude emulator at {self._address} answered GET {path} with {answer.status}")
        return json.loads(body)
