"""How a command ends that has to do with a stack."""

from __future__ import annotations

from batchdrop_cli.exit_codes import FAILED, TIMED_OUT, USAGE, WAITS
from batchdrop_cli.terminal import say
from batchdrop_client.errors import (
    VARIABLE,
    FileThere,
    InTheWay,
    NoBucket,
    NotApproved,
    NotNamed,
    OtherRecipe,
    StackError,
    TimedOut,
)


class CannotUse(StackError):
    """A sentence on why the command does not go on, and how it ends."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def ended_by(problem: StackError) -> int:
    """Says why, and gives the exit code back."""
    return say(_said(problem), _code_of(problem))


def _said(problem: StackError) -> str:
    """What a program is told to say in Python is said with an option here."""
    match problem:
        case OtherRecipe():
            return f"{problem.fact} Choose another folder with --to, or say that yours is to replace it with --recipe."
        case FileThere():
            return f"{problem.fact} Move it, or choose another with -o."
        case NoBucket():
            return f"Which bucket? Name it with --bucket, or in {VARIABLE}."
    return str(problem)


def _code_of(problem: StackError) -> int:
    match problem:
        case CannotUse():
            return problem.code
        case NotNamed() | InTheWay():
            return USAGE
        case NotApproved():
            return WAITS
        case TimedOut():
            return TIMED_OUT
    return FAILED
