"""The same job by hand: `json.loads`, `create(list)`, `results()`, `json.dumps` with Anthropic's SDK, and nothing else.

`python -m bench.sdk INPUT OUTPUT` prints what each step took, as one line of JSON. It reads and writes files on this disk, keeps
nothing in order, joins nothing, retries nothing and dies with its process: the least that a script can do.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anthropic

from bench.process import cpu_seconds, peak_bytes
from local.claude.client import Control

_figures: dict[str, dict[str, float]] = {}


@contextmanager
def _measuring(step: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield
    _figures[step] = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}


def run(client: anthropic.Anthropic, control: Control, source: Path, target: Path) -> None:
    with _measuring("load"), source.open() as lines:
        requests = [json.loads(line) for line in lines]
    for number, request in enumerate(requests):
        # The API takes no id with a space.
        request["custom_id"] = f"line-{number}"
    with _measuring("create"):
        batch = client.messages.batches.create(requests=requests)
    # The provider's time: no figure has it.
    control.advance(3600)
    with _measuring("save"), target.open("w") as output:
        for answer in client.messages.batches.results(batch.id):
            output.write(json.dumps(answer.to_dict(mode="json")) + "\n")
    with _measuring("results"):
        for _ in client.messages.batches.results(batch.id):
            pass


def main(warm: Path, source: Path, target: Path) -> None:
    base_url = os.environ["ANTHROPIC_BASE_URL"]
    client = anthropic.Anthropic(api_key="sk-ant-bench", base_url=base_url, max_retries=0, timeout=600)
    control = Control(base_url)
    run(client, control, warm, target)
    run(client, control, source, target)
    print(json.dumps({"steps": _figures, "peak": peak_bytes()}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
