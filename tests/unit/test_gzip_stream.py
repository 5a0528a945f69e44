"""gzip in pieces: whole, broken, padded, chained and explosive."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.formats import gzip_stream
from batchdrop.formats.gzip_stream import InflateError, inflate, sniff


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def unpack(data: bytes, size: int = 1 << 16, max_output: int = 1 << 30) -> bytes:
    return b"".join(inflate(pieces(data, size), max_output))


def error_of(data: bytes, size: int = 1 << 16, max_output: int = 1 << 30) -> str:
    with pytest.raises(InflateError) as raised:
        unpack(data, size, max_output)
    assert raised.value.message.endswith(".")
    return raised.value.type


def outcome(data: bytes) -> bytes | str:
    try:
        return unpack(data)
    except InflateError as error:
        return error.type


@given(
    st.lists(st.binary(max_size=40) | st.integers(0, 3).map(lambda mib: b"ab" * (mib << 19)), min_size=1, max_size=3),
    st.integers(0, 20),
    st.integers(1, 64) | st.just(1 << 16),
)
def test_members_and_padding_in_any_pieces(members: list[bytes], zeros: int, size: int) -> None:
    data = b"".join(map(gzip.compress, members)) + b"\0" * zeros
    if any(members):
        assert unpack(data, size) == b"".join(members)
    else:
        assert error_of(data, size) == "gzip_empty"


def test_output_comes_in_bounded_pieces_and_in_full() -> None:
    # Long repeats leave zlib holding output when all input is consumed.
    plain = b"\0" * (3 * gzip_stream._PIECE_BYTES)
    found = list(inflate([gzip.compress(plain)], 1 << 30))
    assert max(map(len, found)) <= gzip_stream._PIECE_BYTES
    assert b"".join(found) == plain


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_file_that_ends_early(plain: bytes, data: st.DataObject) -> None:
    whole = gzip.compress(plain)
    assert error_of(whole[: data.draw(st.integers(1, len(whole) - 1))]) == "gzip_truncated"
    assert error_of(whole + whole[: data.draw(st.integers(1, len(whole) - 1))]) == "gzip_truncated"


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_damaged_file_is_noticed(plain: bytes, data: st.DataObject) -> None:
    whole = bytearray(gzip.compress(plain))
    # Behind the header, whose time and flags may be anything; the last eight bytes are checksum and length.
    place = data.draw(st.integers(10, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    # Unused bits at the end of a block are the only place where damage changes nothing.
    assert outcome(bytes(whole)) in {plain, "gzip_corrupt", "gzip_truncated", "gzip_trailing_data"}


def test_a_wrong_checksum_is_damage() -> None:
    whole = gzip.compress(b"text")
    assert error_of(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]) == "gzip_corrupt"


def test_a_file_without_content() -> None:
    assert error_of(b"") == "gzip_empty"
    assert error_of(gzip.compress(b"")) == "gzip_empty"


@pytest.mark.parametrize("rest", [b"x", b"\0\0x", b"\x1fx", b"{}\n"])
@pytest.mark.parametrize("size", [1, 1 << 16])
def test_something_behind_the_last_member(rest: bytes, size: int) -> None:
    assert error_of(gzip.compress(b"text") + rest, size) == "gzip_trailing_data"


def test_plain_text_is_no_gzip() -> None:
    assert error_of(b'{"params":{}}\n') == "gzip_corrupt"
    assert error_of(b"\0\0" + gzip.compress(b"x")) == "gzip_corrupt"
    assert not sniff(b'{"params":{}}\n')
    assert not sniff(b"\x1f")
    assert sniff(gzip.compress(b""))


def test_the_limit_is_exact_and_spans_members() -> None:
    data = gzip.compress(b"x" * 600) + gzip.compress(b"y" * 400)
    assert len(unpack(data, max_output=1000)) == 1000
    assert error_of(data, max_output=999) == "too_large"


def test_a_bomb_stops_at_the_limit_in_bounded_memory() -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    million = b"\0" * 1_000_000
    bomb = b"".join(squeeze.compress(million) for _ in range(200)) + squeeze.flush()
    tracemalloc.start()
    try:
        with pytest.raises(InflateError, match=r"10,000,000 bytes"):
            sum(len(piece) for piece in inflate([bomb], 10_000_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * gzip_stream._PIECE_BYTES
