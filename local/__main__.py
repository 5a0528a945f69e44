"""`python -m local up | down | demo | invoke`: what the make targets of the same names call.

`beside STACK` adds a second stack.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import click

from batchdrop_cli.terminal import on_terminal
from local import demo, drops, system
from local.consent import Consent, amount
from local.errors import CannotRun
from local.paths import ENVIRONMENT, shown
from local.stages import STAGES

_EXAMPLE = "reviews"
_INTERRUPTED = 130


def _note(text: str) -> None:
    """Progress goes to standard error, so that standard output contains only results."""
    print(text, file=sys.stderr, flush=True)


def _ask(question: str) -> bool:
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None


def _dollars(text: str) -> Decimal:
    try:
        return amount(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in dollars, such as 2.50") from None


def _up(given: argparse.Namespace) -> None:
    running = system.up(_note, given.parameter)
    _note(f"The laptop system is running; make down ends it. These lines are also in {shown(ENVIRONMENT)}:")
    print(running.exports(), end="")


def _beside(given: argparse.Namespace) -> None:
    print(system.beside(given.stack, _note, given.parameter).exports(), end="")


def _down(_: argparse.Namespace) -> None:
    system.down()
    _note("The laptop system has ended.")


def _demo(given: argparse.Namespace) -> None:
    files = [drops.of_path(given.file)] if given.file else drops.of_example(given.example)
    was_running = system.running()
    try:
        consent = Consent(given.approve, _ask if on_terminal(sys.stdin, sys.stderr) else None, _note)
        print(demo.run(system.up(_note, given.parameter), files, consent, _note))
    except KeyboardInterrupt:
        if was_running:
            _note("\nWhat was dropped stays: its status.json says what it asks, and control/cancel/<job id> ends it.")
        raise
    finally:
        if not was_running:
            system.down()


def _invoke(given: argparse.Namespace) -> None:
    from local import invoke  # noqa: PLC0415 - nothing else needs a container engine

    print(invoke.run(system.current(), given.function, given.file, _note))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="All of Batchdrop on this machine.")
    commands = parser.add_subparsers(required=True)
    named: dict[str, tuple[Callable[[argparse.Namespace], None], str]] = {
        "up": (_up, "start it and leave it running; prints the environment to export"),
        "beside": (_beside, "deploy one more stack into it; prints the environment of that stack"),
        "down": (_down, "end it"),
        "invoke": (_invoke, "run one function in Lambda's image, on an event that happens, and show what it changes"),
        "demo": (_demo, "upload a file and download the answers; ends what it started"),
    }
    for name, (run, text) in named.items():
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)
        if name not in ("down", "invoke"):
            command.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a template parameter")
        if name == "beside":
            command.add_argument("stack", help="a name that no stack has yet")
        if name == "invoke":
            command.add_argument("function", choices=STAGES)
            command.add_argument("file", nargs="?", type=Path, default=drops.EXAMPLES / "reviews.jsonl")
        if name == "demo":
            command.add_argument("file", nargs="?", type=Path, help="or a folder of documents; left out: an example")
            command.add_argument("--example", default=_EXAMPLE, metavar="NAME", help=f"one of {', '.join(drops.names())}")
            command.add_argument(
                "--approve", type=_dollars, metavar="USD", help="say yes to what costs no more than so many dollars"
            )
    return parser


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = _parser().parse_args()
    try:
        given.run(given)
    except CannotRun as problem:
        _note(str(problem))
        return problem.code
    except KeyboardInterrupt:
        _note("Interrupted.")
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
