"""The name under which people save what they download."""

from __future__ import annotations

from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.adapters.disposition import content_disposition
from batchdrop.domain import keys
from batchdrop.domain.keys import outbox_folder
from tests.unit.test_keys import JOB

HOSTILE = [
    'a"; filename="evil.exe',
    "a\r\nSet-Cookie: b",
    "invoice\u202efdp.exe",
    "back\\slash",
    "%41%0d%0a",
    "a\ttab  two",
    "\x00\x1b\x7f\x85\u2028",
    "日本" * 150,
    "🎉" * 200,
    " ",
    "é" * 400,
]


def of(name: str, file: str = "results.csv") -> str:
    return content_disposition(outbox_folder(f"inbox/team/{name}.csv", JOB) + file)


def read(header: str) -> tuple[str, str]:
    """As the standard library reads it: what is done with it, and the name."""
    message = Message()
    message["Content-Disposition"] = header
    return message.get_content_disposition() or "", message.get_filename() or ""


@pytest.mark.parametrize(
    ("name", "file", "header"),
    [
        (
            "reviews-q3",
            "results.csv",
            "attachment; filename=\"reviews-q3.results.csv\"; filename*=UTF-8''reviews-q3.results.csv",
        ),
        ("a b", "report.html", "inline; filename=\"a b.report.html\"; filename*=UTF-8''a%20b.report.html"),
        ("Grüße", "failed.csv", "attachment; filename=\"Gr__e.failed.csv\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.failed.csv"),
    ],
)
def test_a_file_is_saved_with_the_name_that_was_dropped(name: str, file: str, header: str) -> None:
    assert of(name, file) == header


@pytest.mark.parametrize(
    "key",
    [
        "outbox/index.html",
        "outbox/team/index.json",
        "outbox/team/reviews/latest.json",
        f"outbox/team/reviews/{JOB}/recipe.yaml",
        f"outbox/team/reviews/{JOB}/recipe.schema.json",
        f"work/{JOB}/results.csv",
        f"inbox/outbox/a/{JOB}/results.csv",
    ],
)
def test_what_is_of_no_job_or_goes_back_as_it_is_keeps_its_name(key: str) -> None:
    assert content_disposition(key) == ""


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_breaks_the_header(name: str) -> None:
    holds(name)


@given(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_no_name_at_all_breaks_the_header(name: str) -> None:
    holds(name)


def holds(name: str) -> None:
    header = of(name)
    assert header.isascii()
    assert header.isprintable()
    assert header == " ".join(header.split()), "what is signed has no two spaces in a row"
    assert len(header) < 1024
    quoted = header.split('"')
    assert len(quoted) == 3, "one quoted string"
    assert "\\" not in header
    assert quoted[1].endswith(".results.csv")
    assert quoted[2].startswith("; filename*=UTF-8''")
    how, saved = read(header)
    assert how == "attachment"
    assert saved.endswith(".results.csv")
    assert len(saved.encode()) < 255
    assert "\u202e" not in saved


def test_the_name_of_a_job_is_its_files_and_not_its_folders() -> None:
    assert keys.saved_as(f"outbox/a/b/c/{JOB}/results.csv") == ("c", "results.csv")
