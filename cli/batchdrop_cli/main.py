"""The command `batchdrop`. What a subcommand needs is imported when it runs, so that help is there at once."""

from __future__ import annotations

import click

from batchdrop_cli.command_list import CommandList


def _say_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"batchdrop, version {_version()}")
        ctx.exit()


def _version() -> str:
    import importlib.metadata  # noqa: PLC0415 - slow, and few ask

    try:
        return importlib.metadata.version("batchdrop")
    except importlib.metadata.PackageNotFoundError:
        return "unknown (a checkout, not installed)"


@click.group(name="batchdrop", cls=CommandList)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version, help="Show the version and exit."
)
def batchdrop() -> None:
    """Every answer from Claude for a file dropped into an S3 bucket, in order, at half price."""
