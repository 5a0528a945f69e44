"""Options of the commands that need the bucket alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

BUCKET = click.option("--bucket", envvar="BATCHDROP_BUCKET", help="The bucket, if BATCHDROP_BUCKET does not name it.")
FOLDER = click.option(
    "--folder",
    envvar="BATCHDROP_FOLDER",
    default="",
    help="Where to look below outbox/, for those who see their own folder alone, if BATCHDROP_FOLDER does not name it.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


def ended(work: Callable[[], int]) -> None:
    """Ends the command with what the work gives back, or with what the bucket has against it."""
    from batchdrop_cli.ending import ended_by  # noqa: PLC0415 - `batchdrop --help` loads no SDK
    from batchdrop_client.errors import StackError  # noqa: PLC0415

    try:
        code = work()
    except StackError as problem:
        code = ended_by(problem)
    sys.exit(code)
