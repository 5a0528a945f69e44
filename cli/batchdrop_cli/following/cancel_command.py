"""`batchdrop cancel JOB`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import BUCKET, FOLDER, ended


@click.command(short_help="Stop a job; what is answered is delivered.")
@click.argument("job")
@BUCKET
@FOLDER
def cancel(job: str, bucket: str | None, folder: str) -> None:
    """Stop a job. Rows that have an answer are delivered, and paid; the others are not sent, or end without one.

    JOB is a job id, the end of one, or the address of its folder under outbox/. The command's object is printed; what became of
    it is told by `batchdrop status`.

    Exits with 0 when the stack was asked, 1 when the bucket or the job could not be used, and 2 when one of them is missing.
    """
    from batchdrop_cli.following.told import cancel_job

    ended(lambda: cancel_job(bucket, job, folder))
