"""The loop in the SDK's own examples: create, retrieve until it has ended, results."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import anthropic

from bench.others.driver import Row, line_of, main

_POLL_SECONDS = 0.5


def run(source: Path, _folder: Path) -> Iterator[Row]:
    client = anthropic.Anthropic()
    with source.open(encoding="utf-8") as lines:
        requests = [{**json.loads(line), "custom_id": f"row-{number}"} for number, line in enumerate(lines)]
    batch = client.messages.batches.create(requests=requests)  # type: ignore[arg-type]  # read from a file
    while batch.processing_status != "ended":
        time.sleep(_POLL_SECONDS)
        batch = client.messages.batches.retrieve(batch.id)
    for one in client.messages.batches.results(batch.id):
        if one.result.type == "succeeded":
            text = "".join(block.text for block in one.result.message.content if block.type == "text")
            yield Row(line_of(one.custom_id), text, None)
        else:
            yield Row(line_of(one.custom_id), None, one.result.model_dump_json())


if __name__ == "__main__":
    main(run)
