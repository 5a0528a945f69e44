"""The figures of `docs/comparison.md`, between `<!-- bench: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from local.paths import ROOT

RESULTS = Path(__file__).with_name("results.json")
PAGE: Path = ROOT / "docs" / "comparison.md"
_BLOCK = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NAMES = {"batchdrop": "Batchdrop", "sdk": "SDK loop", "instructor": "instructor", "chatlas": "chatlas", "accrue": "accrue"}

_COMMAND = ".local/others/{tool}/bin/python -m bench.others.drivers.{tool} ROWS FOLDER WARM"
_COMMANDS = {"batchdrop": "python -m bench.stage ORDER"}


def filled(text: str, found: dict[str, Any]) -> str:
    return _BLOCK.sub(lambda block: f"{block[1]}{BLOCKS[block[2]](found)}\n{block[3]}", text)


def blocks(text: str) -> list[str]:
    """Names of the blocks in a page."""
    return [match[2] for match in _BLOCK.finditer(text)]


def _versions(found: dict[str, Any]) -> str:
    rows = [
        (_NAMES[tool], ", ".join(f"{package} {version}" for package, version in sorted(versions.items())))
        for tool, versions in found["versions"].items()
    ]
    on = found["machine"]
    host = f"{on['processors']} processors, Python {on['python']}, load {on['load_before']} before the start"
    head = f"Measured on {found['date']}: {host}."
    return f"{head}\n\n{_table(['tool', 'versions'], rows)}"


def _twice(found: dict[str, Any]) -> str:
    rows = []
    for tool, of in found["behaviour"].items():
        post, waiting = of["killed_at_post"], of["killed_waiting"]
        rows.append(
            (
                _NAMES[tool],
                *(_number(one["twice"], one) for one in (post, waiting)),
                f"{post['answers']:,}, {waiting['answers']:,}",
            )
        )
    titles = [
        "tool",
        "killed after the POST, rows billed twice",
        "killed while it waits, rows billed twice",
        "answers after the second run",
    ]
    return f"{found['rows']:,} rows.\n\n{_table(titles, rows)}"


def _lost(found: dict[str, Any]) -> str:
    rows = [
        (_NAMES[tool], of["lost"]["posts"], f"{of['lost']['twice']:,}", f"{of['lost']['answers']:,}")
        for tool, of in found["behaviour"].items()
    ]
    return f"{found['rows']:,} rows.\n\n{_table(['tool', 'POSTs of create', 'rows billed twice', 'answers'], rows)}"


def _failing(found: dict[str, Any]) -> str:
    rows = [
        (
            _NAMES[tool],
            f"{one['answers']:,}",
            f"{one['back'] - one['answers']:,} of {one['fail']:,}",
            f"{one['reasons']:,} of {one['fail']:,}",
            one["full_price"],
            ("yes" if one["in_order"] else "no") if one["back"] else "-",
        )
        for tool, of in found["behaviour"].items()
        for one in (of["failing"],)
    ]
    titles = ["tool", "answers", "failed rows in the output", "with the API's reason", "calls at full price", "in input order"]
    return f"{found['rows']:,} rows.\n\n{_table(titles, rows)}"


def _costs(found: dict[str, Any]) -> str:
    measured = found["costs"]
    rows = []
    for tool, of in measured["tools"].items():
        cells = [_ratio(of[unit]) for unit in ("cpu", "peak")] if of else ["did not end", "-"]
        rows.append((_NAMES[tool], *cells, f"`{_COMMANDS.get(tool, _COMMAND.format(tool=tool))}`"))
    head = f"{found['rows']:,} rows, measured on {measured['date']}, load {measured['machine']['load_before']} before the start."
    titles = ["tool", "processor time, SDK loop = 1", "peak memory, SDK loop = 1", "run alone by"]
    return f"{head}\n\n{_table(titles, rows)}"


def _ratio(of: dict[str, float]) -> str:
    return f"{of['median']:.2f} ({of['min']:.2f} to {of['max']:.2f})"


def _number(value: int, one: dict[str, Any]) -> str:
    return f"{value:,}" if one["reached"] else "not reached"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


BLOCKS: dict[str, Callable[[dict[str, Any]], str]] = {
    "versions": _versions,
    "twice": _twice,
    "lost": _lost,
    "failing": _failing,
    "costs": _costs,
}
