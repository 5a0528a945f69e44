"""Files of rows and the recipes that these trials bring for them, with an oracle of its own for what comes of both."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

TEAM = "inbox/drawn/"
USUAL, CHANGED = "About", "Now about"
"""What a recipe puts before a row's text."""
_HEADER = ("id", "text")
# What Batchdrop adds to a table.
_ROW, _STATUS, _ANSWER = "batchdrop_row", "batchdrop_status", "answer"


class Recipe(NamedTuple):
    """One that was put into the inbox. `word`: None if it is faulty."""

    key: str
    word: str | None = USUAL

    def body(self) -> bytes:
        field = "prompt" if self.word else "promt"
        return (
            f"model: claude-haiku-4-5\nmax_tokens: 100\nid: id\nretry: [truncated]\noutput:\n  answer: string\n"
            f'{field}: "{self.word or USUAL} {{{{ text }}}}"\n'
        ).encode()


class Row(NamedTuple):
    number: int
    """As the spreadsheet counts it."""
    custom_id: str
    text: str


def text_of(prompt: str) -> str:
    """What tells a row from every other, whatever its recipe says about it."""
    return prompt.removeprefix(f"{CHANGED} ").removeprefix(f"{USUAL} ")


def words_for(key: str, recipes: Sequence[Recipe], seen: int) -> tuple[str | None, ...]:
    """What recipes said for a file that was dropped after `seen` of them, from then on; None: nothing that can be used."""
    return tuple(_nearest(key, recipes[:number]) for number in range(seen, len(recipes) + 1))


def _nearest(key: str, recipes: Iterable[Recipe]) -> str | None:
    """The newest version of the nearest recipe above that file."""
    newest = {recipe.key.rpartition("/")[0]: recipe.word for recipe in recipes}
    above = [folder for folder in newest if key.startswith(f"{folder}/")]
    return newest[max(above, key=len)] if above else None


# ---------------------------------------------------------------- what goes in


def table_of(name: str, fates: Sequence[str]) -> bytes:
    """A row for each fate. Every other text has a line break; some rows have no id, and `twice` gives one that was there."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(_HEADER)
    for number, fate in enumerate(fates, start=1):
        writer.writerow(_cells(name, number, fate))
    return file.getvalue().encode()


def _cells(name: str, number: int, fate: str) -> Sequence[str]:
    text = f"{name}{' ' if number % 2 else '\n'}{number} {'ok' if fate == 'twice' else fate}"
    match fate:
        case "blank":
            return ()
        case "garbage":
            return f"{name} row {number}", ""
        case "twice":
            return "the same", text
        case _:
            return "" if number % 3 == 0 else f"{name} row {number}", text


def rows_of(body: bytes) -> Iterator[Row]:
    """Of a table that was dropped, or of its rows that a command has dropped again."""
    if body.startswith(b"{"):
        for number, line in enumerate(body.splitlines(), start=1):
            row = json.loads(line)
            yield Row(number, row["id"] or f"line-{number}", row["text"])
        return
    for number, cells in enumerate(_read(body), start=1):
        if number > 1 and any(cells):
            yield Row(number, cells[0] or f"line-{number}", cells[1])


# ---------------------------------------------------------------- what comes out


def tables_kept(
    rows: Sequence[Row], statuses: dict[int, str], words: Set[str], results: bytes, failed: bytes | None
) -> Iterator[str]:
    """Every row in its order, with its own cells and status, and with an answer that is its own; the others once more apart.

    `statuses`: by number of the row, as the files of lines have them. `failed`: None if the input was no table.
    """
    yield from _differences("results.csv", results, [(row, statuses.get(row.number, "nothing")) for row in rows])
    unanswered = [(row, status) for row in rows if (status := statuses.get(row.number, "nothing")) != "succeeded"]
    if failed is not None:
        yield from _differences("failed.csv", failed, unanswered)
    texts = {row.number: row.text for row in rows}
    for one in _records(results):
        own = {f"answer to {word} {texts.get(int(one[_ROW]), '')}" for word in words}
        if (one[_ANSWER] in own) != (one[_STATUS] == "succeeded"):
            yield f"results.csv has the answer {one[_ANSWER]!r} in row {one[_ROW]}, which is {one[_STATUS]}"


def _differences(name: str, data: bytes, expected: Sequence[tuple[Row, str]]) -> Iterator[str]:
    told = [(one["text"], one[_ROW], one[_STATUS]) for one in _records(data)]
    wanted = [(row.text, str(row.number), status) for row, status in expected]
    if told != wanted:
        yield f"{name} has {told}, not {wanted}"


def _records(data: bytes) -> list[dict[str, str]]:
    header, *rows = _read(data) if data else [[]]
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
