"""The parts of `batchdrop compare` that need no API: what is counted, kept and shown, and how a batch is waited for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batchdrop.domain.errors import Incomplete, NotFound, Refused, Unavailable
from batchdrop.domain.records import ApiCounts
from batchdrop.formats.input_line import Row
from batchdrop.money.price_file import built_in
from batchdrop.ports import ApiBatch, Claude
from batchdrop_cli.comparing.answers_counted import AnswersCounted
from batchdrop_cli.comparing.comparison import Comparison, KeptFile, Progress, Way, encode
from batchdrop_cli.comparing.most_it_costs import NoPrice, most_it_costs
from batchdrop_cli.comparing.sent_batch import SentBatch, TooLate
from batchdrop_cli.comparing.shown_comparison import described
from batchdrop_cli.opening.local_prices import real_time

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
PRICES = built_in()
PREFIX = "abcdefghijklmnop"
SINGLY = Way(seconds=112.4, answered=50, input_tokens=11_500, output_tokens=2_300, usd=Decimal("0.023"))
BATCHED = Way(seconds=190.0, answered=50, input_tokens=11_500, output_tokens=2_300, usd=Decimal("0.0115"))
DONE = Comparison(
    file="reviews.csv",
    rows=50,
    of_rows=8019,
    left_out=0,
    lines=tuple(range(2, 52)),
    models=("claude-haiku-4-5",),
    emulated=False,
    at_most_usd=Decimal("0.9"),
    prices=PRICES.version,
    started_at=NOW,
    progress=Progress.done,
    batch_id="msgbatch_1",
    prefix=PREFIX,
    one_by_one=SINGLY,
    batch=BATCHED,
)


def message(model: str = "claude-haiku-4-5", read: int = 100, written: int = 10, **usage: Any) -> bytes:
    body = {"model": model, "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}
    return json.dumps(body | {"usage": {"input_tokens": read, "output_tokens": written} | usage}, indent=1).encode()


def result(line: int, kind: str = "succeeded", prefix: str = PREFIX) -> bytes:
    body: dict[str, Any] = {"type": kind} | ({"message": json.loads(message())} if kind == "succeeded" else {})
    return json.dumps({"custom_id": f"{prefix}-{line}", "result": body}).encode() + b"\n"


# ---------------------------------------------------------------- counted


def test_each_way_is_counted_at_its_price() -> None:
    ways = {}
    for name, prices in (("one by one", real_time(PRICES)), ("batch", PRICES)):
        counted = AnswersCounted(prices, NOW)
        counted.message(message(cache_creation_input_tokens=1000, cache_read_input_tokens=2000))
        counted.error("overloaded_error")
        ways[name] = counted.way(3, 1.23456)
    way = ways["one by one"]
    # 100 at 1, 1,000 written at 1.25, 2,000 read at 0.10, 10 of the answer at 5.
    assert way.usd == Decimal("0.0016")
    assert ways["batch"].usd == way.usd / 2
    assert (way.input_tokens, way.output_tokens, way.answered, way.failed) == (3100, 10, 1, 2)
    assert (way.errors, way.seconds) == ({"overloaded_error": 1}, 1.235)


def test_an_answer_of_a_model_without_a_price_is_named() -> None:
    counted = AnswersCounted(PRICES, NOW)
    counted.message(message("claude-unheard-of"))
    way = counted.way(1, 1)
    assert (way.usd, way.unpriced, way.answered) == (Decimal(0), {"claude-unheard-of": 1}, 1)
    text = described(replace(DONE, one_by_one=SINGLY, batch=replace(BATCHED, usd=Decimal(0), unpriced={"claude-x": 50})), 80)
    assert "not known" in text
    assert "No price is known of claude-x" in text
    assert "%" not in text


@given(st.binary(max_size=60))
def test_whatever_comes_is_an_answer_or_none(body: bytes) -> None:
    counted = AnswersCounted(PRICES, NOW)
    counted.message(body)
    way = counted.way(1, 1)
    assert way.answered + way.failed == 1


def row(line: int, model: str = "claude-haiku-4-5", prompt: str = "x", most: int = 100) -> Row:
    params = {"model": model, "max_tokens": most, "messages": [{"role": "user", "content": prompt}]}
    return Row(line, None, json.dumps(params).encode(), most, model)


def test_the_most_it_costs_is_both_ways_together() -> None:
    rows = [row(line, prompt="") for line in range(10)]
    # Answers alone: 1,000 tokens at 5 dollars and at 2.50 for a million.
    assert 7_500 <= most_it_costs(rows, PRICES, NOW) < 8_000
    with pytest.raises(NoPrice) as found:
        most_it_costs([*rows, row(11, "claude-unheard-of")], PRICES, NOW)
    assert found.value.models == ("claude-unheard-of",)


# ---------------------------------------------------------------- kept


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = KeptFile(tmp_path / "compare.json")
    for comparison in (DONE, replace(DONE, progress=Progress.sent, batch=None, at_most_usd=None)):
        kept.remove()
        kept.begin(comparison)
        assert kept.read() == comparison
        with pytest.raises(FileExistsError):
            kept.begin(comparison)
        kept.replace(replace(comparison, rows=7))
        assert kept.read().rows == 7
    assert [path.name for path in tmp_path.iterdir()] == ["compare.json"]


def test_amounts_are_numbers_without_exponents() -> None:
    tiny = replace(DONE, one_by_one=replace(SINGLY, usd=Decimal("1.0E-10")), batch=replace(BATCHED, usd=Decimal("0E+3")))
    text = encode(tiny).decode()
    assert '"usd": 0.0000000001,' in text
    assert '"usd": 0,' in text


# ---------------------------------------------------------------- shown


def test_a_person_reads_it() -> None:
    assert described(DONE, 100).splitlines() == [
        "reviews.csv: 50 of 8,019 rows, claude-haiku-4-5",
        "",
        "              one by one    as a batch",
        "time          1 min 52 s    3 min 10 s",
        "answers       50 of 50      50 of 50",
        "tokens in     11,500        11,500",
        "tokens out    2,300         2,300",
        "cost          $0.023        $0.012",
        "",
        "The batch cost 50 % of what one by one cost, and took 1.7 times as long.",
        "All 8,019 rows at these rates: one by one about $3.69 and 5 h; as batches about $1.84, and most",
        "batches end within an hour.",
    ]


@pytest.mark.parametrize("width", [30, 60, 116])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    broken = replace(BATCHED, answered=0, failed=50, errors={"expired\x1b[2J": 50}, usd=Decimal(0))
    for comparison in (DONE, replace(DONE, batch=broken, left_out=2, emulated=True)):
        text = described(comparison, width)
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text


# ---------------------------------------------------------------- waited for


class Api:
    """A script: each call gives the next of its kind, or raises it."""

    def __init__(self, retrieved: list[Any] | None = None, streams: list[Any] | None = None) -> None:
        self.retrieved = retrieved or []
        self.streams = streams or []

    def retrieve(self, _: str) -> ApiBatch:
        found = self.retrieved.pop(0)
        if isinstance(found, Exception):
            raise found
        counts = ApiCounts(processing=0, succeeded=1, errored=0, canceled=0, expired=0)
        return ApiBatch(id="msgbatch_1", status=found, counts=counts, created_at=NOW, ended_at=NOW + timedelta(minutes=3))

    @contextmanager
    def results(self, _: str) -> Iterator[Iterator[bytes]]:
        found = self.streams.pop(0)
        if isinstance(found, Exception):
            raise found
        yield iter(found)


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def sent(api: Api, clock: Time) -> SentBatch:
    return SentBatch(cast("Claude", api), sleep=clock.sleep, clock=clock.clock)


def test_it_is_looked_at_less_and_less_often_and_not_beyond_the_time() -> None:
    clock = Time()
    api = Api(["in_progress"] * 1000)
    with pytest.raises(TooLate):
        sent(api, clock).wait("msgbatch_1", 600)
    assert clock.now == 600
    assert clock.pauses[:-1] == sorted(clock.pauses[:-1])
    assert max(clock.pauses) == 15
    assert len(clock.pauses) < 60


def test_reads_that_fail_are_repeated_and_a_refused_key_is_not() -> None:
    clock = Time()
    passing = [Unavailable("down"), NotFound("404"), "in_progress", "ended"]
    assert sent(Api(passing), clock).wait("msgbatch_1", 60).status == "ended"
    with pytest.raises(Refused):
        sent(Api([Refused("no", status=401, kind="authentication_error")]), clock).wait("msgbatch_1", 60)


def test_a_stream_that_breaks_off_is_counted_once() -> None:
    whole = result(1) + result(2) + result(2) + b"garbage\n" + result(3, "expired") + result(4, prefix="z" * 16)
    streams = [NotFound("not yet"), [result(1), result(2)[:40]], Incomplete("cut"), [whole]]
    counted = sent(Api(streams=streams), Time()).collect("msgbatch_1", PREFIX, lambda: AnswersCounted(PRICES, NOW), 60)
    way = counted.way(3, 1)
    assert (way.answered, way.failed, way.errors) == (2, 1, {"expired": 1})
    assert way.usd == 2 * Decimal("0.000075")


def test_a_batch_is_what_the_rows_are(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    class Creating(Api):
        def create(self, body: Path, _: object) -> ApiBatch:
            bodies.append(body.read_bytes())
            self.retrieved = ["in_progress"]
            return self.retrieve("")

    rows = [row(2), row(70, prompt="für dich")]
    assert sent(Creating(), Time()).send(rows, PREFIX, cast("Any", None)).id == "msgbatch_1"
    assert bodies == [
        b'{"requests":[{"custom_id":"%b-2","params":%b},{"custom_id":"%b-70","params":%b}]}'
        % (PREFIX.encode(), rows[0].params, PREFIX.encode(), rows[1].params)
    ]
