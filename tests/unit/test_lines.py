"""read_lines against a naive reading, for any bytes in any chunks."""

from __future__ import annotations

import io
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats import lines
from batchdrop.formats.lines import CUT_BYTES, Line, read_lines

TEXT = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"a", b"\xe2\x80\xa8", b"\xc2\x85", b"{}", b"xyz" * 5])).map(
    b"".join
)


class Dribble(io.BytesIO):
    """A stream that returns as little as it likes, as sockets do."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__(data)
        self._sizes = sizes

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._sizes.pop(0) if self._sizes else size)


def naive(data: bytes, start: int, first_line: int, max_line: int) -> list[Line]:
    found, offset = [], start
    for number, whole in enumerate(data.split(b"\n"), first_line):
        text = whole.removeprefix(b"\xef\xbb\xbf") if number == 1 and start == 0 else whole
        end = offset + len(whole) + 1
        if end > start + len(data):
            end -= 1
            if not whole:
                break
        if len(whole) > max_line:
            found.append(Line(number, offset, end, text[:CUT_BYTES], True))
        else:
            text = text.removesuffix(b"\r")
            found.append(Line(number, offset, end, text if text.strip() else b"", False))
        offset = end
    return found


@given(
    TEXT,
    st.booleans(),
    st.lists(st.integers(1, 9)),
    st.integers(0, 2),
    st.integers(1, 3),
    st.integers(1, 20) | st.just(10_000),
)
def test_any_chunks_give_the_lines_of_a_naive_reading(
    data: bytes, bom: bool, sizes: list[int], start: int, first_line: int, max_line: int
) -> None:
    data = b"\xef\xbb\xbf" * bom + data
    found = list(read_lines(Dribble(data, sizes), start=start, first_line=first_line, max_line=max_line))
    assert found == naive(data, start, first_line, max_line)


@given(TEXT, st.lists(st.integers(1, 9)))
def test_lines_cover_every_byte_once(data: bytes, sizes: list[int]) -> None:
    found = list(read_lines(Dribble(data, sizes)))
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert b"".join(data[line.start : line.end] for line in found) == data
    assert all(before.end == after.start for before, after in pairwise(found))


@pytest.mark.parametrize("data", [b"", b"\n", b"\n \r\n\t\n"])
def test_nothing_but_blank_lines(data: bytes) -> None:
    assert [line.data for line in read_lines(io.BytesIO(data))] == [b""] * data.count(b"\n")


def test_a_byte_order_mark_is_no_text_but_counts_as_bytes() -> None:
    assert next(read_lines(io.BytesIO(b"\xef\xbb\xbf{}\n"))) == Line(1, 0, 6, b"{}", False)


def test_a_byte_order_mark_elsewhere_is_kept() -> None:
    assert next(read_lines(io.BytesIO(b"\xef\xbb\xbf{}"), start=7, first_line=3)).data == b"\xef\xbb\xbf{}"


def test_line_separators_inside_text_do_not_end_a_line() -> None:
    text = '{"a":"one\u2028two\u0085three\x0b"}'.encode()
    assert [line.data for line in read_lines(io.BytesIO(text + b"\n"))] == [text]


def test_a_long_line_of_spaces_is_not_taken_for_a_blank_one() -> None:
    line = next(read_lines(io.BytesIO(b" " * 3000 + b"{}\n"), max_line=2000))
    assert (line.cut, line.data) == (True, b" " * CUT_BYTES)


def test_an_endless_line_takes_the_memory_of_a_chunk() -> None:
    class Endless(io.BytesIO):
        left = 200

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            return b"x" * (size or 0) if self.left >= 0 else b""

    tracemalloc.start()
    try:
        (line,) = read_lines(Endless(), max_line=1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (line.cut, line.end, len(line.data)) == (True, 200 * lines._CHUNK_BYTES, CUT_BYTES)
    assert peak < 4_000_000
