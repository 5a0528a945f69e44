"""The command `batchdrop`. What a subcommand needs is imported when it runs, so that help is there at once."""

from __future__ import annotations

import click

from batchdrop_cli.audit.command import audit
from batchdrop_cli.command_list import CommandList
from batchdrop_cli.comparing.compare_command import compare
from batchdrop_cli.dropping.drop_command import drop
from batchdrop_cli.estimating.estimate_command import estimate
from batchdrop_cli.fetching.fetch_command import fetch
from batchdrop_cli.following.approve_command import approve
from batchdrop_cli.following.cancel_command import cancel
from batchdrop_cli.following.jobs_command import jobs
from batchdrop_cli.following.open_command import open_report
from batchdrop_cli.following.status_command import status
from batchdrop_cli.operating.doctor_command import doctor
from batchdrop_cli.operating.switch_command import switch
from batchdrop_cli.retrying.retry_command import retry
from batchdrop_cli.trial.try_command import try_prompt


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


_COMMANDS = [
    approve,
    audit,
    cancel,
    compare,
    doctor,
    drop,
    estimate,
    fetch,
    jobs,
    open_report,
    retry,
    status,
    switch,
    try_prompt,
]


@click.group(name="batchdrop", cls=CommandList, commands=_COMMANDS)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_say_version, help="Show the version and exit."
)
def batchdrop() -> None:
    """Every answer from Claude for a file dropped into an S3 bucket, in order, at half price."""
