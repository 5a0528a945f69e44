"""What counting money adds to the CPU time of planning and of collecting: `python -m bench.money [ROWS]`.

First both stages as a whole, with their S3 and their table, for rows of 1 KB: without, rows are neither sized nor drawn to be
tried, and no row has a cost. Then what planning does to each row alone (lines are read, checked, looked up by their custom ids
and cut into batches), over files in memory, of several kinds. Both ways in turn, in one process.
"""

from __future__ import annotations

import gc
import io
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.formats.input_line import Row
from batchdrop.formats.lines import read_lines
from batchdrop.money.price_file import built_in
from batchdrop.money.sizing import Sizer
from batchdrop.stages.plan.check import RowCheck, checked, in_chunks
from batchdrop.stages.plan.cutter import Cutter, Limits
from batchdrop.stages.plan.pilot_draw import PilotDraw
from batchdrop.stages.plan.seen_ids import IdSet
from bench import files, measured
from bench.measured import spread
from bench.process import cpu_seconds
from bench.servers import Servers, running

_ROWS = 100_000
_ROUNDS = 8
_STAGES = ["plan", "submit", "end", "poll", "collect"]
_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_LIMITS = Limits(100_000, 256_000_000, 10**12)
_ENGLISH = "This lamp is good, but its cable is too short for a large desk. "
_JAPANESE = "このランプは良いが、大きな机にはコードが短すぎる。"


class _NoSizer(Sizer):
    def add(self, row: Row) -> None:
        pass


def _row(number: int, text: str, **more: object) -> str:
    messages = [{"role": "user", "content": text}]
    params = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": messages, **more}
    return json.dumps({"custom_id": f"review {number:08d}", "params": params}, ensure_ascii=False)


def _cached(number: int) -> str:
    system = [{"type": "text", "text": _ENGLISH * 15, "cache_control": {"type": "ephemeral"}}]
    return _row(number, _ENGLISH * 5, system=system)


KINDS: dict[str, Callable[[int], str]] = {
    "300 bytes of English": lambda number: _row(number, _ENGLISH * 3),
    "1 KB of English": lambda number: _row(number, _ENGLISH * 14),
    "4 KB of English": lambda number: _row(number, _ENGLISH * 60),
    "1 KB of Japanese": lambda number: _row(number, _JAPANESE * 12),
    "1 KB of Japanese, escaped": lambda number: json.dumps(json.loads(_row(number, _JAPANESE * 6))),
    "1 KB with a cached system text": _cached,
}


def plan(data: bytes, *, sized: bool) -> float:
    """CPU seconds."""
    prices = built_in()
    draw = PilotDraw("job") if sized else None
    cutter = Cutter(_LIMITS, (Sizer if sized else _NoSizer)(prices, _NOW))
    check = RowCheck(CallHeaders(api_version="2023-06-01"), None, _NOW)
    with tempfile.TemporaryDirectory() as folder, closing(IdSet(Path(folder) / "ids")) as seen:
        gc.collect()
        began = cpu_seconds()
        for chunk in in_chunks(read_lines(io.BytesIO(data))):
            for line, row in checked(chunk, seen, None, check).unique():
                if draw is not None and isinstance(row, Row):
                    draw.add(line)
                cutter.take(line, row)
        cutter.finish()
        return cpu_seconds() - began


def stages(servers: Servers, folder: Path, rows: int) -> dict[str, list[tuple[float, float]]]:
    """CPU seconds of whole stages, with and without."""
    warm, source = files.write_rows(folder / "warm.jsonl", 10), files.write_rows(folder / "rows.jsonl", rows)
    order = [
        {"stages": _STAGES, "key": key, "version": servers.drop(key, file), "unpriced": unpriced}
        for turn in range(_ROUNDS)
        for unpriced in (False, True)
        for key, file in [(f"inbox/{turn}-{unpriced}.jsonl", source if turn else warm)]
    ]
    runs = measured.stage(servers.environment, *order)["runs"]
    taken = {stage: [run[stage]["cpu"] for run in runs] for stage in ("plan", "collect")}
    return {stage: list(zip(of[::2], of[1::2], strict=True)) for stage, of in taken.items()}


def said(pairs: list[tuple[float, float]], rows: int) -> str:
    """Without the first pair, which warms up. Other programs only add to what is taken, so the least of each tells most."""
    pairs = pairs[1:]
    sized, bare = (min(pair[way] for pair in pairs) for way in (0, 1))
    ratio = spread([one / other for one, other in pairs])
    return (
        f"{sized / bare:.2f} by the least of each, {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) by pairs;"
        f" {(sized - bare) / rows * 1e6:.1f} beside {bare / rows * 1e6:.1f} us a row"
    )


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), "--eager") as servers:
        for name, pairs in stages(servers, Path(folder), rows).items():
            print(f"{name}, the whole stage: {said(pairs, rows)}", flush=True)
    for name, row in KINDS.items():
        data = "".join(f"{row(number)}\n" for number in range(rows)).encode()
        pairs = [(plan(data, sized=True), plan(data, sized=False)) for _ in range(_ROUNDS)]
        print(f"plan, {name}: {said(pairs, rows)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ROWS)
