"""`python -m bench.others`: installs the tools, puts each through the same trials and fills in `docs/comparison.md`.

`python -m bench.others costs` measures processor time and memory alone, anew. For the rest the tools run beside each other. Every
run of a tool is ended after `trials.RUN_SECONDS`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import machine
from bench.others import batchdrop, costs, environments, report, trials

_ROWS = 2_000


def main() -> int:
    for tool in environments.TOOLS:
        environments.make(tool)
    found = json.loads(report.RESULTS.read_text()) if sys.argv[1:] == ["costs"] else _behaviour()
    with tempfile.TemporaryDirectory() as folder:
        _say("processor time and memory")
        found["costs"] = {**_when(), "tools": costs.costs(Path(folder), _ROWS)}
    report.RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    report.PAGE.write_text(report.filled(report.PAGE.read_text(), found))
    return 0


def _behaviour() -> dict[str, Any]:
    found = {**_when(), "rows": _ROWS, "versions": {tool: environments.pinned(tool) for tool in environments.TOOLS}}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(environments.TOOLS)) as pool:
        _say("kills, lost connections, rows that fail")
        told = pool.map(partial(trials.behaviour, folder=Path(folder), rows=_ROWS), environments.TOOLS)
        found["behaviour"] = {"batchdrop": batchdrop.behaviour(_ROWS), **dict(zip(environments.TOOLS, told, strict=True))}
    return found


def _when() -> dict[str, Any]:
    return {"date": datetime.now(UTC).date().isoformat(), "machine": machine.describe()}


def _say(what: str) -> None:
    print(f"bench.others: {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
