"""`batchdrop estimate FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(name="estimate")
@click.argument("file", type=_FILE)
@click.option("--recipe", type=_FILE, help="The recipe to use, instead of the nearest recipe.yaml or recipe.yml.")
@click.option("--prices", type=_FILE, help="Prices of yours, as in config/prices.json, over those of this version.")
@click.option("--prompt-tokens", type=click.IntRange(1), help="Tokens of a prompt on average, if you know them.")
@click.option("--answer-tokens", type=click.IntRange(0), help="Tokens of an answer on average, if you know them.")
@click.option("--count", is_flag=True, help="Send at most 20 rows to the API to have their tokens counted, free of charge.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def estimate(
    file: Path,
    recipe: Path | None,
    prices: Path | None,
    prompt_tokens: int | None,
    answer_tokens: int | None,
    count: bool,
    as_json: bool,
) -> None:
    """Tell what the rows of FILE will cost, one by one and as a batch, before anything is sent.

    FILE holds rows (CSV, TSV, xlsx or JSONL; gzip or not), or requests (JSONL). It is read as a job reads it, with the nearest
    recipe (see `batchdrop try`), and cut into batches as a stack with its default sizes does. Nothing leaves this machine, and no
    key is needed, unless you ask for --count.

    Prompts are guessed from their text. Answers cost anything between nothing and `max_tokens`: `batchdrop try` shows how many
    tokens some take, and --prompt-tokens and --answer-tokens take what you have learned so.

    Exits with 0 when every row can be sent and has a price, 1 when the file, the recipe or the API could not be used or no row
    can be sent, 2 when something is missing from the command (a recipe, the key), and 3 when some rows cannot be sent or have no
    price.
    """
    from batchdrop_cli.estimating.estimate_session import EstimateSession

    session = EstimateSession(
        file=file,
        recipe=recipe,
        prices=prices,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        count=count,
        as_json=as_json,
    )
    sys.exit(session.run())
