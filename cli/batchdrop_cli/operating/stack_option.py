"""The option of the commands that look a stack up by its name."""

from __future__ import annotations

import click

STACK = click.option(
    "--stack", envvar="BATCHDROP_STACK", default="batchdrop", show_default=True, help="The CloudFormation stack."
)
