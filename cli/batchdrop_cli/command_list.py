"""The commands: in the order in which people meet them, those for a closer look apart. Each is imported when it is asked for.

The modules of all of them would take a fifth of the time in which the command line starts (docs/performance.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import click


class _Listed(NamedTuple):
    place: str
    """The module below this package, and the command in it."""
    says: str
    """In the list. At most 68 characters, so that a line of it fits a terminal."""


_SECTIONS = {
    "Commands": {
        "try": _Listed("trial.try_command:try_prompt", "Ask about a few rows of FILE at once, and show the answers."),
        "drop": _Listed("dropping.drop_command:drop", "Drop a file or a folder of documents, and wait for the answers."),
        "jobs": _Listed("following.jobs_command:jobs", "List jobs: what waits for you, then the newest."),
        "status": _Listed("following.status_command:status", "Where a job stands."),
        "fetch": _Listed("fetching.fetch_command:fetch", "Download what an ended job has left."),
        "open": _Listed("following.open_command:open_report", "Look at the report of a job in the browser."),
        "approve": _Listed("following.approve_command:approve", "Say yes to what a job will cost."),
        "cancel": _Listed("following.cancel_command:cancel", "Stop a job; what is answered is delivered."),
        "retry": _Listed("retrying.retry_command:retry", "Ask again about the rows of a job that have no answer."),
        "estimate": _Listed("estimating.estimate_command:estimate", "What a file will cost, before anything is sent."),
    },
    "More": {
        "switch": _Listed("operating.switch_command:switch", "Stop spending, or go on: the switch of a stack."),
        "doctor": _Listed("operating.doctor_command:doctor", "Can you, and can the stack, do the work now?"),
        "compare": _Listed("comparing.compare_command:compare", "Ask some rows both ways: time and cost side by side."),
        "audit": _Listed("audit.command:audit", "Was anything of a job paid for twice, lost, or counted wrong?"),
    },
}
_LISTED = {name: listed for section in _SECTIONS.values() for name, listed in section.items()}


class CommandList(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return list(_LISTED)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in _LISTED:
            return None
        module, name = _LISTED[cmd_name].place.split(":")
        command: click.Command = getattr(import_module(f"batchdrop_cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        widest = max(map(len, _LISTED))
        for title, section in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), listed.says) for name, listed in section.items()])
