"""`batchdrop switch [run|pause|stop]`."""

from __future__ import annotations

import click

from batchdrop_cli.following.bucket_options import ended
from batchdrop_cli.operating.stack_option import STACK


@click.command
@click.argument("position", required=False, type=click.Choice(["run", "pause", "stop"]))
@STACK
@click.option("--yes", is_flag=True, help="Do not ask before stop.")
def switch(position: str | None, stack: str, yes: bool) -> None:
    """Tell where the switch of a stack stands, or set it. For operators, with AWS rights on the stack's table.

    run works. pause sends nothing more to Claude. stop also cancels what is there: rows without an answer end without one, and
    cost nothing. In every position finished answers are collected, since they are paid for. Jobs do not end: what was never sent
    is sent once the switch is set to run again.

    The position is printed. Before stop the command asks, unless --yes is given.

    Exits with 0 when it was told or set, 1 when the stack could not be used, 2 when there is no such position, 4 when the answer
    was no, and 5 when nobody could be asked.
    """
    from batchdrop_cli.operating.switch_session import switch_stack

    ended(lambda: switch_stack(stack, position, yes=yes))
