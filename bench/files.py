"""Input files of any size, written without ever being held."""

from __future__ import annotations

import json
from pathlib import Path

ANSWER_BYTES = 930
"""With it a result line of the emulator has about 1.5 KB."""
_TEXT = "This lamp is good, but its cable is too short for a large desk. "
_WRITE_ROWS = 5_000


def write_rows(path: Path, rows: int, row_bytes: int = 1_000, *, failing: int = 0) -> Path:
    """`rows` requests of about `row_bytes` each with ids of their own; every `failing`-th one ends as an error for good."""
    good, bad = (_template(row_bytes, mark) for mark in ("", "[[error:invalid_request_error]] "))
    with path.open("wb", buffering=0) as file:
        for first in range(0, rows, _WRITE_ROWS):
            numbers = range(first, min(first + _WRITE_ROWS, rows))
            file.write(b"".join((bad if failing and number % failing == 0 else good) % number for number in numbers))
    return path


def _template(row_bytes: int, mark: str) -> bytes:
    row = (
        '{"custom_id":"review %08d","params":{"model":"claude-haiku-4-5","max_tokens":100,'
        '"messages":[{"role":"user","content":{}}]}}\n'
    )
    prompt = f"Is this review positive, negative or neutral? {mark}"
    room = row_bytes - len(row % 0) - len(prompt)
    text = (_TEXT * (room // len(_TEXT) + 1))[:room]
    return row.replace("{}", json.dumps(prompt + text)).encode()


def write_table(path: Path, rows: int, *, failing: float = 0.0, unusable: float = 0.0, again: float = 0.0) -> Path:
    """A CSV file of 8 columns and some 200 bytes a row; every review has a comma, one in ten a quote.

    The shares of rows that fail for good, get an answer which is no JSON, and fail once, in this order of every hundred.
    """
    marks = [
        *["[[error:invalid_request_error]]"] * round(100 * failing),
        *["[[garble]]"] * round(100 * unusable),
        *["[[error:overloaded_error:1]]"] * round(100 * again),
    ]
    marks += [""] * (100 - len(marks))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("id,product,author,country,date,stars,verified,review\r\n")
        for number in range(rows):
            mark = marks[number % 100]
            said = '""works""' if number % 10 == 3 else "works"
            file.write(
                f"{number:017d},Desk lamp {number % 97},Reader {number % 1009},DE,2026-11-{1 + number % 28:02d},"
                f'{number % 5 - 2},true,"{_TEXT}It came on day {number % 31}, in a box of cardboard, to be given away, '
                f'and {said} {mark}."\r\n'
            )
    return path
