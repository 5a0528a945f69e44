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
