"""`batchdrop audit JOB`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from batchdrop_cli.operating.stack_option import STACK

if TYPE_CHECKING:
    from batchdrop_cli.audit.findings import Finding

_FOUND, _CANNOT = 1, 2


@click.command
@click.argument("job")
@STACK
@click.option("--emulator", metavar="URL", help="URL of the Claude emulator, which can list what it accepted.")
def audit(job: str, stack: str, emulator: str | None) -> None:
    """Check a job: was anything paid for twice, lost, invented or counted wrong?

    JOB is a job id, the end of one, or the address of its folder under outbox/. The audit only reads. It compares the table,
    the bucket and the API, which is called with ANTHROPIC_API_KEY, a key of the stack's workspace (ANTHROPIC_BASE_URL names
    another API). For a stack with ApiAccess=aws, keys are minted from your AWS credentials. The real API shows results only, so
    a row without a result proves nothing there.

    Exits with 0 when all promises were kept, 1 when one was broken, and 2 when the audit could not run.
    """
    from batchdrop_cli.audit.deployed import CannotAudit, audit_deployed
    from batchdrop_cli.audit.findings import Severity

    click.echo(f"Comparing the table, the bucket and the API for {job} ...", err=True)
    try:
        findings = audit_deployed(job, stack, emulator)
    except CannotAudit as problem:
        click.echo(problem, err=True)
        sys.exit(_CANNOT)
    for finding in findings:
        click.echo(_described(finding))
    errors = sum(finding.severity is Severity.error for finding in findings)
    click.echo(f"{_number(errors, 'error')}, {_number(len(findings) - errors, 'warning')}")
    sys.exit(_FOUND if errors else 0)


def _described(finding: Finding) -> str:
    where = ", ".join(
        part for part in (finding.batch and f"batch {finding.batch}", finding.line and f"line {finding.line}") if part
    )
    return f"{finding.severity}: {finding.kind}: {finding.sentence}{f' ({where})' if where else ''}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
