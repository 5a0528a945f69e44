"""All figures as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.targets import MEGABYTE, judge, mb


def page(found: dict[str, Any]) -> str:
    """`found` as it stands in `results.json`."""
    sections = (f"## {title}\n\n{BLOCKS[name](found)}" for name, title in _TITLES.items())
    return "\n\n".join([_head(found), *sections]) + "\n"


def _head(found: dict[str, Any]) -> str:
    on = found["machine"]
    return f"""# Measurements

Written by `make bench{" QUICK=1" if found["quick"] else ""}`, {found["minutes"]} minutes; do not edit.

One machine, everything over loopback: {on["processors"]} processors ({on["model"]}, {on["architecture"]}), {on["memory_gb"]} GB,
{on["system"]}, Python {on["python"]}; load {on["load_before"]} before the start.

S3 is a stand-in that serves files (`bench/standin.py`), the other AWS services are MiniStack, the API is the Claude emulator
with its clock stopped, all in processes of their own. CPU is that of the measured process alone; wall time includes waiting for
the servers. The SDK works on local files, out of order, without joins and retries, which is in its favour."""


def _targets(found: dict[str, Any]) -> str:
    rows = [(one.figure, one.target, one.measured, "yes" if one.met else "**no**") for one in judge(found)]
    return _table(["figure", "target", "measured", "met"], rows)


def _pipeline(found: dict[str, Any]) -> str:
    of = found["pipeline"]
    steps = [
        (f"{who} {step}", _seconds(one["wall"]["median"]), _seconds(one["cpu"]["median"]), _range(one["cpu"]))
        for who in ("batchdrop", "sdk", "floor")
        for step, one in of[who].items()
    ]
    ratios = [(name, f"{one['median']:.2f}", _range(one)) for name, one in of["ratios"].items()]
    return f"""{of["rows"]:,} rows of 1 KB, answered with {of["results_bytes"] / of["rows"] / 1000:.1f} KB each.
Medians of {of["rounds"]} rounds, warm processes, one after the other in each round. Peak memory: Batchdrop
{mb(of["peak"]["batchdrop"])} with all functions in one process, SDK {mb(of["peak"]["sdk"])}.

{_table(["step", "wall s", "CPU s", "CPU s, least to most"], steps)}

{_table(["ratio, of one round each", "median", "least to most"], ratios)}"""


def _memory(found: dict[str, Any]) -> str:
    memory = found["memory"]
    sizes = list(memory["stages"]["plan"])
    rows = [(stage, *(f"{mb(one['peak'])} ({mb(one['disk'])})" for one in of.values())) for stage, of in memory["stages"].items()]
    large, without = memory["large_results"], memory["left_out_for_want_of_disk"]
    missing = f" Not measured for want of disk: {', '.join(map(mb, without))}." if without else ""
    return f"""Each stage in a process of its own; rows of {memory["row_bytes"] / 1000:.0f} KB.{missing}

{_table(["stage", *(f"{mb(size)} of input" for size in sizes)], rows)}

