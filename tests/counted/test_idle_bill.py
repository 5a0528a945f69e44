"""The bill of a stack at rest: what the model counts is what the template has, and every price has its page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import cost, deployed
from local.paths import ROOT
from tests.template import facts
from tests.template.facts import of_type

_FOUND = json.loads((ROOT / "bench" / "results.json").read_text())
_PRICES = json.loads((ROOT / "bench" / "prices.json").read_text())
_NO_PRICES = {"region", "as_of", "currency", "source", "pages", "free_each_month"}


@pytest.fixture(scope="module")
def model() -> Any:
    """With what was measured, and the template as it is now."""
    start = _FOUND["cold_start"]["poll"]["wired"]["cpu"]["median"]
    return json.loads(json.dumps(cost.model(_FOUND["pipeline"], _FOUND["tick_at_rest"], start)))


def test_the_page_has_the_bill_of_the_template_as_it_is(model: Any) -> None:
    assert model == _FOUND["cost"]


def test_a_stack_at_rest_costs_what_was_promised(model: Any) -> None:
    assert model["idle_month"]["total"] <= 2.20
    assert model["idle_month"]["total_with_free_tier"] <= 0.90
    assert model["idle_month"]["items"]["Secrets Manager, the API key"] == 0.40


def test_every_alarm_is_paid_for_and_watches_one_metric(model: Any) -> None:
    alarms = of_type(facts.source()["Resources"], "AWS::CloudWatch::Alarm")
    assert deployed.count("AWS::CloudWatch::Alarm") == len(alarms)
    assert model["idle_month"]["items"]["CloudWatch alarms"] == pytest.approx(0.1 * len(alarms))
    # Of a metric math expression each metric is billed (Amazon CloudWatch pricing).
    assert not any("Metrics" in alarm for alarm in alarms.values())


def test_a_maximum_costs_three_more_polls_at_a_time() -> None:
    assert sorted(deployed.bounded_queues()) == [False, False, False, True, True]


def test_each_price_names_its_page() -> None:
    assert set(_PRICES["pages"]) == set(_PRICES) - _NO_PRICES
    assert all(page.startswith("https://aws.amazon.com/") for page in _PRICES["pages"].values())
