"""`batchdrop approve JOB`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import BUCKET, FOLDER, JSON, ended


@click.command
@click.argument("job")
@BUCKET
@FOLDER
@JSON
def approve(job: str, bucket: str | None, folder: str, as_json: bool) -> None:
    """Let a job go on that asks whether it may cost what it will.

    JOB is a job id, the end of one, or the address of its folder under outbox/. With the code of the question behind a whole
    job id, as status and mail show it, the answer is yes to that amount and no other. Without it the command shows what is asked,
    and asks on the terminal. With --json the key of the object is printed that says yes.

    Exits with 0 when the yes was given, 1 when the bucket or the job could not be used or nothing is asked, 2 when one of them
    is missing, 4 when the answer was no, and 5 when there is neither a code nor a terminal.
    """
    from batchdrop_cli.following.told import approve_job

    ended(lambda: approve_job(bucket, job, folder, as_json=as_json))
