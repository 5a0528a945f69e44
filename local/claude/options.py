"""How one emulator behaves: what is fixed when it starts, and what can be changed while it runs."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

type _NotNegative = Annotated[float, Meta(ge=0)]
type _Whole = Annotated[int, Meta(ge=0)]


class Settings(Struct, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /_emulator/settings`` can change. Times are in seconds of the emulated clock."""

    seconds: _NotNegative = 2.0
    seconds_per_1000_rows: _NotNegative = 0.0
    cancel_seconds: _NotNegative = 1.0
    finished_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    answer_bytes: _Whole = 0
    results_bytes: _Whole = 0
    eager: bool = False
    cache_minimum: _Whole | None = None
    cache_hits: Annotated[float, Meta(ge=0, le=1)] | None = None
    requests_per_minute: _Whole | None = None
    queued_requests: _Whole | None = None


class Options(Struct, kw_only=True):
    """What is fixed when the emulator starts.

    ``keys`` maps each accepted key to its workspace; ``workspaces`` are those for which minted keys are. Both empty: any key is.
    """

    host: str = "127.0.0.1"
    port: int = 0
    keys: dict[str, str]
    workspaces: frozenset[str] = frozenset()
    clock: Literal["real", "manual"] = "real"
    speed: float = 1.0
    clock_offset: float = 0.0
    seed: str | None = None
    spool: Path | None = None
    journal: Path | None = None
    settings: Settings


def workspace_of(key: str) -> str:
    """The workspace of a key that was given none: each key has its own. It does not reveal the key."""
    return "wrkspc_" + hashlib.sha256(key.encode()).hexdigest()[:16]


def parse(arguments: list[str] | None = None) -> Options:
    """The options in a command line. Ends the program with a message when they make no sense."""
    parser = _parser()
    given = parser.parse_args(arguments)
    keys = {key: workspace_of(key) for key in given.api_key}
    for pair in given.key:
        key, separator, workspace = pair.partition("=")
        if not key or not separator or not workspace:
            parser.error("--key takes KEY=WORKSPACE")
        keys[key] = workspace
    if given.speed < 0:
        parser.error("--speed: the clock only moves forward")
    settings = Settings(**{name: getattr(given, name) for name in Settings.__struct_fields__})
    fixed = ("host", "port", "clock", "speed", "clock_offset", "seed", "spool", "journal")
    workspaces = frozenset(given.aws_workspace)
    return Options(keys=keys, workspaces=workspaces, settings=settings, **{name: getattr(given, name) for name in fixed})


def _parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m local.claude",
        description="An emulator of the Claude API's Message Batches endpoints, on this machine only.",
        epilog="Times are in seconds of the emulated clock. While it runs: GET /_emulator/ lists the controls.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default: %(default)s)")
    add("--api-key", action="append", default=[], metavar="KEY", help="accept only this key (may be repeated)")
    add("--key", action="append", default=[], metavar="KEY=WORKSPACE", help="the same, in a named workspace")
    add(
        "--aws-workspace",
        action="append",
        default=[],
        metavar="ID",
        help="accept keys minted for Claude Platform on AWS, for this workspace only (may be repeated)",
    )
    add(
        "--clock",
        choices=("real", "manual"),
        default="real",
        help="manual: the clock is stopped until it is advanced",
    )
    add("--speed", type=float, default=1.0, help="emulated seconds per real second (default: %(default)s)")
    add(
        "--clock-offset",
        type=float,
        default=0.0,
        metavar="S",
        help="how far the clock is off, may be negative",
    )
    add(
        "--seconds",
        type=float,
        default=usual.seconds,
        metavar="S",
        help="until a batch ends (default: %(default)s)",
    )
    add(
        "--seconds-per-1000-rows",
        type=float,
        default=usual.seconds_per_1000_rows,
        metavar="S",
        help="and for its size",
    )
    add(
        "--cancel-seconds",
        type=float,
        default=usual.cancel_seconds,
        metavar="S",
        help="from canceling to ended",
    )
    add(
        "--finished-share",
        type=float,
        metavar="X",
        help="0..1: rows done at a cancel (default: by elapsed time)",
    )
    add(
        "--answer-bytes",
        type=int,
        default=usual.answer_bytes,
        metavar="N",
        help="answers of N bytes of filler",
    )
    add(
        "--results-bytes",
        type=int,
        default=usual.results_bytes,
        metavar="N",
        help="filler that makes N bytes a batch",
    )
    add(
        "--eager",
        action="store_true",
        help="prepare results as soon as a batch is accepted, not when it ends",
    )
    add(
        "--cache-minimum",
        type=int,
        metavar="N",
        help="tokens from which a prefix is cached (default: the model's own)",
    )
    add(
        "--cache-hits",
        type=float,
        metavar="SHARE",
        help="of the rows of a batch that could find a prefix, how many do (default: drawn from 0.30 to 0.98 for each batch)",
    )
    add("--requests-per-minute", type=int, metavar="N", help="answer 429 above this (default: no limit)")
    add(
        "--queued-requests",
        type=int,
        metavar="N",
        help="answer 429 above this many queued rows (default: no limit)",
    )
    add("--seed", help="draw the same identifiers in every run")
    add(
        "--spool",
        type=Path,
        metavar="DIR",
        help="where bodies and results lie while it runs (default: temporary)",
    )
    add("--journal", type=Path, metavar="FILE", help="append every call to this file as a JSON line")
    return parser
