"""report.html without a browser: what a parser finds in it. `tests/browser` opens it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from batchdrop.domain.records import Counts, JobState
from batchdrop.reports.page import Details, page, read_outcome
from batchdrop.reports.samples import MAX_CELL_CHARS, Sample, read_sample
from batchdrop.reports.status import pretty
from tests.adapters.records import job
from tests.browser.pages import EVIL, pages
from tests.fakes.clock import START

_VOID = {"meta"}
_ALLOWED_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "details", "summary"),
    *("p", "h1", "h2", "span", "strong", "b", "bdi", "code", "a", "div", "svg", "rect"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}


class Parsed(HTMLParser):
    """Every element with its attributes, and the text of the page. Whatever is left open, or closed twice, fails."""

    def __init__(self, body: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(body.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize(("state", "body"), pages().items())
def test_it_holds_nothing_that_could_load_or_run(state: str, body: bytes) -> None:
    parsed = Parsed(body)
    assert {tag for tag, _ in parsed.elements} <= _ALLOWED_TAGS
    for tag, attributes in parsed.elements:
        assert not {"style", "srcset", "src", "action", "formaction", "xlink:href"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes:
            assert tag == "a"
            assert re.fullmatch(r"https://eu-central-1\.console\.aws\.amazon\.com/s3/[!-~]+", attributes["href"] or "")
        for name, value in attributes.items():
            assert name == "href" or "alert" not in (value or ""), "data stands in the text of elements only"


@pytest.mark.parametrize(("state", "body"), pages().items())
def test_its_policy_comes_first_and_allows_its_own_style_alone(state: str, body: bytes) -> None:
    parsed = Parsed(body)
    metas = [attributes for tag, attributes in parsed.elements if tag == "meta"]
    style = re.search(rb"<style>(.*?)</style>", body, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1]).digest()).decode()
    assert metas[0] == {"charset": "utf-8"}
    assert metas[1] == {
        "http-equiv": "Content-Security-Policy",
        "content": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    }
    assert body.count(b"<style") == 1


def test_data_is_escaped_and_cut() -> None:
    body = pages()["hostile"].decode()
    assert "<script" not in body
    assert "<img" not in body
    assert "&lt;script&gt;" in body
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200f\ufeff]", body)
    assert len(body) < 100_000


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("reading", "Reading and checking the file."),
        ("waiting-for-a-recipe", "Put a recipe.yaml into the folder of the file"),
        ("waiting-for-approval", "-7kq2mx"),
        ("running", "3,120 answered, 4 without an answer, 4,895 open"),
        ("done", "8,001 of 8,019 rows have an answer; 18 do not: see failed.csv. 51 minutes, $1.84."),
        ("done", "$3.69"),
        ("done", "$1.60 to $2.10"),
        ("done", "40, 212, 377 and 9 more"),
        ("done", "(version 3HL4kqtJ)"),
        ("done-with-expected", "92.1 % as expected"),
        ("no-answers", "no answers"),
        ("rejected", "is encrypted"),
        ("stopped", "Stopped: 3,120 of 8,019 rows have an answer"),
    ],
)
def test_what_people_ask_is_answered(state: str, says: str) -> None:
    assert says in "".join(Parsed(pages()[state]).text)


@pytest.mark.parametrize(
    ("counts", "tone"),
    [
        (Counts(total=2, succeeded=2), "ok"),
        (Counts(total=2, succeeded=1, errored=1), "warn"),
        (Counts(total=2, errored=2), "bad"),
    ],
)
def test_only_a_job_with_every_answer_is_green(counts: Counts, tone: str) -> None:
    body = page(job(state=JobState.done, counts=counts), START)
    assert f'class="chip {tone}"'.encode() in body


def test_grades_stand_in_their_order() -> None:
    text = "".join(Parsed(pages()["many-columns"]).text)
    assert text.index("1100") < text.index("361") < text.index("560") < text.index("1020")


def test_what_costs_little_is_not_told_as_nothing() -> None:
    outcome = read_outcome(pretty({"answers": {}, "failures": [], "batches": [], "files": {}, "cost": {"usd": 0.000008}}))
    body = page(job(state=JobState.done, counts=Counts(total=9_000, succeeded=9_000)), START, details=Details((), outcome))
    assert "less than $0.000001" in body.decode()
    assert "$0.00<" not in body.decode()


def test_a_manifest_of_an_earlier_version_is_refused_as_a_whole() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_outcome(b'{"job_id": "a"}')


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        (
            b'{"custom_id":"a","line":2,"attempts":1,"row":{"text":"Good","n":3},"output":{"label":"yes"},"cost_usd":0,"result":{}}',
            Sample(line=2, row={"text": "Good", "n": "3"}, output={"label": "yes"}),
        ),
        (
            b'{"custom_id":"a","line":2,"attempts":1,"cost_usd":0,"result":{"type":"succeeded","message":{"content":'
            b'[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Yes."}]}}}',
            Sample(line=2, row={"custom_id": "a"}, output={"answer": "Yes."}),
        ),
        (
            b'{"text":"Bad","_batchdrop":{"line":3,"status":"errored","error":{"type":"t","message":"Cut off."},"attempts":1}}',
            Sample(line=3, row={"text": "Bad"}, error="Cut off."),
        ),
        (b"not JSON", None),
        (b'{"custom_id":"a"}', None),
    ],
)
def test_a_line_of_the_results_as_it_is_shown(line: bytes, sample: Sample | None) -> None:
    assert read_sample(line) == sample


def test_cells_are_cut_with_their_length() -> None:
    line: dict[str, Any] = {"line": 1, "row": {f"{one} {EVIL}": "x" * 10**6 for one in range(50)}, "output": {}}
    sample = read_sample(msgspec.json.encode(line))
    assert sample is not None
    assert len(sample.row) == 6
    assert set(sample.row.values()) == {"x" * MAX_CELL_CHARS + "... (1,000,000 characters)"}
