"""`batchdrop cancel JOB`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import BUCKET, FOLDER, JSON, ended


@click.command
@click.argument("job")
@BUCKET
@FOLDER
@JSON
def cancel(job: str, bucket: str | None, folder: str, as_json: bool) -> None:
    """Stop a job. Rows that have an answer are delivered, and paid; the others are not sent, or end without one.

    JOB is a job id, the end of one, or the address of its folder under outbox/. What became of it
    is told by `batchdrop status`. With --json the key of the object is printed that asks the stack.

    Exits with 0 when the stack was asked, 1 when the bucket or the job could not be used, and 2 when one of them is missing.
    """
    from batchdrop_cli.following.told import cancel_job

    ended(lambda: cancel_job(bucket, job, folder, as_json=as_json))
