"""What a person wants to know of a job that has ended: the counts, some answers, why rows failed, the files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from batchdrop.domain.records import JobState
from batchdrop.money.amounts import dollars
from local.paths import shown
from local.text_table import text_table

_SHOWN = 5
_SHOWN_OF_TABLE = 8
_OURS = "batchdrop_"


def summary(folder: Path) -> str:
    """Of the outputs of a job, fetched into `folder`."""
    manifest = _manifest(folder)
    parts = [
        f"{manifest['state']}: {_rows_by_status(manifest['counts'])}",
        *([manifest["message"]] if manifest["state"] == JobState.rejected else []),
        *(_table(folder) or _answers(folder)),
        *_failures(folder),
        *_cost(manifest["cost"]),
        *_cache(manifest.get("cache") or {}),
        "",
        f"Files in {shown(folder)}:",
        *(f"  {path.name}" for path in sorted(folder.iterdir())),
    ]
    return "\n".join(parts)


def side_by_side(folders: Sequence[Path]) -> list[str]:
    """How many answers of each job are the expected ones: a line for each job. Empty if none has expected ones."""
    found = [(manifest, expected) for manifest in map(_manifest, folders) if (expected := manifest.get("expected"))]
    if not found:
        return []
    labels = list(found[0][1]["labels"])
    head = ["recipe", "as expected", "accuracy", *(f"found: {label}" for label in labels)]
    rows = [
        [
            manifest["recipe"]["key"].removeprefix("inbox/"),
            f"{expected['right']} of {expected['rows']}",
            _percent(expected["accuracy"]),
            *(_percent(expected["labels"].get(label, {}).get("recall")) for label in labels),
        ]
        for manifest, expected in found
    ]
    return text_table([head, *rows])


def _cost(cost: dict[str, float | None]) -> list[str]:
    """As Claude would have charged for it; a manifest of an earlier version knows no cost."""
    usd, one_by_one = cost.get("usd"), cost.get("real_time_usd")
    if not usd or one_by_one is None:
        return []
    paid, otherwise = (dollars(round(amount * 1_000_000)) for amount in (usd, one_by_one))
    return ["", f"Cost: {paid}. Sent one by one, the same rows cost {otherwise}."]


def _cache(cache: dict[str, Any]) -> list[str]:
    """What became of the beginning that all prompts share; empty where none was cached, or a price is not known."""
    saved = cache.get("saved_usd")
    if saved is None or cache.get("hit_share") is None:
        return []
    word = "saved" if saved >= 0 else "cost"
    read, written = (f"{cache[name]:,}" for name in ("read_tokens", "written_tokens"))
    return [
        f"Cache: {_percent(cache['hit_share'])} of what all prompts begin with was read ({read} tokens), "
        f"the rest written ({written}). That {word} {dollars(round(abs(saved) * 1_000_000))}."
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def _rows_by_status(counts: dict[str, int]) -> str:
    if not counts["total"]:
        return "no rows"
    ends = ", ".join(f"{number:,} {name}" for name, number in counts.items() if name != "total" and number)
    return f"{counts['total']:,} {'row' if counts['total'] == 1 else 'rows'}: {ends}"


def tried(folder: Path) -> list[str]:
    """The first of the rows that were tried, as far as they are fetched into `folder`."""
    return _table(folder, "tried") or _answers(folder, "tried")


def _table(folder: Path, name: str = "results") -> list[str]:
    """The first rows of the table that came back: the user's columns and the answers."""
    path = folder / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        separator = max(",;\t|", key=head.split(_OURS)[1].count)
        file.seek(0)
        rows = list(islice(csv.reader(file, delimiter=separator), 1 + _SHOWN_OF_TABLE))
    number = sum(not name.startswith(_OURS) for name in rows[0])
    kept = [row[:number] for row in rows]
    answered = next((row for row in _rows(folder / f"{name}.jsonl") if "output" in row), {"output": ()})
    own = number - len(answered["output"])
    return ["", f"First rows of {path.name}:", *(f"  {line}" for line in text_table(kept, own))]


def _answers(folder: Path, name: str = "results") -> list[str]:
    """Rows without an answer are left out: what was tried may be such a row."""
    answered = (row for row in _rows(folder / f"{name}.jsonl") if "result" in row)
    lines = [f"  line {row['line']:>4}  {row['custom_id']}: {_text(row)}" for row in islice(answered, _SHOWN)]
    return ["", "First answers:", *lines] if lines else []


def _failures(folder: Path) -> list[str]:
    word = "row " if (folder / "results.csv").exists() else "line"
    lines = [_failure(word, row["_batchdrop"]) for row in islice(_rows(folder / "failed.jsonl"), _SHOWN)]
    return ["", "First failures:", *lines] if lines else []


def _failure(word: str, note: dict[str, Any]) -> str:
    return f"  {word} {note['line']:>4}  {note['status']}: {note['error']['message']}"


def _text(row: dict[str, Any]) -> str:
    content = row["result"].get("message", {}).get("content", [])
    text = " ".join(block.get("text", f"({block.get('type')})") for block in content)
    return text if len(text) <= 80 else text[:77] + "..."


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
