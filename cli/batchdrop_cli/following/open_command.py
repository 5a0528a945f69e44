"""`batchdrop open JOB`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import BUCKET, FOLDER, ended


@click.command(name="open")
@click.argument("job")
@BUCKET
@FOLDER
@click.option("--print", "only_print", is_flag=True, help="Only print where the page is.")
def open_report(job: str, bucket: str | None, folder: str, only_print: bool) -> None:
    """Download a job's report.html as it is now, open it in the browser, and print where it is.

    JOB is a job id, the end of one, or the address of its folder under outbox/. The page lies in a new folder for temporary files
    that nobody else can read: it shows rows. Without a display, or a browser, it is only printed where it is.

    Exits with 0 when the page is here, 1 when the bucket, the job or the disk could not be used, and 2 when one of them is
    missing.
    """
    from batchdrop_cli.following.opened_report import show_report

    ended(lambda: show_report(bucket, job, folder, only_print=only_print))
