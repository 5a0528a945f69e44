"""CSV and TSV as a stream of records (RFC 4180): how the file is written is found once, the rest is read from any record on."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from batchdrop.domain.record import Record
from batchdrop.formats.invalid_line import shown
from batchdrop.formats.table_fault import TableFault, check_header, own, too_many_cells
from batchdrop.formats.text_encoding import byte_order_mark, codec_of, is_wide

MAX_RECORD_BYTES = 8_000_000
"""Of one record: twice what a rendered row may have. In memory one takes up to fourteen times its size."""
# A record of nothing but separators takes 60 times its size in memory. From this size on they are counted.
_LARGE_RECORD = 1_000_000
_MAX_SEPARATORS = 1_000_000
_CHUNK_BYTES = 256 * 1024
_TRIED_RECORDS = 200
_SEPARATORS = ",;\t|"
_NAMED_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
# The first line with which a file tells Excel its separator; the spreadsheet does not count it as a row.
_SEP_LINE = re.compile(r"sep=(.)(?:\r\n|\r|\n|$)", re.IGNORECASE)
# The `separator` of a file with one column, and its stand-in: csv needs one, and this is no character of any text (Unicode 23.7).
_NONE, _STAND_IN = "", "\U0010ffff"
_NOT_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x1f\x8b")

# For the process, as csv has it. It is never reached: the bytes of a record are counted first, and they are no fewer.
csv.field_size_limit(MAX_RECORD_BYTES)


class Dialect(Record, frozen=True, kw_only=True):
    """How a CSV file is written, and where its rows begin."""

    encoding: str
    """Python's name of the codec."""
    separator: str
    """One character; empty for a file of one column, where no character separates."""
    newline: str
    """Of the header."""
    columns: tuple[str, ...]
    """Of the file, as they stand in it; `own` of them are the user's."""
    first_offset: int
    """Bytes before the first row behind the header."""
    next_row: int
    """The number of that row as a spreadsheet counts it: 2, unless there are empty lines above the header."""

    @property
    def own(self) -> tuple[str, ...]:
        return own(self.columns)

    @property
    def written_separator(self) -> str:
        """For a table that is written like this one."""
        return self.separator or ","


class CsvRecord(NamedTuple):
    row: int
    """As a spreadsheet counts: a record is one row, whatever newlines it holds, and so is an empty line."""
    end: int
    """Bytes of the file up to here, in its own encoding: reading can go on at this offset, with `row + 1`."""
    cells: list[str]
    """One for each column; none if all of them are empty."""
    fault: str
    """What is wrong with this row, as a sentence, or empty."""


def sniff(head: bytes, *, complete: bool, encoding: str | None, separator: str | None, name: str) -> Dialect:
    """Finds out how a file is written by its first bytes; `complete` says that there are no others.

    `encoding` and `separator` are what the recipe says, `name` is the file's. The encoding is never guessed: it is UTF-8 unless
    a byte order mark or the recipe says otherwise. The separator is the one of `, ; tab |` under which the header is widest and
    the first 200 records keep that width. Raises TableFault.
    """
    if head.startswith(_NOT_TEXT):
        raise TableFault(
            "The file is a spreadsheet or an archive, not text. Give it the ending that it has a right to, such as .xlsx."
        )
    codec, start = byte_order_mark(head) or (codec_of(encoding) if encoding else "utf-8", 0)
    if not complete:
        head = _without_last_line(head, codec)
    told, start = _sep_line(head, start, codec)
    wanted = separator_of(separator) if separator else told
    found = _found(head, start, codec, wanted, name)
    if found.fault and (complete or not isinstance(found.fault, _OpenQuote)):
        raise found.fault
    header = found.header
    if header is None:
        raise TableFault(
            "The file is empty. Its first row must name the columns."
            if complete
            else "The header is too long: a quote in it may not be closed. Correct the first row."
        )
    if any("\0" in cell for cell in header.cells):
        raise TableFault(
            "The header has NUL characters: the file is not text, or it is UTF-16 without a byte order mark. "
            'Save it as "CSV UTF-8", or put `encoding: utf-16` in the recipe.'
        )
    return Dialect(
        encoding=codec,
        separator=found.separator,
        newline=_line_end(head[start : header.end].decode(codec)),
        columns=check_header(header.cells, header.row),
        first_offset=header.end,
        next_row=header.row + 1,
    )


def separator_of(word: str) -> str:
    """The character that a recipe names, itself or as `tab`, `comma`, `semicolon`, `pipe`. Raises TableFault."""
    character = _NAMED_SEPARATORS.get(word.lower(), word)
    if not _may_separate(character):
        raise TableFault(
            f'"{shown(word)}" cannot separate columns. Write one character such as ";", or comma, semicolon, tab or pipe.'
        )
    return character


