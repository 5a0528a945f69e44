"""`batchdrop doctor`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import FOLDER, ended
from batchdrop_cli.operating.stack_option import STACK


@click.command
@STACK
@click.option("--bucket", help="Look only at what a bucket of this name lets you do, as needs no rights on the stack.")
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each line.")
def doctor(stack: str, bucket: str | None, folder: str, as_json: bool) -> None:
    """Look whether everything is there that is needed: a line for each thing, and what to do where something is wrong.

    For operators: credentials and region; stack, key (whether one was stored, never its value), list of models, switch, what
    keeps rows from being sent, files in config/, schedule, heartbeat, dead-letter queues, alarms, their subscribers and quota of
    the stack; and whether you may use its bucket. For people with a file: --bucket, with --folder where your rights are those of
    a folder.

    Nothing is written. What your AWS rights do not let you see is unknown, and what they do not let you do is no; neither is a
    problem.

    Exits with 0 when there is no problem, and 1 when there is one.
    """
    from batchdrop_cli.operating.doctor_session import diagnose

    ended(lambda: diagnose(stack, bucket, folder, as_json=as_json))
