"""The shell of the documents, as far as they use it: which programs a block runs, and with which words.

Pipes, lists, comments, quotes over several lines, functions, `for`, `$NAME` and `$(command)`. What is not closed is an error, so
that no command goes unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

type Value = Callable[[str], str]
"""What `$NAME` and `$(command)` stand for: called with `NAME`, or with `(command)`."""

_KEYWORDS = frozenset({"do", "done", "{", "}"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_NAME = re.compile(r"\w+|\{\w+\}")
_FUNCTION = re.compile(r"^(\w+)\(\) \{ (.*); \}$", re.MULTILINE)


class Command(NamedTuple):
    words: tuple[str, ...]
    """The program and what it is given."""
    sets: tuple[str, ...] = ()
    """What stands before it, such as `NAME=value`."""


def commands_in(script: str, value: Value = lambda name: name) -> Iterator[Command]:
    """In their order, those within `$(...)` before the one that takes what they print."""
    words: list[str] = []
    for token in _Scanner(script, value).tokens():
        if isinstance(token, Command):
            yield token
        elif token is None:
            yield from _command(words)
            words = []
        else:
            words.append(token)
    yield from _command(words)


def functions(script: str) -> dict[str, str]:
    """The bodies of the functions that a block defines, by name."""
    return dict(_FUNCTION.findall(script))


def _command(words: list[str]) -> Iterator[Command]:
    while words and (words[0] in _KEYWORDS or words[0].endswith("()")):
        words = words[1:]
    if not words or words[0] == "for":
        return
    count = next((number for number, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
    if count < len(words):
        yield Command(tuple(words[count:]), tuple(words[:count]))


class _Scanner:
    """One pass over a script."""

    def __init__(self, script: str, value: Value) -> None:
        self._script = script
        self._value = value
        self._at = 0
        self._word: str | None = None
        """None between words, which an empty text in quotes is not."""

    def tokens(self) -> Iterator[str | Command | None]:
        """Words, None where a command ends, and the commands within words."""
        while self._at < len(self._script):
            match self._next():
                case "'":
                    end = self._script.find("'", self._at)
                    self._add(self._script[self._at : self._closed(end)])
                    self._at = end + 1
                case '"':
                    yield from self._quoted()
                case "\\":
                    self._escaped("")
                case "$":
                    yield from self._of_value()
                case "#" if self._word is None:
                    end = self._script.find("\n", self._at)
                    self._at = len(self._script) if end < 0 else end
                case " " | "\t":
                    yield from self._ended()
                case ";" | "|" | "&" | "\n":
                    yield from self._ended()
                    yield None
                case sign:
                    self._add(sign)
        yield from self._ended()

    def _next(self) -> str:
        self._at += 1
        return self._script[self._at - 1]

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _ended(self) -> Iterator[str]:
        if self._word is not None:
            yield self._word
        self._word = None

    def _quoted(self) -> Iterator[Command]:
        self._add("")
        while (sign := self._script[self._closed(self._at)]) != '"':
            self._at += 1
            if sign == "\\":
                self._escaped("" if self._script[self._at] in '"$\\`' else sign)
            elif sign == "$":
                yield from self._of_value()
            else:
                self._add(sign)
        self._at += 1

    def _escaped(self, kept: str) -> None:
        sign = self._next()
        if sign != "\n":
            self._add(kept + sign)

    def _of_value(self) -> Iterator[Command]:
        end = self._end_of_value()
        name = self._script[self._at : end]
        self._at = end
        if name.startswith("(") and not name.startswith("(("):
            yield from commands_in(name[1:-1], self._value)
        self._add(self._value(name.strip("{}")) if name else "$")

    def _end_of_value(self) -> int:
        """Where the name or the command behind a dollar sign ends; where it begins if there is neither."""
        if self._script[self._at : self._at + 1] != "(":
            found = _NAME.match(self._script, self._at)
            return found.end() if found else self._at
        depth, quote = 0, ""
        for place in range(self._at, len(self._script)):
            sign = self._script[place]
            if quote or sign in "\"'":
                quote = "" if sign == quote else quote or sign
                continue
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if not depth:
                return place + 1
        raise ValueError(f"a bracket is not closed: {self._script}")

    def _closed(self, at: int) -> int:
        if not 0 <= at < len(self._script):
            raise ValueError(f"a quote is not closed: {self._script}")
        return at
