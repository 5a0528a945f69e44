"""The set of custom ids, against a Python set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.stages.plan.seen_ids import IdSet

DIGESTS = st.lists(st.integers(0, 12).map(lambda number: bytes([number]) * 16), max_size=8)


@contextmanager
def id_file() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder) / "ids"


@given(st.lists(st.tuples(DIGESTS, st.booleans()), max_size=6))
def test_it_remembers_like_a_set_across_calls_and_reopenings(calls: list[tuple[list[bytes], bool]]) -> None:
    seen: set[bytes] = set()
    with id_file() as path:
        ids = IdSet(path)
        for digests, reopen in calls:
            expected = []
            for digest in digests:
                expected.append(digest in seen)
                seen.add(digest)
            assert ids.add_all(digests) == expected
            if reopen:
                ids.close()
                ids = IdSet(path)
        ids.close()


def test_the_first_of_two_in_a_call_is_the_new_one() -> None:
    with id_file() as path:
        ids = IdSet(path)
        assert ids.add_all([b"b" * 16, b"a" * 16, b"b" * 16, b"b" * 16]) == [False, False, True, True]
        ids.close()


def test_a_closed_set_is_one_file() -> None:
    with id_file() as path:
        ids = IdSet(path)
        ids.add_all([bytes([number]) * 16 for number in range(200)])
        ids.close()
        assert [found.name for found in path.parent.iterdir()] == ["ids"]


def test_a_file_that_is_something_else_is_refused() -> None:
    with id_file() as path:
        path.write_bytes(b"not a database at all " * 100)
        with pytest.raises(sqlite3.DatabaseError):
            IdSet(path)
