"""Runs measured processes one after the other, watches the disk they use, and keeps no more of them than their figures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from local.paths import ROOT

_LOOK_EVERY = 0.02
_CORE = ROOT / "layers" / "core"


class Disk:
    """The most bytes a folder held, as seen by looking often. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.peak = 0
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Disk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            self.peak = max(self.peak, _size(self._folder))


def run(
    module: str, *arguments: str, environment: Mapping[str, str], path: Sequence[Path] = (), options: Sequence[str] = ()
) -> Any:  # noqa: ANN401 - JSON
    """The last line that `python -m module` prints, decoded, with `disk` added: the most bytes of temporary files."""
    places = os.pathsep.join(map(str, [*path, ROOT, *([] if path else [_CORE])]))
    with tempfile.TemporaryDirectory() as folder, Disk(Path(folder)) as disk:
        done = subprocess.run(
            [sys.executable, *options, "-m", module, *arguments],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": places, "TMPDIR": folder},
            stdout=subprocess.PIPE,
            check=True,
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "disk": disk.peak}


def stage(environment: Mapping[str, str], *runs: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON
    """See `bench.stage`."""
    return run("bench.stage", json.dumps({"runs": runs}), environment=environment)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
