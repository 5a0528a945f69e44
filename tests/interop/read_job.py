"""A job whose answers `docs/reading.md` reads: its table and recipe stand in that page, what the model says stands here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchdrop.domain.records import Job, JobState
from tests.stack import Stack
from tests.stages.row_jobs import prompt_of, said, stack_of

_FOLDER = "inbox/marketing/"
_CORRECTED = "Just fine"
_SAID: dict[str, dict[str, object]] = {
    "Warm and light": {"label": "positive", "topics": ["quality"], "stars": 5, "item": {"name": "blanket", "colour": "grey"}},
    "-20% off": {"label": "negative", "topics": ["price", "delivery"], "stars": 2, "item": {"name": "lamp", "colour": None}},
    _CORRECTED: {"label": "positive", "topics": [], "stars": 4, "item": {"name": "chair", "colour": None}},
}


def _answer(_: str, params: dict[str, Any]) -> Mapping[str, object]:
    prompt = prompt_of(params)
    return next(
        (said(json.dumps(output)) for begin, output in _SAID.items() if begin in prompt),
        said('{"label": "pos', stop="max_tokens"),
    )


def write_answers(table: str, recipe: str, folder: Path) -> None:
    """Writes what a job leaves into a folder, and what its `failed.csv` leaves once one of its rows is corrected."""
    stack = stack_of(_answer)
    stack.drop(f"{_FOLDER}recipe.yaml", recipe.encode())
    job = _ended(stack, "reviews.csv", table.encode())
    corrected = stack.output("failed.csv", job).replace(b"0014,,", f"0014,{_CORRECTED},".encode())
    again = _ended(stack, "failed.csv", corrected)
    for one, names in (
        (again, ("complete.csv", "complete.jsonl")),
        (job, ("results.csv", "results.jsonl", "failed.csv", "failed.jsonl")),
    ):
        for name in names:
            (folder / name).write_bytes(stack.output(name, one))


def _ended(stack: Stack, name: str, body: bytes) -> Job:
    before = {job.id for job in stack.jobs()}
    stack.drop(_FOLDER + name, body)
    stack.run()
    (job,) = [job for job in stack.jobs() if job.id not in before]
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    return job
