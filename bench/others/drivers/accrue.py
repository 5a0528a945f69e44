"""An accrue pipeline of one step with `batch=True`, and everything it offers to survive a crash: cache and checkpoints.

It looks at a batch once a minute unless told otherwise; here twice a second, as the others do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from accrue import EnrichmentConfig, LLMStep, Pipeline
from accrue.steps.providers.anthropic import AnthropicClient

from bench.others.driver import MAX_TOKENS, MODEL, Row, main, prompts

_POLL_SECONDS = 0.5


def run(source: Path, folder: Path) -> Iterator[Row]:
    step = LLMStep(
        "classify",
        fields={"sentiment": "Is the review positive, negative or neutral?"},
        model=MODEL,
        max_tokens=MAX_TOKENS,
        client=AnthropicClient(),
        batch=True,
    )
    config = EnrichmentConfig(
        enable_checkpointing=True,
        checkpoint_dir=str(folder / "checkpoints"),
        cache_dir=str(folder / "cache"),
        batch_poll_interval=_POLL_SECONDS,
        enable_progress_bar=False,
        log_level="ERROR",
    )
    rows = [{"line": line, "review": prompt} for line, prompt in enumerate(prompts(source))]
    result = Pipeline([step]).run(rows, config)
    errors = {error.row_index: str(error.error) for error in result.errors}
    for position, row in enumerate(result.data):
        error = errors.get(position)
        yield Row(row["line"], None if error else row.get("sentiment"), error)


if __name__ == "__main__":
    main(run)
