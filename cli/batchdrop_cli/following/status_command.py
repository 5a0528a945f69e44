"""`batchdrop status JOB`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import BUCKET, FOLDER, JSON, ended


@click.command
@click.argument("job")
@BUCKET
@FOLDER
@click.option("--watch", is_flag=True, help="Wait until it ends or waits for somebody, and tell each change.")
@click.option("--timeout", "minutes", type=click.FloatRange(0), help="With --watch: for so many minutes at most.")
@JSON
def status(job: str, bucket: str | None, folder: str, watch: bool, minutes: float | None, as_json: bool) -> None:
    """Tell where a job stands, in one sentence.

    JOB is a job id, the end of one, or the address of its folder under outbox/. With --json it is the job's status.json.

    Exits with 0 when every row has an answer, 1 when the bucket or the job could not be used, 2 when one of them is missing, 3
    when it is done and some row has no answer, 4 when it was rejected or stopped, 5 when it waits for somebody or a limit, and 6
    while it goes on.
    """
    from batchdrop_cli.following.told import tell_status

    ended(lambda: tell_status(bucket, job, folder, watch=watch, minutes=minutes, as_json=as_json))
