"""The files of docs/cost.md are read as the stack reads them, and hold what the page says of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from batchdrop.domain.keys import LIMITS, PRICES
from batchdrop.money import cache_rules, limit_file, price_file
from batchdrop.money.limit_file import LimitList, read_limits
from batchdrop.money.price_file import PriceFault, built_in, read_prices
from batchdrop.money.price_list import Rates
from tests.docs import cost_scenarios, recipe_page
from tests.docs.pages import ROOT, section, table_rows

_PAGE = ROOT / "docs" / "cost.md"
_NOW = datetime(2026, 12, 1, tzinfo=UTC)
_MICRO = 1_000_000


_FILES = {match["name"]: match["body"] for match in recipe_page.FILE.finditer(_PAGE.read_text())}


def fields(title: str) -> set[str]:
    return {name for row in table_rows(section(_PAGE, title)) for name in re.findall(r"`(\w+)`", row[0])}


def test_the_price_file() -> None:
    listed = read_prices(_FILES["prices.json"].encode(), name=PRICES, version="1", at=_NOW)
    haiku = listed.price_class("claude-haiku-6", _NOW, prompt_tokens=1, geo="us")
    assert listed.rates(haiku, _NOW) == Rates(22 * 10**7, 11 * 10**8, 275 * 10**6, 44 * 10**7, 22 * 10**6)
    (contract, before) = listed.models["claude-opus-5-5"]
    assert contract.since == _NOW
    assert (before,) == built_in().models["claude-opus-5-5"]


def test_the_fault_of_a_price_file() -> None:
    """The sentence that the page quotes, of the file that it describes."""
    (entry,) = [one for one in json.loads(_FILES["prices.json"]) if one["model"] == "claude-opus-5-5"]
    text = json.dumps([{"model": entry["model"], "input": "0.36"} | {name: entry[name] for name in Rates._fields[1:]}], indent=1)
    with pytest.raises(PriceFault) as found:
        read_prices(text.encode(), name=PRICES, version="1", at=_NOW)
    assert str(found.value) in section(_PAGE, "Your own prices").splitlines()


def test_the_fields_of_an_entry() -> None:
    assert fields("Your own prices") == set(price_file.FIELDS)


def test_the_limit_file() -> None:
    limits = _limits()
    eu = limits.limits_of("inbox/marketing/eu/a.csv")
    assert [(folder, said.day) for folder, said in eu] == [("marketing/eu", 4 * _MICRO), ("marketing", 20 * _MICRO)]
    assert limits.ask_above("inbox/marketing/eu/a.csv", _MICRO) == 5 * _MICRO
    assert not limits.earlier_approvals("inbox/marketing/eu/a.csv")
    other = limits.limits_of("inbox/other/a.csv")
    assert [(folder, said.day) for folder, said in other] == [("other", 10 * _MICRO)]
    assert limits.ask_above("inbox/other/a.csv", _MICRO) == _MICRO
    assert [folder for folder, _ in limits.limits_of("inbox/a.csv")] == [""]


def test_the_fields_of_a_folder() -> None:
    assert fields("Limits of folders") == set(limit_file.FIELDS)


def test_how_many_folders_may_lie_one_within_the_other() -> None:
    assert f"At most {limit_file.MAX_NAMED_FOLDERS} named folders" in section(_PAGE, "Limits of folders")


def test_the_worked_examples_are_up_to_date() -> None:
    text = _PAGE.read_text()
    assert text == cost_scenarios.filled(text), "docs/cost.md shows old amounts: run make docs"


def test_the_worked_examples_are_right() -> None:
    """By hand: requests, tokens of the prompt and of the answer, dollars for a million tokens of each."""
    by_hand = {
        "claude-haiku-4-5": (1_000, 150, 10, "1", "5"),
        "claude-haiku-5-5": (1_000, 150, 10, "0.10", "0.50"),
        "claude-sonnet-4-6": (500, 2_000, 200, "3", "15"),
        "claude-sonnet-5-5": (500, 2_000, 200, "2", "10"),
        "claude-opus-5": (100, 10_000, 1_500, "5", "25"),
        "claude-opus-5-5": (100, 10_000, 1_500, "4", "20"),
    }
    for _, model, answer in cost_scenarios.told():
        requests, prompt, written, input_usd, output_usd = by_hand[model]
        cost = float(requests * (prompt * Fraction(input_usd) + written * Fraction(output_usd)) / 10**6)
        assert answer["one_by_one"]["uncached"] == {"low_usd": cost, "high_usd": cost}
        assert answer["batch"]["uncached"] == {"low_usd": cost / 2, "high_usd": cost / 2}
        assert answer["as_it_stands"]["high_usd"] <= answer["as_it_stands"]["at_most_usd"]


def test_the_prices_of_a_prompt_on_opus() -> None:
    rows = {row[0].strip("`"): row[1:] for row in table_rows(section(_PAGE, "What a file will cost")) if "opus" in row[0]}
    assert rows["claude-opus-5"] == ["$5.00", "$0.50", "$2.50", "$0.25"]


def test_when_caching_pays() -> None:
    """By Anthropic's figures: 21.7 % and 52.6 % where a read costs a tenth, 20.8 % and 51.3 % where it costs a twentieth."""
    told = {name: row[1:] for row in table_rows(section(_PAGE, "Caching")) for name in re.findall("`(.+?)`", row[0])}
    assert told["claude-haiku-5-5"] == ["512", "21.7 %", "52.6 %"]
    assert told["claude-opus-5-5"] == told["claude-sonnet-5-5"] == ["512", "20.8 %", "51.3 %"]
    assert told["claude-haiku-4-5"] == ["4,096", "21.7 %", "52.6 %"]
    assert cache_rules.SHORTEST.keys() <= told.keys()


def _limits() -> LimitList:
    return read_limits(_FILES["limits.json"].encode(), name=LIMITS, version="1")
