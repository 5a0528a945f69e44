"""`batchdrop try FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_MOST_ROWS = 20


@click.command(name="try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The recipe to use, instead of the nearest recipe.yaml or recipe.yml.",
)
@click.option("--rows", default=3, show_default=True, type=click.IntRange(1, _MOST_ROWS), help="How many rows are asked about.")
@click.option("--dry-run", is_flag=True, help="Show the requests and send nothing; needs no key.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each row.")
def try_prompt(file: Path, recipe: Path | None, rows: int, dry_run: bool, as_json: bool) -> None:
    """Ask about a few rows of FILE at once, and show the answers.

    FILE holds rows (CSV, TSV, xlsx or JSONL; gzip or not), or requests (JSONL). Its rows are counted, then the first, the last
    and those evenly between them are taken: the file is read twice, and never held in memory. They are asked through the
    Messages API, in real time and at its price, and what comes back is checked as a job checks it.

    The recipe is the nearest recipe.yaml or recipe.yml: beside FILE or in a folder above it, up to the root of the git repository
    or your home folder; outside both, beside FILE only. Without one you are asked for the prompt, and a recipe.yaml is written
    beside FILE.

    The key is in ANTHROPIC_API_KEY; ANTHROPIC_BASE_URL names another API. With ANTHROPIC_AWS_WORKSPACE_ID instead of a key,
    Claude Platform on AWS is called with your AWS credentials. Answers go to stdout, everything else to stderr.

    Exits with 0 when every row has an answer, 1 when the file, the recipe or the API could not be used, 2 when something is
    missing from the command (a recipe, the key), and 3 when some row has no answer that can be used.
    """
    from batchdrop_cli.trial.session import Session

    sys.exit(Session(file=file, recipe=recipe, rows=rows, dry_run=dry_run, as_json=as_json).run())