def records(stream: BinaryIO, dialect: Dialect, *, start: int, row: int) -> Iterator[CsvRecord]:
    """The records from one on. The stream begins with it; `start` and `row` say where that is in its file.

    They are `first_offset` and `next_row` of the dialect, or `end` and `row + 1` of the record before. Cells that a record lacks
    at its end are empty, surplus empty ones are dropped; a record with more cells has a `fault`. Memory: up to 15 times the
    longest record, which has at most 8 MB (Python takes four bytes for each letter of a text with one emoji). Raises TableFault.
    """
    width = len(dialect.columns)
    make = tuple.__new__
    for number, end, cells in _read(stream, dialect.encoding, dialect.separator, start, row):
        # As in `lines`: tuple.__new__ takes half the time of the generated constructor.
        if len(cells) == width and any(cells):
            yield make(CsvRecord, (number, end, cells, ""))
        else:
            yield make(CsvRecord, (number, end, *_fitted(cells, width, number)))


def _fitted(cells: list[str], width: int, row: int) -> tuple[list[str], str]:
    if not any(cells):
        return [], ""
    if len(cells) < width:
        return cells + [""] * (width - len(cells)), ""
    if any(cells[width:]):
        return cells, too_many_cells(len(cells), width, row)
    return cells[:width], ""


def _read(stream: BinaryIO, codec: str, separator: str, start: int, row: int) -> Iterator[tuple[int, int, list[str]]]:
    """Row, end and cells of each record; no cells for an empty line."""
    lines = _Lines(stream, codec, separator or _STAND_IN, start)
    reader = csv.reader(lines, delimiter=separator or _STAND_IN, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _Undecodable as error:
            raise TableFault(error.sentence(row, codec)) from None
        except _TooLong as error:
            raise TableFault(error.sentence(row, lines.record)) from None
        except csv.Error as error:
            raise _quote_fault(error, row, lines.record) from None
        yield row, lines.end, cells
        row += 1
        lines.record = lines.end


class _OpenQuote(TableFault):
    """The file ends within quotes."""


def _quote_fault(error: csv.Error, row: int, offset: int) -> TableFault:
    """csv complains of two things: the end of the data within quotes, and text behind a closing quote."""
    if "unexpected end" in str(error):
        return _OpenQuote(f"A quote is opened in row {row} (which begins at byte {offset:,}) and never closed. {_QUOTE_REMEDY}")
    return TableFault(
        f"In row {row} (which begins at byte {offset:,}) text follows a closing quote: an earlier one is not closed, "
        f"or a quote within a cell is not doubled. {_QUOTE_REMEDY}"
    )


_QUOTE_REMEDY = 'Close it, and write a quote within a quoted cell twice ("").'


class _Undecodable(Exception):
    def __init__(self, byte: int, offset: int) -> None:
        super().__init__()
        self._byte = byte
        self._offset = offset

    def sentence(self, row: int, codec: str) -> str:
        where = f"Byte 0x{self._byte:02X} at row {row} (offset {self._offset:,}) is not {codec.upper()}."
        if codec == "utf-8":
            return f'{where} In Excel choose "CSV UTF-8", or put `encoding: windows-1252` in the recipe.'
        return f'{where} Save the file as "CSV UTF-8", or correct `encoding` in the recipe.'


_TOO_LONG = f"is longer than {MAX_RECORD_BYTES:,} bytes"


class _TooLong(Exception):
    def sentence(self, row: int, offset: int) -> str:
        return (
            f"Row {row} (which begins at byte {offset:,}) {self.args[0]}: that is too long for a request, "
            "or a quote in it is not closed. Close the quote, or shorten the row."
        )


class _Lines:
    """The lines of a file for csv, which takes one after the other and none too many, so `end` is exact behind each record."""

    def __init__(self, stream: BinaryIO, codec: str, separator: str, start: int) -> None:
        self.record = start
        """Where the record begins that is being read."""
        self.end = start
        """Behind the line that was read last."""
        self._codec = codec
        self._wide = is_wide(codec)
        self._stream: _Reads = _Narrowed(stream, codec, start) if self._wide else stream
        self._separator = separator.encode()
        self._separators = (start, 0)

    def __iter__(self) -> Iterator[str]:
        codec = "utf-8" if self._wide else self._codec
        end = self.end
        for lines in _whole_lines(self._stream):
            for line in lines.splitlines(keepends=True):
                size = len(line)
                if end + size - self.record > _LARGE_RECORD:
                    self._check(line, end + size - self.record)
                try:
                    text = line.decode(codec)
                except UnicodeDecodeError as error:
                    raise _Undecodable(line[error.start], end + error.start) from None
                self.end = end = end + (len(text.encode(self._codec)) if self._wide else size)
                yield text

    def _check(self, line: bytes, size: int) -> None:
        record, separators = self._separators
        separators = line.count(self._separator) + (separators if record == self.record else 0)
        self._separators = self.record, separators
        if size > MAX_RECORD_BYTES:
            raise _TooLong(_TOO_LONG)
        if separators > _MAX_SEPARATORS:
            raise _TooLong(f"has more than {_MAX_SEPARATORS:,} separators")


def _whole_lines(stream: _Reads) -> Iterator[bytes]:
    """Whole lines, a chunk's worth at a time; never the CR of a CR LF without its LF."""
    held: list[bytes] = []
    size = 0
    while chunk := stream.read(_CHUNK_BYTES):
        if held and held[-1].endswith(b"\r") and not chunk.startswith(b"\n"):
            yield b"".join(held)
            held, size = [], 0
        cut = max(chunk.rfind(b"\n"), chunk.rfind(b"\r", 0, -1)) + 1
        if cut:
            held.append(chunk[:cut])
            lines = b"".join(held)
            held, size = [], 0
            yield lines
            del lines
        if cut < len(chunk):
            held.append(chunk[cut:])
            size += len(chunk) - cut
        if size > MAX_RECORD_BYTES:
            raise _TooLong(_TOO_LONG)
    if held:
        yield b"".join(held)


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Narrowed:
    """A stream of UTF-16 as UTF-8, in which a line can be found by its bytes."""

    def __init__(self, stream: BinaryIO, codec: str, start: int) -> None:
        self._stream = stream
        self._codec = codec
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._decoded = start
        """Offset in the file of what was not decoded yet."""
        self._fault: _Undecodable | None = None

    def read(self, size: int, /) -> bytes:
        """Everything before an undecodable byte is handed out before it raises."""
        text, data = "", b"-"
        while data and not text and not self._fault:
            data = self._stream.read(size)
            text = self._decode(data)
        if self._fault and not text:
            raise self._fault
        return text.encode()

    def _decode(self, data: bytes) -> str:
        held = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, not data)
        except UnicodeDecodeError as error:
            self._fault = _Undecodable(error.object[error.start], self._decoded + error.start)
            return error.object[: error.start].decode(self._codec)
        self._decoded += held + len(data) - len(self._decoder.getstate()[0])
        return text


