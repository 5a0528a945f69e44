"""`batchdrop fetch JOB`."""

from __future__ import annotations

from pathlib import Path

import click

from batchdrop_cli.following.bucket_options import BUCKET, FOLDER, ended


@click.command
@click.argument("job")
@BUCKET
@FOLDER
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="A folder for all files, instead of one named after the job; or a name in .csv or .jsonl for the answers alone.",
)
@click.option("--each", is_flag=True, help="Each answer as a file of its own, named by the document or the id of its row.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def fetch(job: str, bucket: str | None, folder: str, out: Path | None, each: bool, force: bool) -> None:
    """Download the files of an ended job into a folder, and print where they are.

    JOB is a job id, the end of one, or the address of its folder under outbox/. A file is there when it is whole. The same
    command goes on after a kill: what is there and is the same is left, and what is another file is not overwritten without
    --force.

    Exits with 0 when the files are here, 1 when the bucket, the job or the disk could not be used, and 2 when one of them is
    missing or a file is in the way.
    """
    from batchdrop_cli.fetching.fetch_session import FetchSession

    ended(FetchSession(job=job, bucket=bucket, folder=folder, out=out, each=each, force=force).run)
