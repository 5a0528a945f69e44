"""What became of a row that was asked about, as a job would tell it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from batchdrop.domain.records import RowStatus
from batchdrop.formats.api_result import parse_result
from batchdrop.recipes.answers import Answers, cells
from batchdrop.recipes.form import AnswerForm
from batchdrop_cli.calling.realtime import Reply
from batchdrop_cli.opening.opened_file import Asked

_RESULT = b'{"type":"succeeded","message":%b}'


class Outcome(NamedTuple):
    asked: Asked
    status: RowStatus
    output: bytes | None = None
    """A JSON object of the answer columns; None if there is no answer that can be used."""
    cells: tuple[str, ...] = ()
    """The same as a table has it."""
    error_type: str = ""
    error: str = ""
    text: str = ""
    """Of an answer that cannot be used."""
    result: bytes | None = None
    """As a batch would have it; None if the API gave no answer."""
    input_tokens: int = 0
    """Those that were read from a cache or written to one included."""
    output_tokens: int = 0


class Judge:
    """`answer`: what the recipe asks for. None: every answer counts, as for a file of requests."""

    def __init__(self, answer: AnswerForm | None) -> None:
        self._any = answer is None
        self._form = answer or AnswerForm()
        self._answers = Answers(self._form)

    def outcome(self, asked: Asked, reply: Reply) -> Outcome:
        if reply.message is None:
            return Outcome(asked, RowStatus.errored, error_type=reply.error_type, error=reply.error)
        result = _RESULT % reply.message
        read = self._answers.read(result)
        if not _is_json(reply.message):
            return Outcome(asked, RowStatus.errored, error_type=read.error_type, error=read.message)
        tokens = _tokens(result)
        if read.output is not None:
            shown = tuple(cells(read.output, self._form.columns))
            return Outcome(asked, RowStatus.succeeded, read.output, shown, "", "", "", result, *tokens)
        if self._any and tokens != (0, 0):
            note = read.text or f"({read.message})"
            return Outcome(asked, RowStatus.succeeded, None, (note,), "", "", read.text, result, *tokens)
        return Outcome(asked, RowStatus.errored, None, (), read.error_type, read.message, read.text, result, *tokens)


def never_sent(asked: Asked) -> Outcome:
    why = asked.invalid
    return Outcome(asked, RowStatus.invalid, error_type=why.type if why else "", error=why.message if why else "", text="")


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _tokens(result: bytes) -> tuple[int, int]:
    try:
        found = parse_result(b'{"custom_id":"-","result":%b}' % result)
    except ValueError:
        return 0, 0
    cached = found.cache_read_tokens + found.cache_write_5m_tokens + found.cache_write_1h_tokens
    return found.input_tokens + cached, found.output_tokens