def _may_separate(character: str) -> bool:
    return len(character) == 1 and (
        character == "\t" or (character.isprintable() and not character.isalnum() and character not in "\"' ")
    )


def _sep_line(head: bytes, start: int, codec: str) -> tuple[str | None, int]:
    """The separator that the first line tells, and where the line behind it begins."""
    found = _SEP_LINE.match(head[start : start + 32].decode(codec, "ignore"))
    if found is None or not _may_separate(found[1]):
        return None, start
    return found[1], start + len(found[0].encode(codec))


def _without_last_line(head: bytes, codec: str) -> bytes:
    """Cut in the middle of a file, a line and even a character may be half."""
    if not is_wide(codec):
        return head[: max(head.rfind(b"\n"), head.rfind(b"\r", 0, -1)) + 1]
    text = head[: len(head) // 2 * 2].decode(codec, "surrogatepass" if len(head) > 1 else "ignore")
    return text[: max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1].encode(codec, "surrogatepass")


def _line_end(record: str) -> str:
    """Of a record; a last line that has none is followed by what RFC 4180 asks for."""
    return next((end for end in ("\r\n", "\n", "\r") if record.endswith(end)), "\r\n")


def _found(head: bytes, start: int, codec: str, wanted: str | None, name: str) -> _Try:
    if wanted is not None:
        return _try(head, start, codec, wanted)
    tries = [_try(head, start, codec, one) for one in _SEPARATORS]
    # A header with a broken quote is not the name of one column.
    broken = next((one for one in tries if one.fault and one.header is None), None)
    return _best(tries, name) or broken or _try(head, start, codec, _NONE)


class _Try(NamedTuple):
    """What the beginning of a file looks like under one separator."""

    separator: str
    header: CsvRecord | None
    width: int
    share: float
    """Of the records behind the header that are as wide as it."""
    fault: TableFault | None

    @property
    def is_likely(self) -> bool:
        return self.width > 1 and self.share >= 0.5


def _try(head: bytes, start: int, codec: str, separator: str) -> _Try:
    stream = io.BytesIO(head)
    stream.seek(start)
    header: CsvRecord | None = None
    tried = kept = 0
    fault = None
    try:
        for row, end, cells in _read(stream, codec, separator, start, 1):
            if not any(cells):
                continue
            if header is None:
                header = CsvRecord(row, end, cells, "")
                continue
            tried += 1
            kept += len(cells) == len(header.cells)
            if tried == _TRIED_RECORDS:
                break
    except TableFault as error:
        fault = error
    return _Try(separator, header, len(header.cells) if header else 0, kept / tried if tried else 1.0, fault)


def _best(tries: list[_Try], name: str) -> _Try | None:
    likely = [one for one in tries if one.is_likely]
    if name.lower().endswith((".tsv", ".tab")):
        likely = [one for one in likely if one.separator == "\t"] or likely
    return max(likely, key=lambda one: (one.fault is None, one.share, one.width), default=None)
