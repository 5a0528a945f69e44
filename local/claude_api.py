"""Which Claude API the laptop system calls: the real one if a key is in the environment, otherwise the emulator."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field

from local.paths import CLAUDE
from local.processes import Process, clean_environment

REAL_URL = "https://api.anthropic.com"
# How long the emulator works on a batch: long enough to watch, short enough for a demonstration.
_EMULATED_SECONDS = "5"


@dataclass(frozen=True)
class ClaudeApi:
    url: str
    key: str = field(repr=False)
    """Stored in the stack's secret and nowhere else."""
    process: Process | None = None

    @property
    def real(self) -> bool:
        return self.process is None


def emulator(port: int) -> Process:
    """Its files lie beside MiniStack's: a system that is left running for days outlives what is cleaned out of /tmp."""
    options = ["--port", str(port), "--seconds", _EMULATED_SECONDS, "--spool", str(CLAUDE)]
    return Process("claude", [sys.executable, "-m", "local.claude", *options])


def choose(port: int) -> ClaudeApi:
    """`ANTHROPIC_API_KEY`, with `ANTHROPIC_BASE_URL` if that is set too, selects a real API; `port` is the emulator's."""
    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    if key:
        return ClaudeApi(url=os.environ.get("ANTHROPIC_BASE_URL", "").rstrip("/") or REAL_URL, key=key)
    return ClaudeApi(url=f"http://127.0.0.1:{port}", key="sk-ant-emulated", process=emulator(port))


def start(api: ClaudeApi) -> None:
    if api.process is not None and not api.process.running():
        shutil.rmtree(CLAUDE, ignore_errors=True)  # what a killed one has left
        api.process.start(clean_environment())
        api.process.wait_until_serving(f"{api.url}/v1/models")
