"""instructor's `BatchProcessor`. It submits and returns; waiting is left to the script."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from instructor.batch import BatchProcessor
from pydantic import BaseModel

from bench.others.driver import MAX_TOKENS, MODEL, Row, line_of, main, prompts

_POLL_SECONDS = 0.5


class Answer(BaseModel):
    sentiment: str


def run(source: Path, folder: Path) -> Iterator[Row]:
    processor = BatchProcessor(f"anthropic/{MODEL}", Answer)
    messages = [[{"role": "user", "content": prompt}] for prompt in prompts(source)]
    file = processor.create_batch_from_messages(messages, str(folder / "requests.jsonl"), max_tokens=MAX_TOKENS)
    batch_id = processor.submit_batch(file)
    while processor.get_batch_status(batch_id)["status"] != "ended":
        time.sleep(_POLL_SECONDS)
    for result in processor.retrieve_results(batch_id):
        line = line_of(result.custom_id)
        if result.success:
            yield Row(line, result.result.sentiment, None)
        else:
            yield Row(line, None, f"{result.error_type}: {result.error_message}")


if __name__ == "__main__":
    main(run)
