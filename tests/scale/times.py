"""How long functions take, by what `make bench` has measured, and how many of each may be at work."""

from __future__ import annotations

from typing import Any, NamedTuple

from batchdrop.domain.messages import Queue
from bench import cost, deployed


class Times(NamedTuple):
    of_rows: dict[str, float]
    """Seconds for a row, by stage."""
    of_tick: float
    """Seconds of a tick beside its calls and what it reads."""
    of_item: float
    """Seconds for a record that a tick reads."""
    of_call: float
    event_seconds: float
    """From an object to its message in the queue."""
    concurrency: dict[str, int]
    """`MaximumConcurrency` of each queue's function."""
    creates_per_tick: int
    memory_gb: dict[str, float]

    def seconds(self, queue: Queue, rows: int) -> float:
        return self.of_rows.get(queue.value, 0.0) * rows


def measured(found: dict[str, Any]) -> Times:
    """`found`: `bench/results.json`. Rounded, so that two runs of the benchmark differ in little."""
    few, many = (found["ticks"][count]["quiet"]["cpu"] for count in ("10", "10000"))
    share, rows = cost.share("poll"), found["pipeline"]["rows"]
    return Times(
        of_rows={stage: float(f"{seconds / rows:.2g}") for stage, seconds in cost.work(found["pipeline"]).items()},
        of_tick=float(f"{few / share:.2g}"),
        of_item=float(f"{(many - few) / 10_000 / share:.2g}"),
        of_call=cost.CALL_SECONDS,
        event_seconds=1.0,
        concurrency={stage: deployed.concurrency(stage) for stage in Queue},
        creates_per_tick=int(deployed.default("CreatesPerTick")),
        memory_gb={stage: deployed.memory(stage) / 1024 for stage in (*Queue, "poll")},
    )
