"""Rows and their answers as text: for people, whose terminal must not obey what a row or an answer says; and as JSON."""

from __future__ import annotations

import textwrap

import msgspec

from batchdrop.domain.records import RowStatus
from batchdrop_cli.opening.opened_file import Asked
from batchdrop_cli.terminal import safe_json
from batchdrop_cli.trial.outcome import Outcome
from batchdrop_client.plain_text import plain

_GIST_CHARS = 46
_ANSWER_CHARS = 60
_LONGEST_CHARS = 2_000
_COLUMNS = 80


def described(outcome: Outcome, width: int) -> str:
    """A row for people. `width`: of the highest number of a row."""
    start = f"row {outcome.asked.line:>{width}}  {_cut(plain(outcome.asked.gist), _GIST_CHARS):<{_GIST_CHARS}}  "
    if outcome.status is not RowStatus.succeeded:
        said = f"\n{_indented(outcome.text)}" if outcome.text.strip() else ""
        return f"{start}no answer: {plain(outcome.error)}{said}"
    answer = "  ".join(plain(cell) for cell in outcome.cells)
    return f"{start}{answer}" if len(answer) <= _ANSWER_CHARS else f"{start.rstrip()}\n{_indented(*outcome.cells)}"


def as_json(outcome: Outcome) -> bytes:
    """`{"line", "status", "row" or "custom_id", "output", "error", "usage", "result"}`; result is the API's, untouched."""
    error = (
        None
        if outcome.status is RowStatus.succeeded
        else {"type": outcome.error_type, "message": outcome.error, "answer": outcome.text or None}
    )
    usage = {"input_tokens": outcome.input_tokens, "output_tokens": outcome.output_tokens}
    return b'{"line":%d,"status":"%b",%b,"output":%b,"error":%b,"usage":%b,"result":%b}' % (
        outcome.asked.line,
        outcome.status.encode(),
        outcome.asked.own,
        outcome.output or b"null",
        msgspec.json.encode(error),
        msgspec.json.encode(usage),
        b"null" if outcome.result is None else outcome.result.replace(b"\n", b" "),
    )


def request_as_json(asked: Asked) -> bytes:
    """`{"line", "row" or "custom_id", "params"}`; in place of params `error` for a row that is never sent."""
    start = b'{"line":%d,%b,' % (asked.line, asked.own)
    if asked.invalid is not None:
        why = {"type": asked.invalid.type, "message": asked.invalid.message}
        return start + b'"error":%b}' % msgspec.json.encode(why)
    return start + b'"params":%b}' % asked.params


def request_described(asked: Asked) -> str:
    if asked.invalid is not None:
        return f"row {asked.line}  never sent: {plain(asked.invalid.message)}"
    return f"row {asked.line}\n{safe_json(msgspec.json.format(asked.params, indent=2))}"


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 4]} ..."


def _indented(*texts: str) -> str:
    lines = [line for text in texts for line in text[:_LONGEST_CHARS].splitlines()]
    wrapped = [textwrap.fill(plain(line), _COLUMNS, initial_indent="    ", subsequent_indent="    ") for line in lines]
    more = any(len(text) > _LONGEST_CHARS for text in texts)
    return "\n".join([line for line in wrapped if line] + (["    ... (--json shows all of it)"] if more else []))
