"""`make bench`: measures everything, side by side, and writes `bench/results.json` and `bench/results.md`.

`QUICK=1` measures less (fewer rows, rounds and sizes) in about two minutes, and writes to `.local/bench/` instead: its
figures are for a first look, not for quoting.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench import (
    coldstart,
    cost,
    documents,
    files,
    indexes,
    layer,
    machine,
    measured,
    memory,
    pages,
    pipeline,
    report,
    rows,
    targets,
    ticks,
)
from bench.servers import Servers, running
from local.paths import HOME

_HERE = Path(__file__).parent


class Extent(NamedTuple):
    rows: int
    rounds: int
    sizes: list[int]
    results_bytes: int
    open_batches: list[int]
    cold_starts: int
    table_rows: list[int]
    documents: list[int]


# Fewer than 50,000 rows of a table do not fill the buffers of an upload (`adapters.s3.PART_BYTES`); 100,000 are one batch.
_FULL = Extent(
    100_000,
    3,
    [5 * memory.MB, 500 * memory.MB, 5_000 * memory.MB],
    2_000 * memory.MB,
    [10, 1_000, 10_000],
    5,
    [50_000, 300_000],
    [20, 500],
)
_QUICK = Extent(50_000, 1, [5 * memory.MB, 50 * memory.MB], 100 * memory.MB, [10, 300], 1, [1_000, 50_000], [20, 60])


def measure(extent: Extent, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": machine.describe(), "quick": extent is _QUICK}
    with running(folder, "--eager", "--answer-bytes", str(files.ANSWER_BYTES)) as servers:
        _say("the whole path, beside the SDK and the floors")
        found["pipeline"] = pipeline.compare(servers, folder, extent.rows, extent.rounds)
        _say("rows of a table, beside the requests that a recipe makes of them")
        found["rows"] = rows.compare(servers, folder, extent.rows, extent.rounds)
        found["rows"]["memory"] = rows.memory(servers, folder, extent.table_rows)
        _say("peak memory and disk by size")
        found["memory"] = memory.measure(servers, folder, extent.sizes, extent.results_bytes)
        _say("documents that rows name")
        found["documents"] = documents.measure(extent.documents)
        _say("ticks")
        found["ticks"] = ticks.measure(servers, extent.open_batches)
        found["tick_at_rest"] = ticks.at_rest(servers)
        _say("the indexes of jobs")
        found["indexes"] = indexes.measure()
        _say("cold starts")
        packages = layer.build(folder)
        found["layers_bytes"] = layer.unzipped_bytes(packages)
        found["cold_start"] = _cold_starts(servers, packages, extent.cold_starts)
    start = found["cold_start"]["poll"]["wired"]["cpu"]["median"]
    found["cost"] = cost.model(found["pipeline"], found["tick_at_rest"], start)
    return found


def _cold_starts(servers: Servers, packages: Path, times: int) -> dict[str, Any]:
    return {name: _cold_start(servers, packages, name, times) for name in coldstart.SUBJECTS}


def _cold_start(servers: Servers, packages: Path, name: str, times: int) -> dict[str, Any]:
    # Without `site`, no package beside those of the layers is found.
    runs = [
        measured.run("bench.coldstart", name, environment=servers.environment, path=[packages], options=["-S"])
        for _ in range(times)
    ]
    spread = {
        step: {unit: measured.spread([one[step][unit] for one in runs]) for unit in ("wall", "cpu")} for step in coldstart.STEPS
    }
    return {**runs[-1], **spread}


def _say(what: str) -> None:
    print(f"bench: {what} ...", file=sys.stderr, flush=True)


def main() -> int:
    quick = os.environ.get("QUICK", "") not in {"", "0"}
    target = HOME / "bench" if quick else _HERE
    target.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(_QUICK if quick else _FULL, Path(folder))
    found["minutes"] = round((time.monotonic() - began) / 60, 1)
    # Written and read once: names of numbers are texts from here on, as for every later reader.
    text = json.dumps(found, indent=1) + "\n"
    (target / "results.json").write_text(text)
    (target / "results.md").write_text(report.page(json.loads(text)))
    if not quick:
        pages.fill(json.loads(text))
    for one in targets.judge(json.loads(text)):
        print(f"{'met   ' if one.met else 'MISSED'}  {one.figure}: {one.measured} (target: {one.target})")
    print(f"Written to {target.name}/results.json and {target.name}/results.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
