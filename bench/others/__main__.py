"""`python -m bench.others`: installs the tools, puts each through the same trials and fills in `docs/comparison.md`.

The tools run beside each other: no time is measured. Every run of a tool is ended after `trials.RUN_SECONDS`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import machine
from bench.others import batchdrop, environments, report, trials

_ROWS = 2_000


def main() -> int:
    for tool in environments.TOOLS:
        environments.make(tool)
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        "rows": _ROWS,
        "versions": {tool: environments.pinned(tool) for tool in environments.TOOLS},
    }
    with tempfile.TemporaryDirectory() as folder:
        _say("kills, lost connections, rows that fail")
        with ThreadPoolExecutor(len(environments.TOOLS)) as pool:
            told = pool.map(partial(trials.behaviour, folder=Path(folder), rows=_ROWS), environments.TOOLS)
            found["behaviour"] = {"batchdrop": batchdrop.behaviour(_ROWS), **dict(zip(environments.TOOLS, told, strict=True))}
    report.RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    report.PAGE.write_text(report.filled(report.PAGE.read_text(), found))
    return 0


def _say(what: str) -> None:
    print(f"bench.others: {what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
