"""Rows of a table through a recipe, beside the raw requests that the recipe makes of them: pairs in turn, in one process.

The raw file is what `plan` rendered, without the rows' own fields, so both jobs send the same bytes and get the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain import ids
from batchdrop.domain.records import Job
from bench import files, measured
from bench.servers import BUCKET, TABLE, Servers

_STAGES = ["plan", "submit", "end", "poll", "collect", "finish"]
_STEPS = [stage for stage in _STAGES if stage != "end"]
_FOLDER = "inbox/reviews/"
_RECIPE = b"""\
model: claude-haiku-4-5
max_tokens: 200
prompt: |
  Is this review of {{ product }} positive, negative or neutral?

  {{ review }}
output:
  label: [positive, negative, neutral]
  explanation: string
"""


def compare(servers: Servers, folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Of `rows` rows of some 200 bytes in 8 columns; one in 100 fails for good, another one in 100 is answered with no JSON."""
    servers.clear()
    # Of a given length an answer is text; of none it is the JSON that is asked for.
    servers.claude.settings(answer_bytes=0)
    _drop_recipe(servers, folder)
    table = partial(files.write_table, failing=0.01, unusable=0.01)
    warm, source = table(folder / "warm.csv", 100), table(folder / "reviews.csv", rows)
    measured.stage(servers.environment, _order(servers, "warm.csv", warm, "plan"))
    raw_warm = _raw(servers, "warm.csv", folder / "warm.jsonl")
    measured.stage(servers.environment, _order(servers, "reviews.csv", source, "plan"))
    raw = _raw(servers, "reviews.csv", folder / "raw.jsonl")
    servers.clear()
    pairs = [
        order
        for turn in range(rounds + 1)
        for order in (
            _order(servers, f"{turn}.csv", source if turn else warm, *_STAGES),
            _order(servers, f"{turn}.jsonl", raw if turn else raw_warm, *_STAGES),
        )
    ]
    found = measured.stage(servers.environment, *pairs)
    servers.claude.settings(answer_bytes=files.ANSWER_BYTES)
    ours, other = found["runs"][2::2], found["runs"][3::2]
    return {
        "rows": rows,
        "rounds": rounds,
        "input_bytes": source.stat().st_size,
        "raw_bytes": raw.stat().st_size,
        "recipe": {stage: _step(ours, stage) for stage in _STEPS},
        "raw": {stage: _step(other, stage) for stage in _STEPS},
        "peak": found["peak"],
        "ratios": {name: measured.spread(values) for name, values in _ratios(ours, other).items()},
    }


def memory(servers: Servers, folder: Path, counts: list[int]) -> dict[str, dict[int, Any]]:
    """Peaks in bytes by stage and number of rows, each stage in a process of its own.

    A quarter of the rows fails for good and another one is sent again, so that collect has every one of its writers at work:
    once with a follow-up batch, once with the pieces of the attempt before and both tables.
    """
    servers.claude.settings(answer_bytes=0)
    peaks = {count: _peaks(servers, folder, count) for count in counts}
    servers.claude.settings(answer_bytes=files.ANSWER_BYTES)
    return {stage: {count: of[stage] for count, of in peaks.items()} for stage in ("plan", "collect")}


def _peaks(servers: Servers, folder: Path, count: int) -> dict[str, Any]:
    servers.clear()
    _drop_recipe(servers, folder)
    file = files.write_table(folder / "large.csv", count, failing=0.25, again=0.25)
    order = _order(servers, "large.csv", file)
    run = partial(_run, servers, order)
    plan = run("plan")
    collected = []
    for _ in range(2):
        run("submit", "end", "poll")
        collected.append(run("collect"))
    file.unlink()
    return {"plan": plan, "collect": max(collected)}


def _run(servers: Servers, order: dict[str, object], *stages: str) -> int:
    peak: int = measured.stage(servers.environment, {**order, "stages": stages})["peak"]
    return peak


def _drop_recipe(servers: Servers, folder: Path) -> None:
    recipe = folder / "recipe.yaml"
    recipe.write_bytes(_RECIPE)
    servers.drop(f"{_FOLDER}recipe.yaml", recipe)


def _order(servers: Servers, name: str, file: Path, *stages: str) -> dict[str, object]:
    return {"stages": stages, "key": _FOLDER + name, "version": servers.drop(_FOLDER + name, file)}


def _raw(servers: Servers, name: str, path: Path) -> Path:
    """Writes the requests that were made of a table's rows."""
    objects = S3Objects(servers.client("s3"), BUCKET)
    info = objects.head(_FOLDER + name)
    job: Job | None = DynamoLedger(servers.client("dynamodb"), TABLE, SystemClock()).get_job(
        ids.job_id(info.ref, info.written_at)
    )
    assert job is not None
    assert job.source is not None, job.reason
    with objects.read(job.source) as stream, path.open("wb") as file:
        file.writelines(_requests(stream.read().split(b"\n")))
    return path


def _requests(lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        if line:
            yield b'{"params":%b}\n' % msgspec.json.decode(line, type=dict[str, msgspec.Raw])["params"]


def _step(rounds: list[Any], step: str) -> dict[str, Any]:
    return {unit: measured.spread([one[step][unit] for one in rounds]) for unit in ("wall", "cpu")}


def _ratios(ours: list[Any], other: list[Any]) -> dict[str, list[float]]:
    """Each from two measurements of one round, which ran one right after the other."""
    pairs = list(zip(ours, other, strict=True))
    return {
        "plan CPU against raw plan and submit": [
            one["plan"]["cpu"] / (raw["plan"]["cpu"] + raw["submit"]["cpu"]) for one, raw in pairs
        ],
        "collect CPU against raw collect": [one["collect"]["cpu"] / raw["collect"]["cpu"] for one, raw in pairs],
    }
