"""Which figures are judged, by what, and whether they hold."""

from __future__ import annotations

from typing import Any, NamedTuple

MEGABYTE = 1_000_000
_LARGEST_FUNCTION = 256 * MEGABYTE
LARGEST_LAYERS = 250 * MEGABYTE
"""Lambda developer guide, "Lambda quotas": the function and all its layers, unzipped."""
_MOST_GROWTH = 1.15
_LONGEST_IMPORT = 0.6
_LIST_PAGE = 1_000
_INDEXES_CPU, _INDEX_WRITES = 1.0, 4
_PER_MILLION_ROWS = 0.01
_IDLE_MONTH, _IDLE_MONTH_AFTER_FREE_TIERS = 2.20, 0.90


class Target(NamedTuple):
    figure: str
    target: str
    measured: str
    met: bool


def judge(found: dict[str, Any]) -> list[Target]:
    """`found` as it stands in `results.json`."""
    ratios = found["pipeline"]["ratios"]
    return [
        _ratio("whole path against the bare SDK loop, wall", ratios["whole path, wall"], 0.5),
        _ratio("submit CPU against the SDK's way", ratios["submit CPU against json.loads and create"], 0.1),
        _ratio("collect CPU against SDK `results()` alone", ratios["collect CPU against results() alone"], 0.35),
        _growth(found["memory"]),
        _peak(found),
        _large_results(found["memory"]),
        *_rows(found["rows"]),
        _documents(found["documents"]),
        *_cold(found["cold_start"]),
        _layers(found["layers_bytes"]),
        _tick(found["ticks"]),
        _rest(found["tick_at_rest"]),
        _indexes(found["indexes"]),
        *_cost(found["cost"]),
    ]


def mb(size: str | float) -> str:
    """Bytes for people."""
    return f"{int(size) / MEGABYTE:,.0f} MB"


def _ratio(figure: str, spread: dict[str, float], most: float) -> Target:
    shown = f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"
    return Target(figure, f"at most {most}", shown, spread["median"] <= most)


def _growth(memory: dict[str, Any]) -> Target:
    peaks = {stage: [one["peak"] for one in sizes.values()] for stage, sizes in memory["stages"].items()}
    growth = {stage: of[-1] / of[0] for stage, of in peaks.items()}
    worst = max(growth, key=lambda stage: growth[stage])
    sizes = list(memory["stages"][worst])
    figure = f"peak memory, {mb(sizes[-1])} against {mb(sizes[0])} of input"
    return Target(figure, f"at most {_MOST_GROWTH}", f"{growth[worst]:.2f} ({worst}, the worst)", growth[worst] <= _MOST_GROWTH)


def _peak(found: dict[str, Any]) -> Target:
    peaks = {(one["peak"], stage) for stage, sizes in found["memory"]["stages"].items() for one in sizes.values()}
    peaks |= {(ticks[kind]["peak"], "poll") for ticks in found["ticks"].values() for kind in ("quiet", "ended")}
    most, stage = max(peaks)
    return Target(
        "peak memory of plan, submit, poll, collect, finish",
        "under 256 MB",
        f"{mb(most)} ({stage}, the worst)",
        most < _LARGEST_FUNCTION,
    )


def _large_results(memory: dict[str, Any]) -> Target:
    large, disk = memory["large_results"], memory["given"]["collect"]["disk"]
    met = large["peak"] < _LARGEST_FUNCTION and large["disk"] <= disk
    shown = f"{mb(large['peak'])}, {mb(large['disk'])} of disk"
    return Target(f"collect with {mb(large['results_bytes'])} of results", f"under 256 MB, {mb(disk)} of disk", shown, met)


def _rows(rows: dict[str, Any]) -> list[Target]:
    ratios = rows["ratios"]
    plan, collect = (list(rows["memory"][stage].values()) for stage in ("plan", "collect"))
    growth, most = max(plan[-1] / plan[0], collect[-1] / collect[0]), max(*plan, *collect)
    counts = list(rows["memory"]["plan"])
    return [
        _ratio("plan of a table, CPU, against raw plan and submit", ratios["plan CPU against raw plan and submit"], 2.5),
        _ratio("collect of a table, CPU, against raw collect", ratios["collect CPU against raw collect"], 2.0),
        Target(
            f"peak memory, {int(counts[-1]):,} rows of a table against {int(counts[0]):,}",
            f"at most {_MOST_GROWTH}",
            f"{growth:.2f}",
            growth <= _MOST_GROWTH,
        ),
        Target("plan and collect of a table, every writer at work", "under 256 MB", mb(most), most < _LARGEST_FUNCTION),
    ]


