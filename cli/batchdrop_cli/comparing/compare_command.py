"""`batchdrop compare FILE`."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import click

from batchdrop_cli.amount_type import Dollars

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_ROWS = 200
_A_DAY = 24 * 60


@click.command(name="compare")
@click.argument("file", type=_FILE)
@click.option("--rows", default=50, show_default=True, type=click.IntRange(1, _MOST_ROWS), help="How many rows are asked about.")
@click.option("--recipe", type=_FILE, help="The recipe to use, instead of the nearest recipe.yaml or recipe.yml.")
@click.option("--prices", type=_FILE, help="Prices of yours, as in config/prices.json, over those of this version.")
@click.option("--approve-up-to", type=Dollars(), help="Do not ask if it costs no more than so many dollars.")
@click.option(
    "--timeout",
    "minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, _A_DAY),
    help="Minutes to wait for the batch.",
)
@click.option("--go-on", is_flag=True, help="Wait again for the batch of an earlier run; nothing is sent.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures go, instead of compare-FILE.json here."
)
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object.")
def compare(
    file: Path,
    rows: int,
    recipe: Path | None,
    prices: Path | None,
    approve_up_to: Decimal | None,
    minutes: float,
    go_on: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask about some rows of FILE one by one, then as one batch, and show time and cost side by side.

    FILE is read as `batchdrop try` reads it, and the rows are spread over it in the same way. All are paid twice: once at the
    price of real time, once at that of a batch. It says first what that costs at most, and asks; without a terminal it goes on
    with --approve-up-to only. What tools of the API cost, such as web searches, comes on top.

    The key is in ANTHROPIC_API_KEY; ANTHROPIC_BASE_URL names another API. With ANTHROPIC_AWS_WORKSPACE_ID instead of a key,
    Claude Platform on AWS is called with your AWS credentials. On the emulator of this project (`python -m local.claude`) neither
    a key nor a yes is needed. The figures are also kept in a file, which holds no row and no answer. Ctrl-C cancels the batch,
    and says what was paid.

    Exits with 0 when every row has an answer both ways, 1 when the file, the recipe or the API could not be used, 2 when
    something is missing from the command (a recipe, the key, a price), 3 when some row has no answer, 4 when it was stopped, 5
    when nobody has said yes, and 6 when the batch was not done in time.
    """
    from batchdrop_cli.comparing.compare_session import CompareSession

    session = CompareSession(
        file=file,
        rows=rows,
        recipe=recipe,
        prices=prices,
        out=out,
        approve_up_to=approve_up_to,
        minutes=minutes,
        go_on=go_on,
        as_json=as_json,
    )
    sys.exit(session.run())
