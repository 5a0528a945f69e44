"""A JSON file that operators write below `config/`, and a fault in it with its place.

Such a file decides what is spent: what cannot be read as it was meant is not read at all. So unknown and repeated fields are
faults, and numbers are decimals as they stand there, never floats.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal, DecimalException
from difflib import get_close_matches
from typing import Any

import msgspec

from batchdrop.domain.errors import BatchdropError
from batchdrop.formats.invalid_line import shown

MAX_BYTES = 65_536
"""Of such a file: some hundred times what people write."""
MAX_LEVELS = 10
_MAX_NUMBER_CHARS = 40
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
# A name with its colon (group 1), a value without brackets (2), or a bracket or comma.
_TOKEN = re.compile(rb"(" + _STRING + rb")\s*+:|(" + _STRING + rb'|[^\s"\[\]{},:]++)|[\[\]{},]', re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")

type Path = tuple[str | int, ...]


class ConfigFault(BatchdropError):
    """The file cannot be used. The message is one sentence with file, line and field, and what to write instead."""

    def __init__(self, name: str, message: str, *, line: int | None = None, field: str = "") -> None:
        place = [name, *([f"line {line}"] if line else []), *([f"`{shown(field)}`"] if field else [])]
        super().__init__(f"{', '.join(place)}: {message}")
        self.name = name
        self.line = line
        """From 1; None where the file as a whole is at fault."""
        self.field = field
        """Such as `[0].input` or `folders.marketing.day_usd`."""


class ConfigFile:
    """`value` is what the file holds, its numbers int or Decimal.

    `name` is that of the file in messages, and `kind` the fault that is raised. Raises it when the bytes are more than 64 KB, not
    UTF-8, not JSON, nested deeper than 10 levels, or hold a field twice.
    """

    def __init__(self, data: bytes, name: str, kind: type[ConfigFault] = ConfigFault) -> None:
        self._name = name
        self._kind = kind
        if len(data) > MAX_BYTES:
            raise kind(name, f"The file is longer than {MAX_BYTES:,} bytes. Make it shorter.")
        data = data.removeprefix(b"\xef\xbb\xbf")
        self.value: Any = self._decode(data)
        self._lines = self._places(data)

    def fault(self, path: Path, message: str) -> ConfigFault:
        """What to raise for the value at that path, or for the nearest one around it that is there."""
        known = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in self._lines)
        return self._kind(self._name, message, line=self._lines[known], field=spelled(path))

    def fields(self, path: Path, value: object, known: Collection[str], required: Collection[str] = ()) -> Mapping[str, Any]:
        """`value` as an object whose fields are all known, those required among them. Raises the fault."""
        if not isinstance(value, dict):
            raise self.fault(path, f"This must be an object with {_listed(known)}, between braces.")
        for name in value:
            if name not in known:
                raise self.fault((*path, name), f"This field is not known. {_instead(name, known)}")
        for name in required:
            if name not in value:
                raise self.fault(path, f"The field `{name}` is missing. Add it.")
        return value

    def amount(self, path: Path, value: object, *, what: str, example: str, most: int, zero: bool = False) -> Decimal:
        """`value` as a decimal above 0 (or 0, if `zero`), at most `most` and with at most 6 places. It may stand there as text.

        Raises the fault.
        """
        number = _number(value)
        ask = f"Write {what}, such as {example}."
        if number is None:
            raise self.fault(path, f"This is not a decimal number. {ask}")
        if number < 0 or (number == 0 and not zero):
            raise self.fault(path, f"This must be {'0 or more' if zero else 'above 0'}. {ask}")
        if number > most:
            raise self.fault(path, f"This is more than {most:,}. {ask}")
        if number != number.quantize(Decimal("0.000001")):
            raise self.fault(path, f"This has more than 6 decimals. {ask}")
        return number

    def _decode(self, data: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
        try:
            data.decode()
            return msgspec.json.Decoder(float_hook=_decimal).decode(data)
        except UnicodeDecodeError as error:
            raise self._kind(
                self._name, "Here are bytes that are not UTF-8. Save the file as UTF-8.", line=_line(data, error.start)
            ) from error
        except RecursionError as error:
            raise self._too_deep() from error
        except msgspec.DecodeError as error:
            found = _BYTE.search(str(error))
            # msgspec names no byte where the text ends too early.
            line = _line(data, int(found[1]) if found else len(data))
            words = _BYTE.sub("", str(error)).strip().removeprefix("JSON is malformed: ")
            raise self._kind(self._name, f"This is not JSON ({words}). Correct it here or just before.", line=line) from error

    def _places(self, data: bytes) -> dict[Path, int]:
        lines: dict[Path, int] = {}
        for path, line in _walk(data):
            if len(path) > MAX_LEVELS:
                raise self._too_deep()
            if path in lines:
                raise self._kind(
                    self._name, "This field stands here a second time. Leave one of the two out.", line=line, field=spelled(path)
                )
            lines[path] = line
        return lines

    def _too_deep(self) -> ConfigFault:
        return self._kind(self._name, f"It is nested deeper than {MAX_LEVELS} levels. Make it flatter.")


def spelled(path: Path) -> str:
    """`("folders", "a", 0)` -> `folders.a[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _walk(data: bytes) -> Iterator[tuple[Path, int]]:
    """Path and line of every value of valid JSON, that of a member being where its name stands; a repeated name comes again."""
    path: list[str | int] = []
    line, counted = 1, 0
    for token in _TOKEN.finditer(data):
        line += data.count(b"\n", counted, token.start())
        counted = token.start()
        mark = token[0]
        if mark == b"," and isinstance(path[-1], int):
            path[-1] += 1
        elif mark in {b"]", b"}"}:
            path.pop()
        elif token[1]:
            path[-1] = msgspec.json.decode(token[1], type=str)
            yield tuple(path), line
        elif mark != b",":
            if not path or isinstance(path[-1], int):
                yield tuple(path), line
            if mark in {b"[", b"{"}:
                path.append(0 if mark == b"[" else "")


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text[:_MAX_NUMBER_CHARS]) if len(text) <= _MAX_NUMBER_CHARS else Decimal("NaN")
    except DecimalException:
        return Decimal("NaN")


def _number(value: object) -> Decimal | None:
    """None for what is no finite number; a bool is none, though Python says so."""
    if isinstance(value, str):
        return Decimal(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() else None


def _instead(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name[:80].lower(), known, 1)
    return f"Did you mean `{near[0]}`?" if near else f"Known are {_listed(known)}."


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
