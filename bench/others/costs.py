"""Processor time and memory of each tool for the same rows, as ratios to the SDK loop's in the same round.

One after the other, none beside another. Batchdrop's stages run as in `make bench`, in one process over servers of their own; its
S3 and table are in other processes, as the API is for all. What is imported is loaded before, by a job of ten rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import measured
from bench.others import environments, trials
from bench.others.trials import Trial
from bench.servers import Servers, running

_ROUNDS = 3
_WARM_ROWS = 10
_STAGES = ["plan", "submit", "end", "poll", "collect", "finish"]
_BASE = "sdk"


def costs(folder: Path, rows: int) -> dict[str, dict[str, dict[str, float]] | None]:
    """By tool: `cpu` and `peak` as ratios, or None for one that does not come to its end."""
    source, warm = trials.write_rows(folder / "rows.jsonl", rows), trials.write_rows(folder / "warm.jsonl", _WARM_ROWS)
    with running(folder, "--eager") as servers:
        tools = {tool: Trial(tool, servers.claude, folder) for tool in environments.TOOLS}
        rounds = [
            {
                "batchdrop": _batchdrop(servers, source, warm),
                **{tool: trial.used(source, warm, rows) for tool, trial in tools.items()},
            }
            for _ in range(_ROUNDS)
        ]
    return {tool: ratios(tool, rounds) for tool in rounds[0]}


def ratios(tool: str, rounds: Sequence[Mapping[str, Mapping[str, float] | None]]) -> dict[str, dict[str, float]] | None:
    """To the loop's in the same round; None if a run did not come to its end."""
    pairs = [(of, base) for one in rounds if (of := one[tool]) and (base := one[_BASE])]
    if len(pairs) < len(rounds):
        return None
    return {unit: measured.spread([of[unit] / base[unit] for of, base in pairs]) for unit in ("cpu", "peak")}


def _batchdrop(servers: Servers, source: Path, warm: Path) -> dict[str, float]:
    servers.clear()
    orders: list[dict[str, object]] = [
        {"stages": _STAGES, "key": f"inbox/{file.name}", "version": servers.drop(f"inbox/{file.name}", file)}
        for file in (warm, source)
    ]
    found: Any = measured.stage(servers.environment, *orders)
    stages = found["runs"][-1].values()
    if not all(stage["times"] for stage in stages):
        raise RuntimeError("a stage had nothing to do: the job has not come to its end")
    return {"cpu": sum(stage["cpu"] for stage in stages), "peak": found["peak"]}
