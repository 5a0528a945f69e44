"""The whole path and each stage against the SDK and against the floor: pairs in turn, several rounds, medians of ratios."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import files, measured
from bench.servers import BUCKET, Servers

# "end" is no stage: there the batches end at the API.
_STAGES = ["plan", "submit", "end", "poll", "collect", "finish"]
_STEPS = [stage for stage in _STAGES if stage != "end"]
_FAILING = 100


def compare(servers: Servers, folder: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Of `rows` rows of 1 KB, answered with 1.5 KB each; one in 100 fails for good."""
    warm = files.write_rows(folder / "warm.jsonl", 10)
    source = files.write_rows(folder / "rows.jsonl", rows, failing=_FAILING)
    taken = []
    for _ in range(rounds):
        servers.clear()
        taken.append((_ours(servers, warm, source), _sdk(servers, warm, source), _floors(servers, source)))
    ours, sdk, floors = (list(column) for column in zip(*taken, strict=True))
    return {
        "rows": rows,
        "rounds": rounds,
        "input_bytes": source.stat().st_size,
        "results_bytes": (folder / "saved.jsonl").stat().st_size,
        "batchdrop": {stage: _stage(ours, stage) for stage in _STEPS},
        "sdk": {step: _step(sdk, step) for step in ("load", "create", "save", "results")},
        "floor": {stage: _step(floors, stage) for stage in ("plan", "submit", "collect")},
        "peak": {"batchdrop": max(one["peak"] for one in ours), "sdk": max(one["peak"] for one in sdk)},
        "ratios": _ratios(ours, sdk, floors),
    }


def _ours(servers: Servers, warm: Path, source: Path) -> Any:  # noqa: ANN401 - JSON
    runs = [_run(servers, f"inbox/{file.name}", file) for file in (warm, source)]
    found = measured.stage(servers.environment, *runs)
    return {"peak": found["peak"], **found["runs"][-1]}


def _run(servers: Servers, key: str, file: Path) -> dict[str, object]:
    return {"stages": _STAGES, "key": key, "version": servers.drop(key, file)}


def _sdk(servers: Servers, warm: Path, source: Path) -> Any:  # noqa: ANN401 - JSON
    saved = str(source.with_name("saved.jsonl"))
    found = measured.run("bench.sdk", str(warm), str(source), saved, environment=servers.environment)
    return {"peak": found["peak"], **found["steps"]}


def _floors(servers: Servers, source: Path) -> Any:  # noqa: ANN401 - JSON
    return measured.run("bench.floors", servers.s3, f"/{BUCKET}/inbox/{source.name}", environment=servers.environment)


def _stage(rounds: list[Any], stage: str) -> dict[str, Any]:
    return {**_step(rounds, stage), "calls": rounds[-1][stage]["calls"]}


def _step(rounds: list[Any], step: str) -> dict[str, Any]:
    return {unit: measured.spread([one[step][unit] for one in rounds]) for unit in ("wall", "cpu")}


def _ratios(ours: list[Any], sdk: list[Any], floors: list[Any]) -> dict[str, dict[str, float]]:
    """Each from the two measurements of one round, which ran one right after the other."""
    rounds = list(zip(ours, sdk, floors, strict=True))
    found = {
        f"whole path, {unit}": [
            _sum(one, unit, *_STEPS) / _sum(other, unit, "load", "create", "save") for one, other, _ in rounds
        ]
        for unit in ("wall", "cpu")
    }
    found["submit CPU against json.loads and create"] = [
        one["submit"]["cpu"] / _sum(other, "cpu", "load", "create") for one, other, _ in rounds
    ]
    found["collect CPU against results() alone"] = [one["collect"]["cpu"] / other["results"]["cpu"] for one, other, _ in rounds]
    for stage in ("plan", "submit", "collect"):
        found[f"{stage} CPU against its floor"] = [one[stage]["cpu"] / floor[stage]["cpu"] for one, _, floor in rounds]
    return {name: measured.spread(values) for name, values in found.items()}


def _sum(figures: Any, unit: str, *steps: str) -> float:  # noqa: ANN401 - JSON
    return sum(float(figures[step][unit]) for step in steps)
