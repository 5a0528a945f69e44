"""Look at everything, one after the other, and say it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import msgspec

from batchdrop_cli.exit_codes import ANSWERED, FAILED
from batchdrop_cli.operating.bucket_looks import account_looks, bucket_looks
from batchdrop_cli.operating.deployed_stack import deployed_stack
from batchdrop_cli.operating.finding import Finding, Verdict, found, problem
from batchdrop_cli.operating.stack_looks import stack_looks
from batchdrop_cli.terminal import out
from batchdrop_client.errors import StackError
from batchdrop_client.named_folder import named_folder

_WIDEST = len("DeadLetters")


def diagnose(stack: str, bucket: str | None, folder: str, *, as_json: bool) -> int:
    """The exit code."""
    folder = named_folder(folder)
    rest = found(bucket_looks(bucket, folder)) if bucket else _of_stack(stack, folder)
    verdicts = [_tell(name, finding, as_json=as_json) for name, finding in chain(found(account_looks()), rest)]
    return FAILED if Verdict.problem in verdicts else ANSWERED


def _of_stack(name: str, folder: str) -> Iterator[tuple[str, Finding]]:
    try:
        stack = deployed_stack(name)
    except StackError as error:
        yield "stack", problem(str(error))
        return
    yield from found(stack_looks(stack))
    yield from found(bucket_looks(stack.outputs["Bucket"], folder))


def _tell(name: str, finding: Finding, *, as_json: bool) -> Verdict:
    if as_json:
        out(msgspec.json.encode({"what": name, "verdict": finding.verdict, "said": finding.said}))
    else:
        out(f"{finding.verdict:<{len(Verdict.problem)}}  {name:<{_WIDEST}}  {finding.said}")
    return finding.verdict