def _documents(documents: dict[str, Any]) -> Target:
    (fewest, *_), (most, *_) = documents, reversed(documents)
    growth, peak = documents[most]["peak"] / documents[fewest]["peak"], max(one["peak"] for one in documents.values())
    return Target(
        f"plan and submit of {most} PDFs of 1 to 20 MB, peak memory, and against {fewest}",
        f"under 256 MB, at most {_MOST_GROWTH}",
        f"{mb(peak)}, {growth:.2f}",
        peak < _LARGEST_FUNCTION and growth <= _MOST_GROWTH,
    )


def _cold(cold: dict[str, Any]) -> list[Target]:
    without = [cold[name] for name in ("plan", "finish")]
    slowest = max(one["import"]["cpu"]["median"] for one in without)
    wall = max(one["import"]["wall"]["median"] for one in without)
    clean = not any(one["sdk"] for one in without)
    return [
        Target("functions without Claude calls", "do not import `anthropic`", "they do not" if clean else "they do", clean),
        Target(
            "their import, CPU",
            f"under {_LONGEST_IMPORT} s",
            f"{slowest:.2f} s ({wall:.2f} s of wall)",
            slowest < _LONGEST_IMPORT,
        ),
    ]


def _layers(size: int) -> Target:
    return Target("both layers, unzipped", f"under {mb(LARGEST_LAYERS)}", mb(size), size < LARGEST_LAYERS)


def _tick(ticks: dict[str, Any]) -> Target:
    count, tick = list(ticks.items())[-1]
    pages = -(-int(count) // _LIST_PAGE)
    quiet, ended, changed = tick["quiet"], tick["ended"], tick["changed"]
    met = (quiet["list_calls"], quiet["writes"], ended["writes"]) == (pages, 0, changed)
    shown = f"{quiet['list_calls']} list calls; {quiet['writes']} writes, {ended['writes']} when {changed} ended"
    return Target(f"tick with {int(count):,} open batches", f"{pages} list calls; writes = batches that changed", shown, met)


def _rest(tick: dict[str, Any]) -> Target:
    calls = {**tick["calls"], "list": tick["list_calls"]}
    most = {"DynamoDB.Scan": 1, "list": 0}
    shown = f"{tick['reads']} read, {sum(calls.values()) - tick['reads']} other calls"
    return Target("tick with nothing open", "1 read and no other call", shown, calls == most)


def _indexes(indexes: dict[str, Any]) -> Target:
    ticks = [*indexes["filled"], *indexes["ended"]]
    slowest, writes = max(one["cpu"] for one in ticks), max(one["writes"] for one in ticks)
    return Target(
        f"indexes of {indexes['jobs']:,} jobs, {indexes['at_once']:,} of which end at once, in a tick",
        f"under {_INDEXES_CPU} s of CPU, {_INDEX_WRITES} writes",
        f"{slowest:.2f} s, {writes} writes",
        slowest < _INDEXES_CPU and writes <= _INDEX_WRITES,
    )


def _cost(cost: dict[str, Any]) -> list[Target]:
    rows, idle, free = cost["per_million_rows"]["total"], cost["idle_month"]["total"], cost["idle_month"]["total_with_free_tier"]
    return [
        Target("AWS, modelled, per million rows", f"at most ${_PER_MILLION_ROWS}", f"${rows:.4f}", rows <= _PER_MILLION_ROWS),
        Target("AWS, modelled, idle per month", f"at most ${_IDLE_MONTH:.2f}", f"${idle:.2f}", idle <= _IDLE_MONTH),
        Target(
            "the same after an account's free tiers",
            f"at most ${_IDLE_MONTH_AFTER_FREE_TIERS:.2f}",
            f"${free:.2f}",
            free <= _IDLE_MONTH_AFTER_FREE_TIERS,
        ),
    ]
