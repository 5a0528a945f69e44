"""`batchdrop drop PATH`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click

from batchdrop_cli.amount_type import Dollars
from batchdrop_cli.following.bucket_options import BUCKET, ended


@click.command
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@BUCKET
@click.option(
    "--to", envvar="BATCHDROP_FOLDER", default="", help="The folder below inbox/, if BATCHDROP_FOLDER does not name it."
)
@click.option(
    "--recipe",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The recipe, instead of the nearest recipe.yaml; it replaces one that lies in the inbox.",
)
@click.option(
    "--all-documents", is_flag=True, help="Of a folder: ask, and pay, again about documents that an earlier job has taken."
)
@click.option("--wait", is_flag=True, help="Wait for the answers, and write them beside the file.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="With --wait: where the answers go; a name in .csv or .jsonl.")
@click.option("--approve-up-to", type=Dollars(), help="With --wait: say yes to what it costs, up to so many dollars in all.")
@click.option("--reference", default="", help="A text that status.json and the manifest tell, for programs.")
@click.option("--priority", type=click.Choice(["high", "low"]), help="Overtake other files of the stack, or let them overtake.")
@click.option("--timeout", "minutes", type=click.FloatRange(0), help="With --wait: for so many minutes at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def drop(
    path: Path,
    bucket: str | None,
    to: str,
    recipe: Path | None,
    all_documents: bool,
    wait: bool,
    out: Path | None,
    approve_up_to: Decimal | None,
    reference: str,
    priority: str | None,
    minutes: float | None,
    as_json: bool,
) -> None:
    """Upload a file with rows or requests to the inbox, and the recipe if it does not lie there; print the id of its job.

    A folder is dropped as one job: its documents (PDF, images, .txt, .md) go to a folder of its name below --to, with its recipe.
    Those that an earlier job with the same recipe has taken are left out, unless --all-documents is given.

    A file that lies there already, and whose job goes on, waits or is done, is asked about: it would be paid again.

    A recipe that lies in the inbox and differs is not replaced without a question, or --recipe.

    With --wait the command tells how far the job is, asks when it waits for an approval, and writes the answers to
    NAME.results.csv beside the file (.results.jsonl for requests), or to --out; never over a file that is there. Their path is
    all that goes to stdout. Without a terminal nothing is asked: it stops there, unless --approve-up-to covers it. After Ctrl-C
    the job goes on.

    Exits with 0 when every row has an answer, or the file is dropped, 1 when something could not be used, 2 when something is
    missing from the command, 3 when it is done and some row has no answer, 4 when it was rejected or stopped, 5 when it waits for
    somebody or a limit, and 6 when it goes on after --timeout or Ctrl-C.
    """
    if not wait and (out, approve_up_to, minutes) != (None, None, None):
        raise click.UsageError("--out, --approve-up-to and --timeout go with --wait.")
    from batchdrop_cli.dropping.drop_session import DropSession

    session = DropSession(
        path=path,
        bucket=bucket,
        to=to,
        recipe=recipe,
        all_documents=all_documents,
        wait=wait,
        out=out,
        approve_up_to=approve_up_to,
        reference=reference,
        priority=priority or "",
        minutes=minutes,
        as_json=as_json,
    )
    ended(session.run)
