"""`batchdrop retry JOB`."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import click

from batchdrop_cli.amount_type import Dollars
from batchdrop_cli.following.bucket_options import BUCKET, FOLDER

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOST_AT_ONCE = 64


@click.command
@click.argument("job")
@BUCKET
@FOLDER
@click.option("--real-time", is_flag=True, help="Ask from here, through the Messages API, with your key and at its prices.")
@click.option("--approve-up-to", type=Dollars(), help="In real time: do not ask if it costs no more than so many dollars.")
@click.option("--prices", type=_FILE, help="In real time: prices of yours, as in config/prices.json, over those of this version.")
@click.option(
    "--at-once", default=4, show_default=True, type=click.IntRange(1, _MOST_AT_ONCE), help="In real time: rows at the same time."
)
@click.option("--may-pay-twice", is_flag=True, help="In real time: also rows that may have been answered and paid for already.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="In real time: where answers go, instead of retry-JOB here.",
)
@click.option("--json", "as_json", is_flag=True, help="The outcome as one JSON object.")
def retry(
    job: str,
    bucket: str | None,
    folder: str,
    real_time: bool,
    approve_up_to: Decimal | None,
    prices: Path | None,
    at_once: int,
    may_pay_twice: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask again about the rows of an ended job that were canceled, expired, or failed for a reason that may pass.

    JOB is a job id, the end of one, or the address of its folder under outbox/. All that is needed is the bucket, with rights on
    the job's folder. Without --real-time the stack does it: the rows become a job of their own, as a batch at half the price.
    The id of that job is printed, or nothing if it is not known within a minute.

    With --real-time this command asks them itself, now. It says first what that costs, and asks; without a terminal it goes on
    with --approve-up-to only. The key is yours, in ANTHROPIC_API_KEY; that of the stack is never read, and no limit of the stack
    counts what is paid. Answers are on disk as they come. After Ctrl-C or a kill the same command goes on: what has an answer is
    not asked again, and neither is a row that was sent and may have been paid, unless you say --may-pay-twice.

    In the end results.jsonl, results.csv for a job with a recipe, failed.jsonl and manifest.json are in that folder, and in the
    outbox where the answers of a retry would be, if your AWS rights allow to write there. Lines and rows are counted as in the
    file that was dropped.

    Exits with 0 when every row has an answer, 1 when the bucket, the job, the API or the disk could not be used, 2 when something
    is missing from the command (a job, the bucket, the key, a price), 3 when some row has no answer, 4 when it was stopped, and 5
    when nobody has said yes.
    """
    from batchdrop_cli.retrying.retry_session import RetrySession

    session = RetrySession(
        job=job,
        bucket=bucket,
        folder=folder,
        real_time=real_time,
        approve_up_to=approve_up_to,
        prices=prices,
        at_once=at_once,
        may_pay_twice=may_pay_twice,
        out=out,
        as_json=as_json,
    )
    sys.exit(session.run())
