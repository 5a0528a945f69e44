"""docs/files.md has a row for every field that the two files of a job may have, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from batchdrop.domain.records import Counts, Usage
from batchdrop.reports.manifest import OutputFile, Whole
from batchdrop.reports.next_step import NextStep
from batchdrop.reports.samples import Sample
from tests.docs.pages import ROOT, blocks, section, table_rows
from tests.money import dear_rows, held, say, stack_of
from tests.stack import Stack, row

_PAGE = ROOT / "docs" / "files.md"
_REPORTS = ROOT / "layers" / "core" / "batchdrop" / "reports"
RECIPE = b"""model: claude-haiku-4-5
prompt: "Label this: {{ text }}"
output: {label: [good, bad]}
"""


def _rows(file: str) -> set[str]:
    return {name for told in table_rows(section(_PAGE, file)) for name in re.findall(r"`([\w.*\[\]]+)`", told[0])}


def _fields(value: Any, told: set[str], path: str = "") -> Iterator[str]:
    """Each field that has no fields of its own, as the page writes it: a name that is out of somebody's data is `*`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            own = f"{path}.{name}".lstrip(".")
            anybody = f"{path}.*".lstrip(".")
            yield from _fields(inner, told, own if own in told or not any(one.startswith(anybody) for one in told) else anybody)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from _fields(inner, told, f"{path}[]")
    else:
        yield path


def _jobs() -> Iterator[Stack]:
    plain = Stack()
    plain.drop("inbox/team/a.jsonl", b"\n".join([row("a"), b"no json"]), {"batchdrop-reference": "run-7"})
    plain.run()
    yield plain
    dear = stack_of(3_000, max_requests=10, ask_above="0.3")
    dear.drop("inbox/team/b.jsonl", dear_rows(60))
    job = held(dear, "approval")
    yield dear
    say(dear, "approve", job)
    dear.run(minutes=30)
    yield dear
    tables = Stack()
    tables.drop("inbox/team/recipe.yaml", RECIPE)
    tables.drop("inbox/team/c.csv", b"text\nfine\n")
    tables.run()
    yield tables


def test_every_field_that_jobs_have_is_told() -> None:
    seen = 0
    for stack in _jobs():
        for file in ("status.json", "manifest.json"):
            told = _rows(file)
            for key in stack.objects.keys("outbox/team/"):
                if key.endswith(f"/{file}"):
                    found = set(_fields(json.loads(stack.objects.get(key)), told))
                    empty = {one for one in found if any(name.startswith((f"{one}.", f"{one}[")) for name in told)}
                    assert sorted(found - told - empty) == []
                    seen += 1
    assert seen > 5


@pytest.mark.parametrize("file", ["status.json", "manifest.json"])
def test_every_name_in_the_code_is_told(file: str) -> None:
    """Also of fields that few jobs have: a new one without a row fails here."""
    modules = ["status.py", "manifest.py"] if file == "manifest.json" else ["status.py"]
    written = {name for module in modules for name in re.findall(r'"(\w+)": ', (_REPORTS / module).read_text())}
    structs = [Counts, NextStep, Sample] if file == "status.json" else [Counts, Usage, OutputFile, Whole]
    written |= {name for struct in structs for name in struct.__struct_fields__}
    told = {part.removesuffix("[]") for one in (*_rows("status.json"), *_rows(file)) for part in one.split(".")}
    assert sorted(written - told) == []


@pytest.mark.usefixtures("_region")
def test_a_program_finds_its_job_by_the_reference() -> None:
    stack = Stack()
    stack.drop("inbox/team/a.jsonl", row("a"), {"batchdrop-reference": "run-7"})
    stack.drop("inbox/team/b.jsonl", row("b"))
    stack.run()
    (code,) = blocks(_PAGE, "python")
    names: dict[str, Any] = {}
    exec(code, names)
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="outbox/team/index.json", Body=stack.objects.get("outbox/team/index.json"))
        found = names["folders_of"]("bucket", "team", "run-7")
    (job,) = (job for job in stack.jobs() if job.reference)
    assert found == [f"outbox/team/a/{job.id}/"]


@pytest.fixture
def _region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DEFAULT_REGION": "us-east-1", "ACCESS_KEY_ID": "testing", "SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
