"""Find the stack's switch, tell where it stands, and set it."""

from __future__ import annotations

import sys

import boto3
import click

from batchdrop.ports import SwitchState
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED, STOPPED, WAITS
from batchdrop_cli.operating.deployed_stack import aws_said, deployed_stack
from batchdrop_cli.operating.positions import Positions, Switch
from batchdrop_cli.terminal import on_terminal, out, say
from batchdrop_client.plain_text import plain

_MEANS = {
    SwitchState.run: "Files are sent to Claude.",
    SwitchState.pause: "Nothing more is sent to Claude. What is there goes on, and its answers are collected.",
    SwitchState.stop: "Nothing more is sent to Claude, and what is there is canceled. Answers that it has given are collected.",
}
_ASKS = (
    "stop cancels everything of the stack {stack} that is at Claude now: rows without an answer by then end without one, and "
    "cost nothing."
)


def switch_stack(stack: str, position: str | None, *, yes: bool) -> int:
    """The exit code. Raises StackError."""
    outputs = deployed_stack(stack).outputs
    parameter = outputs.get("Switch", f"/{stack}/switch")
    with aws_said(stack):
        switch = Switch(boto3.client("dynamodb"), outputs["Table"], boto3.client("ssm"), parameter)
    if position is not None:
        wanted = SwitchState(position)
        if wanted is SwitchState.stop and not yes and not _said_yes(stack):
            return say("The switch was not set.", STOPPED)
        with aws_said(stack):
            switch.set(wanted)
    with aws_said(stack):
        positions = switch.positions()
    out(positions.counts)
    return say(_told(positions, parameter), ANSWERED)


def _said_yes(stack: str) -> bool:
    asks = _ASKS.format(stack=plain(stack))
    if not on_terminal(sys.stdin, sys.stderr):
        raise CannotUse(f"{asks} The switch was not set: say --yes, or run this on a terminal.", WAITS)
    try:
        return click.confirm(f"{asks} Go on?", default=False, err=True)
    except click.Abort:
        return False


def _told(positions: Positions, parameter: str) -> str:
    means = _MEANS[positions.counts]
    if positions.parameter is None:
        return f"{means} The parameter {plain(parameter)} cannot be read with your rights: if it is stricter, it counts."
    if positions.counts is not positions.item:
        return f"{means} The parameter {plain(parameter)} says so; batchdrop switch run sets both back."
    return means
