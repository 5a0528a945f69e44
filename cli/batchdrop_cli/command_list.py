"""The list of commands in the help: in the order in which people meet them, those for a closer look apart."""

from __future__ import annotations

import click

_SECTIONS = {
    "Commands": ("try", "drop", "jobs", "status", "fetch", "open", "approve", "cancel", "retry", "estimate"),
    "More": ("switch", "doctor", "compare", "audit"),
}


class CommandList(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return [name for names in _SECTIONS.values() for name in names if name in self.commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        widest = max(map(len, self.commands))
        limit = formatter.width - formatter.current_indent - widest - 4
        for title, names in _SECTIONS.items():
            known = [(name.ljust(widest), self.commands[name]) for name in names if name in self.commands]
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in known])
