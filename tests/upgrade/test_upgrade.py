"""A stack of version 0.1.0 is updated while its jobs are open: all of them end, as they would have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchdrop.adapters.items import admission_item, batch_item, claim_item, job_item, record_of
from batchdrop.domain.errors import BatchdropError
from batchdrop.domain.records import Admission, Batch, Job
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.template.facts import parse, source
from tests.upgrade.checkout import VERSION_0_1_0, file_of
from tests.upgrade.moment import MOMENTS, kind_of, load, read

# Long enough for the longest patience of repair.
MINUTES = 3 * 24 * 60
_NOTHING: tuple[dict[str, Any], ...] = ({"N": "0"}, {"S": ""}, {"L": []}, {"M": {}}, {"BOOL": False})
# What is said about a row, and the reason that ends the last line of a damaged gzip file.
_SENTENCE = re.compile(r'(?<="message":)"(?:[^"\\]|\\.)*"|(?<=\[gzip_truncated: )[^]]*')
# Version 0.1.0 knew no price.
_COST = re.compile(r'"cost_usd":(?:null|[0-9.]+),')
# Nor did a row that failed name its job, or were there pages and indexes.
_JOB_ID = re.compile(r'"job_id":"[^"]*",')
_NEW_FILES = ("/status.json", "/report.html", "/latest.json", "/index.json", "/index.html")
# In the answers of that day, what a custom id had besides the line.
_ATTEMPT = re.compile(r"[a-z2-7]{16}-[0-9]{1,2}-(?=[0-9])")


@pytest.fixture(params=MOMENTS, ids=lambda file: file.stem)
def moment(request: pytest.FixtureRequest) -> dict[str, Any]:
    file: Path = request.param
    return read(file)


def test_every_job_ends_as_it_would_have(moment: dict[str, Any]) -> None:
    stack = load(moment)
    stack.run(MINUTES)
    assert [job.state for job in stack.jobs() if job.state not in TERMINAL_JOB_STATES] == []
    assert stack.audit() == []
    assert [error for _, error in stack.failures if not isinstance(error, BatchdropError)] == []
    written = {key: stack.objects.body(key).decode() for key in stack.objects.keys("outbox/") if not key.endswith(_NEW_FILES)}
    now, then = unworded(written), unworded(moment["outputs"])
    new = {name for key, text in then.items() if key.endswith(".json") for name in _new_fields(now.get(key, "{}"), text)}
    assert new == set(), f"0.1.0 did not write {sorted(new)}: what is new on purpose is taken out by `unworded`"
    assert now == then


def _new_fields(now: str, then: str) -> set[str]:
    return {".".join(path) for path in set(_paths(json.loads(now))) - set(_paths(json.loads(then)))}


def _paths(value: Any) -> Iterator[tuple[str, ...]]:
    """Where something stands in a document: `("input", "key")`. Members of a list are told apart by nothing."""
    members = value.items() if isinstance(value, dict) else (("[]", one) for one in value) if isinstance(value, list) else ()
    for name, member in members:
        yield (name,)
        yield from ((name, *rest) for rest in _paths(member))


def unworded(outputs: dict[str, str]) -> dict[str, str]:
    """Without zeros, times, and what differs between versions: sentences, costs, custom ids, sizes, and what is new."""
    return {
        key: _unworded_manifest(text)
        if key.endswith("/manifest.json")
        else _COST.sub("", _JOB_ID.sub("", _ATTEMPT.sub("", _SENTENCE.sub("", text))))
        for key, text in outputs.items()
    }


def _unworded_manifest(text: str) -> str:
    document = json.loads(text)
    for name in ("message", "timings", "cost", "approvals", "answers", "failures", "headers"):
        document.pop(name, None)
    for batch in document["batches"]:
        # Each was sent when its turn came, and a message that failed comes back sooner or later than it did.
        del batch["created_at"], batch["ended_at"]
    document["counts"] = {status: rows for status, rows in document["counts"].items() if rows}
    document["files"] = {name: file["lines"] for name, file in document["files"].items()}
    return json.dumps(document)


def test_items_are_written_as_they_were_read(moment: dict[str, Any]) -> None:
    items = moment["items"]
    batches = {
        (batch.job_id, batch.name): batch for item in items if kind_of(item) == "BATCH" for batch in [record_of(item, Batch)]
    }
    for item in items:
        match kind_of(item):
            case "JOB":
                written = job_item(record_of(item, Job))
            case "BATCH":
                written = batch_item(record_of(item, Batch))
            case "API":
                owner = batches[item["job_id"]["S"], item["batch_name"]["S"]]
                written = claim_item(item["pk"]["S"].removeprefix("API#"), owner)
            case _:
                written = admission_item(record_of(item, Admission))
        if "phase" in written:
            written["state"] = written.pop("phase")
        if "shelf" in written:
            written["shelf"] = {"S": written["shelf"]["S"].removesuffix(".2")}
        new = {name: value for name, value in written.items() if name not in item}
        if written.get("shelf") == {"S": "canceling"}:
            # Each job has a place of its own by now, behind the time alone.
            written["due"] = {"S": written["due"]["S"].removesuffix(f"|{item['id']['S']}")}
        assert {name: value for name, value in written.items() if name not in new} == item
        if kind_of(item) == "JOB" and item["state"]["S"] == "running" and "shelf" not in item:
            assert (new.pop("shelf"), new.pop("due", None) is None) == ({"S": "running"}, False)
        # The version that the SDK sent by itself is written down.
        if kind_of(item) == "JOB":
            assert new.pop("api_version") == {"S": "2026-10-21"}
        # What 0.1.0 did not know starts at nothing.
        assert {name: value for name, value in new.items() if value not in _NOTHING} == {}


def test_the_switch_is_what_it_was_to_the_letter() -> None:
    """Any change of the resource has CloudFormation write `run` into the parameter, where it may stand at `stop`."""
    earlier = parse(file_of(VERSION_0_1_0, "template.yaml"))
    assert source()["Resources"]["Switch"] == earlier["Resources"]["Switch"]
