"""Input lines good and bad, and what becomes of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import strategies as st

from batchdrop.formats.batch_body import BodyWriter
from batchdrop.formats.input_line import REQUESTS, Row
from batchdrop.formats.lines import Line

GOOD = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'


def line(data: bytes | str, number: int = 7, *, cut: bool = False) -> Line:
    """In text GOOD stands for good params, OPEN for the same without the closing brace, LONG for a long name."""
    if isinstance(data, str):
        data = data.replace("GOOD", GOOD).replace("OPEN", GOOD[:-1]).replace("LONG", "x" * 900).encode()
    return Line(number, 100, 101 + len(data), data, cut)


def with_params(**changes: str | None) -> str:
    """A row whose params differ from a good one; values are JSON text, None leaves one out."""
    params = {"model": '"m"', "max_tokens": "5", "messages": '[{"role":"user","content":"hi"}]'} | changes
    members = ",".join(f'"{key}":{value}' for key, value in params.items() if value is not None)
    return f'{{"custom_id":"a","params":{{{members}}}}}'


def body_of(rows: Iterable[Row], prefix: str = "p" * 16, *, middle: int = 0) -> bytes:
    """A whole body, written row by row."""
    out = io.BytesIO()
    writer = BodyWriter(out, prefix, middle)
    for row in rows:
        source = b'{"params":%b}' % row.params
        writer.add(Line(row.line, 0, 0, source, cut=False), REQUESTS.params(source))
    writer.close()
    assert writer.size == len(out.getvalue())
    return out.getvalue()


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6
)
BLOCK = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=8)}, optional={"cache_control": JSON})
MESSAGE = st.fixed_dictionaries(
    {"role": st.text(max_size=4), "content": st.text(max_size=8) | st.lists(BLOCK, max_size=2) | JSON}
)
PARAMS = st.fixed_dictionaries(
    {
        "model": st.text(min_size=1, max_size=9),
        "max_tokens": st.integers(1, 10**6),
        "messages": st.lists(MESSAGE, min_size=1, max_size=3),
    },
    optional={
        "system": st.text(max_size=5) | JSON,
        "temperature": st.floats(0, 1),
        "tools": JSON,
        "x": JSON,
        "stream": st.just(False),
    },
)
ROW = st.fixed_dictionaries({"params": PARAMS}, optional={"custom_id": st.text(min_size=1, max_size=9), "_batchdrop": JSON})
SPELLING: st.SearchStrategy[Callable[[Any], str]] = st.sampled_from(
    [
        lambda value: json.dumps(value, separators=(",", ":")),
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: json.dumps(value, separators=("\t, ", "  :")),
    ]
)


NOISE = st.sampled_from(
    [
        b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b"e999", b"NaN", b"\xff", b"\xed\xa0\x80", b"\\ud800",
        b"null",
        b'"params":1,', b'"custom_id":"b",', b'"model":"n",', b" ", b"\n", b"\x00", b"true", b"1e400", b'"x":', b"\xc3\xa4",
    ]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good row with a few bytes replaced, removed or added."""
    data = draw(SPELLING)(draw(ROW)).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        data = data[:start] + draw(NOISE) + data[start + draw(st.integers(0, 3)) :]
    return data