Collect of one batch with {mb(large["results_bytes"])} of results:
{mb(large["peak"])} ({mb(large["disk"])}), {large["cpu"]:.1f} s of CPU."""


def _rows(found: dict[str, Any]) -> str:
    of = found["rows"]
    steps = [
        (step, *(_seconds(of[who][step]["cpu"]["median"]) for who in ("recipe", "raw")), _range(of["recipe"][step]["cpu"]))
        for step in of["recipe"]
    ]
    ratios = [(name, f"{one['median']:.2f}", _range(one)) for name, one in of["ratios"].items()]
    counts = list(of["memory"]["plan"])
    peaks = [(stage, *map(mb, by_count.values())) for stage, by_count in of["memory"].items()]
    return f"""{of["rows"]:,} rows of a CSV file of 8 columns, {of["input_bytes"] // of["rows"]} bytes each. A choice and an
explanation are asked for. Raw: the same requests as JSONL. Medians of {of["rounds"]} rounds in one process, in turn.

{_table(["step", "rows, CPU s", "raw, CPU s", "rows, least to most"], steps)}

{_table(["ratio, of one round each", "median", "least to most"], ratios)}

Peak memory; a quarter of the rows fails and another one goes again:

{_table(["stage", *(f"{int(count):,} rows" for count in counts)], peaks)}"""


def _documents(found: dict[str, Any]) -> str:
    rows = [
        (
            f"{int(number):,}",
            mb(one["bytes"]),
            f"{mb(one['peak'])} ({mb(one['disk'])})",
            one["batches"],
            mb(one["largest_body"]),
            " or ".join(map(str, one["reads"])),
        )
        for number, one in found["documents"].items()
    ]
    titles = ["PDFs", "in all", "peak memory (disk)", "batches", "largest POST", "reads of each"]
    return f"""PDFs of 1 to 20 MB that the rows of one table name; plan and submit in one process. The bucket is files, and the
API takes every body without reading it.

{_table(titles, rows)}"""


def _cold_starts(found: dict[str, Any]) -> str:
    rows = [
        (
            name,
            *(_seconds(one[step][unit]["median"]) for step in ("import", "wired") for unit in ("cpu", "wall")),
            _seconds(one["own"]["cpu"]["median"]),
            _seconds(one["recipe"]["cpu"]["median"]) if name in {"plan", "collect"} else "-",
            one["modules"],
            mb(one["peak"]),
            ", ".join(one["sdk"]) or "no",
        )
        for name, one in found["cold_start"].items()
    ]
    titles = [
        "function",
        "import CPU s",
        "wall s",
        "and wired CPU s",
        "wall s",
        "of it ours",
        "recipe CPU s",
        "modules",
        "peak memory",
        "SDK loaded",
    ]
    return f"""With the packages of the deployed layers and nothing else, compiled ahead. Wired: clients made and the stage
put together. `sdk` is Anthropic's SDK alone; a function imports it at its first call to Claude, so a tick with
nothing open never does. Of it ours: our modules alone, in CPU s. Recipe: what the first job with a recipe adds to the import.
Both layers unzipped: {mb(found["layers_bytes"])}.

{_table(titles, rows)}"""


def _ticks(found: dict[str, Any]) -> str:
    rows = [
        (
            f"{int(count):,}",
            what,
            _seconds(one["wall"]),
            _seconds(one["cpu"]),
            one["list_calls"],
            one["reads"],
            one["writes"],
            mb(one["peak"]),
        )
        for count, ticks in found["ticks"].items()
        for what, one in (("nothing", ticks["quiet"]), (f"{ticks['changed']} ended", ticks["ended"]))
    ]
    rest = found["tick_at_rest"]
    rows.insert(
        0, ("0", "nothing", _seconds(rest["wall"]), _seconds(rest["cpu"]), rest["list_calls"], rest["reads"], 0, mb(rest["peak"]))
    )
    titles = ["open batches", "what changed", "wall s", "CPU s", "list calls", "table reads", "table writes", "peak memory"]
    return f"""The second tick of a process; its first one loads the SDK. Most of the wall time is the emulated table's.

{_table(titles, rows)}"""


def _indexes(found: dict[str, Any]) -> str:
    indexes = found["indexes"]
    of = {f"{indexes['jobs']:,} jobs are new": indexes["filled"], f"{indexes['at_once']:,} of them end at once": indexes["ended"]}
    rows = []
    for what, ticks in of.items():
        cpu = [one["cpu"] for one in ticks]
        rows.append((what, len(ticks), f"{min(cpu):.2f} to {max(cpu):.2f}", max(one["writes"] for one in ticks)))
    sizes = ", ".join(f"`{name}` {size / MEGABYTE:.1f} MB" for name, size in indexes["bytes"].items())
    return f"""One team's index and that of all, each as a page and for programs. With all that ended within 15 minutes: {sizes}.

{_table(["what changed", "ticks", "CPU s of a tick", "writes of a tick"], rows)}"""


def _cost(found: dict[str, Any]) -> str:
    rows, idle = found["cost"]["per_million_rows"], found["cost"]["idle_month"]
    work = [*rows["items"].items(), ("sum", rows["total"])]
    before, free = idle["before"]["items"], idle["items_with_free_tier"]
    rest = [(name, *before[name], usd, free[name]) for name, usd in idle["items"].items()]
    rest.append(("sum", *map(sum, zip(*before.values(), strict=True)), idle["total"], idle["total_with_free_tier"]))
    idle_rows = [(name, *(f"{usd:.3f}" for usd in of)) for name, *of in rest]
    waiting = [*found["cost"]["waiting_month"]["items"].items(), ("sum", found["cost"]["waiting_month"]["total"])]
    return f"""US$, list prices of {found["cost"]["prices_as_of"]} in us-east-1 (`bench/prices.json`).
Every assumption is in `bench/cost.py`.

{_table(["per million rows", "US$"], [(name, f"{usd:.5f}") for name, usd in work])}

{_table(["per million rows that wait for a month", "US$"], [(name, f"{usd:.5f}") for name, usd in waiting])}

{_table(["idle, per month", "before, US$", "after free tiers", "now, US$", "after an account's free tiers"], idle_rows)}"""


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _seconds(value: float) -> str:
    return f"{value:.2f}"


def _range(spread: dict[str, float]) -> str:
    return f"{spread['min']:.2f} to {spread['max']:.2f}"


BLOCKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "targets": _targets,
    "pipeline": _pipeline,
    "rows": _rows,
    "memory": _memory,
    "documents": _documents,
    "cold_starts": _cold_starts,
    "ticks": _ticks,
    "indexes": _indexes,
    "cost": _cost,
}
"""What other pages can quote."""
_TITLES = {
    "targets": "Targets",
    "pipeline": "The whole path, beside the SDK and the floors",
    "rows": "Rows of a table",
    "memory": "Peak memory, and temporary files in brackets",
    "documents": "Documents that rows name",
    "cold_starts": "Cold starts",
    "ticks": "One tick of poll",
    "indexes": "Indexes of jobs",
    "cost": "Cost of AWS, modelled",
}
