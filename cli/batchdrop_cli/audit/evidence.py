"""What the API holds: what the real one can tell, and what the Claude emulator knows besides."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from batchdrop.domain.record import Record
from batchdrop.formats.api_result import parse_result, result_lines
from batchdrop.ports import Claude

_EMULATOR_SECONDS = 60.0


class Accepted(Record, frozen=True, kw_only=True):
    """A batch that the API has accepted, whoever sent it."""

    id: str
    requests: int


class Sent(NamedTuple):
    """One request that the API has accepted."""

    custom_id: str
    answered: bool
    """It succeeded, and is billed."""


class Evidence(Protocol):
    """What the API holds."""

    complete: bool
    """Whether `requests` names every request. Results do not: a row may be missing from them."""

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        """Every batch created at that time or later; older ones do no harm."""

    def requests(self, api_id: str) -> Iterator[Sent] | None:
        """Of a batch; None while they cannot be known."""


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

    def requests(self, api_id: str) -> Iterator[Sent] | None:
        return self._of_results(api_id) if self._ended.get(api_id) else None

    def _of_results(self, api_id: str) -> Iterator[Sent]:
        with self._claude.results(api_id) as chunks:
            yield from _sent(result_lines(chunks))


class EmulatorEvidence:
    """What the Claude emulator has accepted, request bodies included."""

    complete = True

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        for batch in self._get("/batches")["batches"]:
            if datetime.fromisoformat(batch["created_at"]) >= since:
                yield Accepted(id=batch["id"], requests=batch["requests"])

    def requests(self, api_id: str) -> Iterator[Sent]:
        answered = {one.custom_id for one in _sent(self._read(f"/batches/{api_id}/results").splitlines()) if one.answered}
        for request in self._get(f"/batches/{api_id}/body")["requests"]:
            yield Sent(request["custom_id"], request["custom_id"] in answered)

    def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self._read(path))

    def _read(self, path: str) -> bytes:
        with closing(http.client.HTTPConnection(self._address, timeout=_EMULATOR_SECONDS)) as connection:
            try:
                connection.request("GET", f"/_emulator{path}")
            except OSError as error:
                raise OSError(f"the Claude emulator at {self._address} cannot be reached: {error}") from error
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"the Claude emulator at {self._address} answered GET {path} with {answer.status}")
        return body


def _sent(lines: Iterable[bytes]) -> Iterator[Sent]:
    """A line that is no result tells of no request."""
    for line in lines:
        try:
            result = parse_result(line)
        except ValueError:
            continue
        yield Sent(result.custom_id, result.type == "succeeded")
