"""What the Claude emulator has accepted and billed, read once when all is over, and what of it came back in the outbox.

Nothing here trusts Batchdrop's records: what a row is comes from the file as it was dropped.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from batchdrop.domain.ids import parse_custom_id, prefixes_of
from batchdrop.domain.records import Batch
from batchdrop_cli.audit.evidence import Accepted, Sent
from local.claude.client import Control

# Some lines are too large to be parsed in passing; their prompts are plain ASCII.
_PROMPT = re.compile(rb'"content": "([^"\\]*)"')


class Bill:
    """`answers`: the ids of the messages that were billed, by prompt."""

    def __init__(self, claude: Control) -> None:
        self.answers: dict[str, list[str]] = defaultdict(list)
        self._sent: dict[str, list[Sent]] = {}
        self._by_prefix: dict[str, set[str]] = defaultdict(set)
        for batch in claude.batches():
            self._read(claude, batch["id"])

    def _read(self, claude: Control, api_id: str) -> None:
        messages = {}
        for text in claude.results(api_id).splitlines():
            line = json.loads(text)
            if line["result"]["type"] == "succeeded":
                messages[line["custom_id"]] = line["result"]["message"]["id"]
        self._sent[api_id] = []
        for request in json.loads(claude.body(api_id))["requests"]:
            custom_id = request["custom_id"]
            self._sent[api_id].append(Sent(custom_id, custom_id in messages))
            if custom_id in messages:
                self.answers[request["params"]["messages"][0]["content"]].append(messages[custom_id])
            if ours := parse_custom_id(custom_id):
                self._by_prefix[ours.prefix].add(api_id)

    def of(self, batches: Iterable[Batch]) -> Evidence:
        """All that was accepted with custom ids of these batches, or in their names."""
        batches = list(batches)
        named = {batch.api_id for batch in batches if batch.api_id}
        sent = {one for batch in batches for prefix in prefixes_of(batch) for one in self._by_prefix.get(prefix, ())}
        return Evidence({one: self._sent[one] for one in sorted(named | sent)})


class Evidence:
    """A part of the bill, for an audit."""

    complete = True

    def __init__(self, sent: Mapping[str, list[Sent]]) -> None:
        self._sent = sent

    def accepted(self, since: datetime) -> Iterator[Accepted]:
        return (Accepted(id=one, requests=len(sent)) for one, sent in self._sent.items())

    def requests(self, api_id: str) -> Iterator[Sent]:
        return iter(self._sent[api_id])


class Outputs(Protocol):
    """Of a job that has ended."""

    def manifest(self) -> dict[str, Any]: ...

    def lines(self, name: str) -> list[dict[str, Any]]: ...


def check_delivery(job: Outputs, body: bytes, counts: Mapping[str, int], bill: Bill) -> Iterator[str]:
    """Each row of a file that was dropped is billed once at most, and delivered once: with the answer that was billed for it."""
    told = {status: number for status, number in job.manifest()["counts"].items() if number and status != "total"}
    if told != counts:
        yield f"its rows ended as {told}, not as {dict(counts)}"
    prompts = dict(_prompts(body))
    delivered: Counter[int] = Counter()
    for line in job.lines("results.jsonl"):
        number, message = line["line"], line["result"]["message"]["id"]
        delivered[number] += 1
        if message not in bill.answers[prompts.get(number, "")]:
            yield f"line {number} has an answer that was not given to it"
    delivered.update(line["_batchdrop"]["line"] for line in job.lines("failed.jsonl"))
    if counts and delivered != Counter(prompts.keys()):
        yield f"the outputs hold the lines {sorted(delivered.elements())}, the file {sorted(prompts)}"
    for number, prompt in prompts.items():
        if len(bill.answers[prompt]) > 1:
            yield f"line {number} was paid for {len(bill.answers[prompt])} times"


def _prompts(body: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).split(b"\n"), start=1):
        if line:
            found = _PROMPT.search(line)
            yield number, found[1].decode() if found else ""
