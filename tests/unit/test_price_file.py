"""An operator's prices: what replaces what, and what is refused with which sentence."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.money.price_file import PriceFault, built_in, read_prices
from batchdrop.money.price_list import PriceList, Rates

NOW = datetime(2026, 11, 25, tzinfo=UTC)
NAME = "config/prices.json"
MINE = {"model": "my-model", "input": 1, "output": 2, "write_5m": "1.25", "write_1h": 2.0, "read": "0.000001"}
OPUS = {"model": "claude-opus-5-5", "input": "3", "output": "15", "write_5m": "3.75", "write_1h": "6", "read": "0.15"}
HAIKU = {"model": "claude-haiku-5-5", "input": "0.1", "output": "0.5", "write_5m": "0.125", "write_1h": "0.2", "read": "0.01"}
LONG = {"above": 100_000, "input": "0.5", "output": "2.5", "write_5m": "0.625", "write_1h": "1", "read": "0.05"}


def read(entries: object, at: datetime = NOW) -> PriceList:
    data = entries if isinstance(entries, bytes) else json.dumps(entries, indent=1).encode()
    return read_prices(data, name=NAME, version="v1", at=at)


def rates(listed: PriceList, model: str, at: datetime = NOW, *, prompt: int = 1, geo: str | None = None) -> Rates | None:
    return listed.rates(listed.price_class(model, at, prompt_tokens=prompt, geo=geo), at)


def fault(entries: object) -> PriceFault:
    with pytest.raises(PriceFault) as found:
        read(entries)
    return found.value


def test_an_entry_adds_a_model_and_leaves_the_others() -> None:
    listed = read([MINE])
    assert rates(listed, "my-model") == Rates(10**9, 2 * 10**9, 125 * 10**7, 2 * 10**9, 1000)
    assert rates(listed, "my-model", geo="us") == Rates(11 * 10**8, 22 * 10**8, 1375 * 10**6, 22 * 10**8, 1100)
    assert {name: listed.models[name] for name in built_in().models} == built_in().models
    assert listed.version == "config/prices.json v1"


def test_an_entry_replaces_a_model_from_its_day_on() -> None:
    listed = read([OPUS | {"valid_from": "2026-11-20"}])
    before, since = datetime(2026, 11, 19, 23, 59, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
    assert rates(listed, "claude-opus-5-5", before) == rates(built_in(), "claude-opus-5-5")
    assert rates(listed, "claude-opus-5-5", since) == Rates(3 * 10**9, 15 * 10**9, 375 * 10**7, 6 * 10**9, 15 * 10**7)


def test_an_entry_without_a_day_replaces_all_of_a_model() -> None:
    listed = read([OPUS])
    assert len(listed.models["claude-opus-5-5"]) == 1
    sonnet = OPUS | {"model": "claude-sonnet-5-5"}
    assert len(read([sonnet | {"valid_from": "2026-11-01"}]).models["claude-sonnet-5-5"]) == 3
    assert len(read([sonnet | {"valid_from": "2026-10-01"}]).models["claude-sonnet-5-5"]) == 2


def test_a_dated_id_is_its_alias() -> None:
    listed = read([OPUS | {"model": "claude-opus-4-5-20251101", "read": "0.25"}])
    assert (
        rates(listed, "claude-opus-4-5")
        == rates(listed, "claude-opus-4-5-20251101")
        == Rates(3 * 10**9, 15 * 10**9, 375 * 10**7, 6 * 10**9, 25 * 10**7)
    )
    assert rates(listed, "claude-opus-4-5", geo="us") == rates(listed, "claude-opus-4-5")  # residency is that of the model


def test_tier_and_residency_of_an_entry() -> None:
    listed = read([HAIKU | {"long_prompt": LONG | {"above": 50_000}, "us_percent": 120, "as_of": "today", "source": "contract"}])
    assert rates(listed, "claude-haiku-5-5", prompt=50_001, geo="us") == Rates(
        6 * 10**8, 3 * 10**9, 75 * 10**7, 12 * 10**8, 6 * 10**7
    )
    assert rates(listed, "claude-haiku-5-5", prompt=50_000) == rates(built_in(), "claude-haiku-5-5")


def test_the_digest_is_that_of_the_prices_alone() -> None:
    assert read([]).digest == built_in().digest
    assert read([MINE]).digest == read(json.dumps([MINE | {"source": "x"}]).encode()).digest != built_in().digest
    assert read([MINE]).digest != read([MINE | {"read": "0.000002"}]).digest


def test_an_empty_list_changes_nothing() -> None:
    assert read([]).models == built_in().models


@pytest.mark.parametrize(
    ("entries", "line", "field", "said"),
    [
        ({"prices": []}, 1, "", "must be a list"),
        ([1], 2, "[0]", "must be an object"),
        ([MINE | {"imput": 1}], 9, "[0].imput", "Did you mean `input`?"),
        ([MINE | {"zzz": 1}], 9, "[0].zzz", "Known are `model`"),
        ([{"model": "m"}], 2, "[0]", "`input` is missing"),
        ([MINE | {"model": 1}], 3, "[0].model", "no model's name"),
        ([MINE | {"model": "a#us"}], 3, "[0].model", "no model's name"),
        ([MINE | {"model": "m" * 65}], 3, "[0].model", "no model's name"),
        ([MINE | {"input": 0}], 4, "[0].input", "above 0"),
        ([MINE | {"input": -1}], 4, "[0].input", "above 0"),
        ([MINE | {"input": "-1"}], 4, "[0].input", "not a decimal"),
        ([MINE | {"output": "1,5"}], 5, "[0].output", "not a decimal"),
        ([MINE | {"output": True}], 5, "[0].output", "not a decimal"),
        ([MINE | {"output": None}], 5, "[0].output", "not a decimal"),
        ([MINE | {"read": "0.0000001"}], 8, "[0].read", "more than 6 decimals"),
        ([MINE | {"read": 1e-7}], 8, "[0].read", "more than 6 decimals"),
        ([MINE | {"read": 1e300}], 8, "[0].read", "more than 100,000"),
        ([MINE | {"valid_from": "2026-13-01"}], 9, "[0].valid_from", "no day"),
        ([MINE | {"valid_from": 20261001}], 9, "[0].valid_from", "no day"),
        ([MINE | {"us_percent": 99}], 9, "[0].us_percent", "whole number from 100"),
        ([MINE | {"source": 1}], 9, "[0].source", "must be text"),
        ([MINE | {"long_prompt": {"above": 0, **dict.fromkeys(Rates._fields, 1)}}], 10, "[0].long_prompt.above", "from 1"),
        ([MINE, MINE], 10, "[1]", "second entry of my-model"),
        ([OPUS | {"input": "1.99"}], 4, "[0].input", "below half of the built-in price, $4."),
        ([OPUS | {"read": "0.099999"}], 8, "[0].read", "below half of the built-in price, $0.2."),
        ([OPUS | {"model": "claude-opus-4-5-20251101", "input": "2.4"}], 4, "[0].input", "below half of the built-in price, $5."),
        ([HAIKU], 2, "[0].long_prompt.input", "below half of the built-in price, $0.5."),
        ([HAIKU | {"long_prompt": LONG | {"above": 100_001}}], 10, "[0].long_prompt.above", "from 100,000 tokens on"),
        (
            [OPUS | {"input": 2, "us_percent": 100}],
            9,
            "[0].us_percent",
            "With it `input` is below half of the built-in price, $4.4.",
        ),
        (b'[\n{"model": "a", "model": "b"}]', 2, "[0].model", "a second time"),
        (b"[\n\xff]", 2, "", "not UTF-8"),
        (b"[\n\n{]", 3, "", "not JSON"),
        (b"", 1, "", "not JSON"),
        (b"[" * 60_000 + b"]" * 0, None, "", "deeper than 10"),
        (b"[" * 12 + b"]" * 12, None, "", "deeper than 10"),
        (b" " * 65_537, None, "", "longer than 65,536 bytes"),
    ],
)
def test_faults(entries: object, line: int | None, field: str, said: str) -> None:
    found = fault(entries)
    assert (found.name, found.line, found.field) == (NAME, line, field)
    place = f"{NAME}{f', line {line}' if line else ''}{f', `{field}`' if field else ''}: "
    assert str(found).startswith(place)
    assert said in str(found)


def test_half_of_a_price_is_that_of_the_day_on_which_it_holds() -> None:
    sonnet = {"model": "claude-sonnet-5-5", "input": 2, "output": 10, "write_5m": 2.5, "write_1h": 4, "read": "0.05"}
    assert read([sonnet])
    with pytest.raises(PriceFault, match=r"`\[0\].read`: This is below half of the built-in price, \$0\.2\."):
        read([sonnet], at=datetime(2026, 10, 1, tzinfo=UTC))
    assert read([sonnet | {"valid_from": "2026-10-07"}], at=datetime(2026, 10, 1, tzinfo=UTC))


def test_a_fault_quotes_at_most_80_characters_of_the_file() -> None:
    assert len(str(fault([{"x" * 60_000: 1}]))) < 400


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*OPUS, "long_prompt", "valid_from", "é"]), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | _json.map(lambda value: json.dumps(value).encode()))
def test_anything_is_prices_or_one_sentence(data: bytes) -> None:
    with suppress(PriceFault):
        assert read(data).models


@given(st.dictionaries(st.sampled_from([*OPUS, "long_prompt", "us_percent", "valid_from", "source"]), _json))
def test_any_change_of_an_entry_is_prices_or_one_sentence(change: dict[str, object]) -> None:
    try:
        listed = read([OPUS | change])
    except PriceFault:
        return
    for name, known in built_in().models.items():
        for cheap, dear in zip(rates(listed, name) or (), known[0].rates[0][0], strict=True):
            assert 2 * cheap >= dear
