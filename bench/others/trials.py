"""What befalls a tool at work, and what the emulator saw of it. Counted at the emulator, never by the tool."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.others.driver import ANSWERS, MAX_TOKENS, MODEL, USED
from bench.others.environments import python
from local.claude.client import Control, start
from local.paths import ROOT
from local.processes import clean_environment

RUN_SECONDS = 90.0
"""No run of a driver may take longer: what has not ended by then has failed."""
_FAILING = 100
_REASON = "A marker in the prompt asked for this"
_A_LONG_TIME = 3600.0
_LOOK_EVERY = 0.05


def write_rows(path: Path, rows: int, *, failing: bool = False) -> Path:
    """Requests of 1 KB, each with its number in its text; one in a hundred fails for good."""
    text = "This lamp is good, but its cable is too short for a large desk. " * 13
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            mark = "[[error:invalid_request_error]] " if failing and number % _FAILING == 0 else ""
            content = f"row {number}: {mark}What does this customer write? {text}"
            params = {"model": MODEL, "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": content}]}
            file.write(json.dumps({"custom_id": f"row {number}", "params": params}) + "\n")
    return path


class Trial:
    """One tool, one emulator of its own, one folder."""

    def __init__(self, tool: str, claude: Control, folder: Path) -> None:
        self._tool, self._claude, self._folder = tool, claude, folder
        self._number = 0

    def killed(self, source: Path, rows: int, *, waiting: bool) -> dict[str, int | bool]:
        """Killed (SIGKILL) when the POST was accepted and not yet answered, or while it waits; then run again to its end."""
        self._fresh(seconds=_A_LONG_TIME)
        if not waiting:
            self._claude.fault("stall", "create", when="after", seconds=RUN_SECONDS)
        seen: Callable[[], bool] = (
            (lambda: self._claude.count("retrieve") > 0) if waiting else (lambda: bool(self._claude.batches()))
        )
        with self._started(source) as process:
            end = time.monotonic() + RUN_SECONDS
            while not seen() and process.poll() is None and time.monotonic() < end:
                time.sleep(_LOOK_EVERY)
            reached = seen()
            process.kill()
        self._claude.clear_faults()
        self._claude.settings(seconds=0)
        self._claude.advance(_A_LONG_TIME)
        again = self.run(source)
        return {"reached": reached, "ended": again, "answers": self._answered(), "twice": self._billed() - rows}

    def lost(self, source: Path, rows: int) -> dict[str, int | bool]:
        """The connection is lost once, when the API has accepted the POST."""
        self._fresh()
        self._claude.fault("accept-then-drop", "create")
        once = self.run(source)
        return {
            "ended": once,
            "posts": self._claude.count("create"),
            "answers": self._answered(),
            "twice": self._billed() - rows,
        }

    def failing(self, source: Path, rows: int) -> dict[str, int | bool]:
        """One row in a hundred fails for good."""
        self._fresh()
        once = self.run(source)
        back = self._rows()
        lines = [row["line"] for row in back]
        return {
            "ended": once,
            "fail": -(-rows // _FAILING),
            "back": len(back),
            "answers": self._answered(),
            "reasons": sum(_REASON in (row["error"] or "") for row in back),
            "in_order": bool(back) and all(line in (position, None) for position, line in enumerate(lines)),
            "full_price": self._claude.count("messages"),
        }

    def used(self, source: Path, warm: Path, rows: int) -> dict[str, float] | None:
        """Seconds of processor for its work, and the most memory of its process in bytes. None if it did not come to its end."""
        self._fresh()
        if not self.run(source, warm) or self._answered() != rows:
            return None
        used: dict[str, float] = json.loads((self._place / USED).read_text())
        return used

    def run(self, source: Path, *warm: Path) -> bool:
        """Whether it came to its end, and in time."""
        with self._started(source, *warm) as process:
            try:
                return process.wait(RUN_SECONDS) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                return False

    @property
    def _place(self) -> Path:
        return self._folder / f"{self._tool}-{self._number}"

    def _fresh(self, seconds: float = 0.0) -> None:
        self._number += 1
        self._place.mkdir()
        self._claude.reset()
        self._claude.settings(seconds=seconds)

    def _started(self, source: Path, *warm: Path) -> subprocess.Popen[bytes]:
        environment = {
            **clean_environment(),
            "ANTHROPIC_BASE_URL": self._claude.base_url,
            "ANTHROPIC_API_KEY": "sk-ant-bench",
            "HOME": str(self._place),
            "PYTHONPATH": str(ROOT),
        }
        command = [str(python(self._tool)), "-m", f"bench.others.drivers.{self._tool}", *map(str, (source, self._place, *warm))]
        with (self._place / "stdout").open("wb") as out, (self._place / "stderr").open("wb") as err:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=err)

    def _billed(self) -> int:
        return sum(int(batch["requests"]) for batch in self._claude.batches())

    def _rows(self) -> list[dict[str, Any]]:
        path = self._place / ANSWERS
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _answered(self) -> int:
        return sum(row["answer"] is not None for row in self._rows())


def behaviour(tool: str, folder: Path, rows: int) -> dict[str, Any]:
    good, bad = write_rows(folder / f"{tool}-good", rows), write_rows(folder / f"{tool}-bad", rows, failing=True)
    with start("--eager") as claude:
        trial = Trial(tool, claude, folder)
        return {
            "killed_at_post": trial.killed(good, rows, waiting=False),
            "killed_waiting": trial.killed(good, rows, waiting=True),
            "lost": trial.lost(good, rows),
            "failing": trial.failing(bad, rows),
        }
