"""`batchdrop jobs`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import BUCKET, ended


@click.command
@click.argument("folder", required=False, default="")
@BUCKET
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="So many that do not wait for you.")
@click.option("--json", "as_json", is_flag=True, help="The status.json of each job, one a line.")
def jobs(folder: str, bucket: str | None, limit: int, as_json: bool) -> None:
    """List the jobs of a folder below outbox/, or of all: first what waits for you, then the newest.

    The time is that at which the file was dropped, in UTC. All that is needed is the bucket, with the right to list and read the
    folder. A listing takes a call for 1,000 objects, at most 200 calls; beyond them, name a folder.

    Exits with 0, with 1 when the bucket could not be used, and with 2 when it is missing.
    """
    from batchdrop_cli.following.told_jobs import tell_jobs

    ended(lambda: tell_jobs(bucket, folder, limit=limit, as_json=as_json))
