"""What each model takes: the tables of Anthropic's documents, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchdrop.domain.call_headers import LONG_OUTPUT
from batchdrop.domain.model_list import ListedModel, ModelList
from batchdrop.domain.model_names import KNOWN, LONG_OUTPUT_MODELS
from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.models import WISHES, Thinking, check_model, facts_of, sampling_fault, thinking_params

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATEST = "2026-10-21"
EARLIER = "2023-06-01"
ALWAYS = ("claude-fable-5-2", "claude-fable-5-1", "claude-fable-5", "claude-mythos-5-2", "claude-mythos-5-1", "claude-opus-5-5")
ON = ("claude-opus-5", "claude-sonnet-5-5", "claude-sonnet-5", "claude-haiku-5-5")


def check(model: str, **given: Any) -> tuple[str, ...]:
    usual: dict[str, Any] = {"max_tokens": 4_000, "now": NOW, "api_version": LATEST}
    return check_model(model, **usual | given)


def fault(model: str, **given: Any) -> RecipeFault:
    with pytest.raises(RecipeFault) as caught:
        check(model, **given)
    return caught.value


def listing(*models: ListedModel) -> ModelList:
    return ModelList(fetched_at=NOW - timedelta(hours=1), models=models)


def effort(word: str) -> dict[str, Any]:
    return {"output_config": {"effort": word}}


ADAPTIVE = {"thinking": {"type": "adaptive"}}
DISABLED = {"thinking": {"type": "disabled"}}
BETWEEN = {"thinking": {"type": "between_tools"}}
ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 2_000}}


@pytest.mark.parametrize(
    ("model", "off", "on", "low", "xhigh", "most"),
    [
        ("claude-fable-5-2", None, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-mythos-5-1", None, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-opus-5-5", None, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-opus-5", DISABLED, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-sonnet-5-5", BETWEEN, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-sonnet-5", DISABLED, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-haiku-5-5", DISABLED, {}, effort("low"), effort("xhigh"), effort("max")),
        ("claude-opus-4-8", {}, ADAPTIVE, ADAPTIVE | effort("low"), ADAPTIVE | effort("xhigh"), ADAPTIVE | effort("max")),
        ("claude-opus-4-7", {}, ADAPTIVE, ADAPTIVE | effort("low"), ADAPTIVE | effort("xhigh"), ADAPTIVE | effort("max")),
        ("claude-opus-4-6", {}, ADAPTIVE, ADAPTIVE | effort("low"), None, ADAPTIVE | effort("max")),
        ("claude-sonnet-4-6", {}, ADAPTIVE, ADAPTIVE | effort("low"), None, ADAPTIVE | effort("max")),
        ("claude-opus-4-5", {}, ENABLED, ENABLED | effort("low"), None, None),
        ("claude-opus-4-5-20251101", {}, ENABLED, ENABLED | effort("low"), None, None),
        ("claude-sonnet-4-5-20250929", {}, ENABLED, None, None, None),
        ("claude-haiku-4-5", {}, ENABLED, None, None, None),
    ],
)
def test_how_a_model_is_told_to_think(model: str, off: object, on: object, low: object, xhigh: object, most: object) -> None:
    for wish, params in {"off": off, "on": on, "low": low, "xhigh": xhigh, "max": most}.items():
        if params is None:
            assert fault(model, thinking=wish).field == ("thinking",)
        else:
            assert thinking_params(model, wish, max_tokens=4_000) == params
            check(model, thinking=wish)
    assert thinking_params(model, None, max_tokens=4_000) == {}


@pytest.mark.parametrize("model", KNOWN)
def test_every_known_model_has_facts(model: str) -> None:
    assert facts_of(model, None) is not None
    for wish in WISHES:
        try:
            params = thinking_params(model, wish, max_tokens=2_000)
        except RecipeFault:
            continue
        thinking = params.get("thinking", {})
        assert thinking.get("budget_tokens", 1_024) in range(1_024, 2_000)


def test_a_word_for_thinking_that_is_none() -> None:
    found = fault("claude-haiku-5-5", thinking="hard")
    assert found.field == ("thinking",)
    assert "off, on, low" in found.message


def test_thinking_with_a_budget_needs_room() -> None:
    found = fault("claude-haiku-4-5", thinking="on", max_tokens=1_024)
    assert found.field == ("max_tokens",)
    assert check("claude-haiku-4-5", thinking="on", max_tokens=1_025) == ()


@pytest.mark.parametrize("model", ALWAYS)
def test_a_model_that_always_thinks_needs_room(model: str) -> None:
    for wish in (None, "on", "low"):
        found = fault(model, max_tokens=999, thinking=wish)
        assert found.field == ("max_tokens",)
        assert "thinking: low" in found.message
    assert check(model, max_tokens=1_000) == ()
    assert "always thinks" in fault(model, thinking="off").message


@pytest.mark.parametrize("model", ON)
def test_one_that_thinks_unless_told_not_to_asks_for_a_decision(model: str) -> None:
    found = fault(model, max_tokens=999)
    assert found.field == ("max_tokens",)
    assert "thinking: off" in found.message
    assert check(model, max_tokens=50, thinking="off") == ()
    (warning,) = check(model, max_tokens=999, thinking="on")
    assert "cut off" in warning
    assert check(model, max_tokens=1_000) == ()


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-8"])
def test_one_that_does_not_think_needs_none(model: str) -> None:
    assert check(model, max_tokens=5) == ()
    assert check(model, max_tokens=5, thinking="off") == ()


@pytest.mark.parametrize("kind", ["any", "tool"])
@pytest.mark.parametrize(
    ("model", "takes"),
    [
        *((model, False) for model in ("claude-fable-5-1", "claude-fable-5-2", "claude-opus-5-5", "claude-sonnet-5-5")),
        *(
            (model, True)
            for model in ("claude-fable-5", "claude-opus-5", "claude-sonnet-5", "claude-haiku-5-5", "claude-haiku-4-5")
        ),
    ],
)
def test_a_tool_that_has_to_be_used(model: str, takes: bool, kind: str) -> None:
    assert check(model, tool_choice={"type": "auto"}) == check(model, tool_choice="any") == ()
    if takes:
        assert check(model, tool_choice={"type": kind, "name": "x"}) == ()
    else:
        assert fault(model, tool_choice={"type": kind, "name": "x"}).field == ("tool_choice",)


@pytest.mark.parametrize(
    ("model", "takes"),
    [("claude-haiku-4-5", True), ("claude-opus-4-5", True), ("claude-sonnet-4-6", False), ("claude-haiku-5-5", False)],
)
def test_an_answer_begun_for_the_model(model: str, takes: bool) -> None:
    if takes:
        assert check(model, prefill=True) == ()
    else:
        assert fault(model, prefill=True).field == ("messages",)
    assert fault(model, prefill=True, structured=True).field == ("messages",)


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-haiku-5-5", "claude-of-tomorrow"])
def test_sampling_is_an_error_for_every_model_under_the_latest_version(name: str, model: str) -> None:
    sentence = sampling_fault({name: 1, "max_tokens": 5}, model, LATEST)
    assert sentence is not None
    assert f"`{name}`" in sentence
    assert "anthropic-version: 2023-06-01" in sentence
    found = fault(model, sampling={name: 1})
    assert found.field == (name,)


@pytest.mark.parametrize(
    ("model", "given", "word"),
    [
        ("claude-haiku-4-5", {"temperature": 0.2, "top_k": 4}, None),
        ("claude-sonnet-4-6", {"temperature": 0.2}, None),
        ("claude-haiku-5-5", {"temperature": 1, "top_p": 0.99}, None),
        ("claude-haiku-5-5", {"temperature": 0}, "`temperature` only as 1"),
        ("claude-haiku-5-5", {"top_p": 1}, "`top_p` only as 0.99"),
        ("claude-haiku-5-5", {"top_k": 1}, "`top_k` not at all"),
        ("claude-haiku-5-5", {"max_tokens": 1}, None),
    ],
)
def test_sampling_under_the_earlier_version(model: str, given: dict[str, object], word: str | None) -> None:
    sentence = sampling_fault(given, model, EARLIER)
    assert (sentence is None) is (word is None)
    assert (word or "") in (sentence or "")


def test_a_model_that_is_gone_or_going() -> None:
    assert fault("claude-sonnet-4-20250514").field == ("model",)
    (soon,) = check("claude-sonnet-4-5")
    assert "retires on 2026-11-30" in soon
    assert "claude-sonnet-5-5" in soon
    (overdue,) = check("claude-sonnet-4-5", now=NOW + timedelta(days=30))
    assert "was to retire" in overdue
    entry = ListedModel(id="claude-opus-4-7", lifecycle="deprecated", retires_at=NOW + timedelta(days=60))
    assert "retires on 2027-01-23" in check("claude-opus-4-7", listed=listing(entry))[0]


def test_a_model_that_nobody_knows_here_is_warned_about() -> None:
    (warning,) = check("claude-of-tomorrow", max_tokens=5)
    assert "could not be checked" in warning
    assert thinking_params("claude-of-tomorrow", "off", max_tokens=5) == DISABLED


def test_what_the_list_says_counts() -> None:
    entry = ListedModel(
        id="claude-new-6", max_tokens=8_000, thinking=("adaptive", "between_tools"), efforts=("low",), structured_outputs=False
    )
    listed = listing(entry)
    assert check("claude-new-6", listed=listed) == ()
    assert thinking_params("claude-new-6", "off", max_tokens=9, listed=listed) == BETWEEN
    assert fault("claude-new-6", listed=listed, thinking="high").field == ("thinking",)
    assert fault("claude-new-6", listed=listed, max_tokens=8_001).field == ("max_tokens",)
    assert fault("claude-new-6", listed=listed, structured=True).field == ("output",)
    assert check("claude-new-6", listed=listed, max_tokens=300_000, betas=("output-300k-2026-03-24",)) == ()


def test_long_output_is_for_the_models_that_have_it() -> None:
    beta = ("output-300k-2026-03-24",)
    most = listing(*(ListedModel(id=model, max_tokens=128_000) for model in KNOWN))
    for model in KNOWN:
        given: dict[str, Any] = {"listed": most, "long_output": True, "betas": beta}
        if model in LONG_OUTPUT_MODELS:
            check(model, max_tokens=300_000, **given)
            assert fault(model, max_tokens=300_001, **given).field == ("max_tokens",)
            assert "`long_output: true`" in fault(model, max_tokens=128_001, listed=most).message
        else:
            assert fault(model, **given).field == ("long_output",)
            found = fault(model, max_tokens=128_001, listed=most, betas=beta)
            assert found.field == ("max_tokens",)
            assert "long_output" not in found.message


def test_the_list_corrects_the_table() -> None:
    can_be_off = ListedModel(id="claude-opus-5-5", thinking=("adaptive", "disabled"))
    cannot = ListedModel(id="claude-haiku-5-5", thinking=("adaptive",))
    silent = ListedModel(id="claude-sonnet-4-6")
    unknown = ListedModel(id="claude-new-6")
    listed = listing(can_be_off, cannot, silent, unknown)
    assert thinking_params("claude-opus-5-5", "off", max_tokens=9, listed=listed) == DISABLED
    assert fault("claude-haiku-5-5", listed=listed, thinking="off").field == ("thinking",)
    assert facts_of("claude-sonnet-4-6", listed) == facts_of("claude-sonnet-4-6", None)
    assert facts_of("claude-new-6", listed) is None
    found = facts_of("claude-opus-5-5", None)
    assert found is not None
    assert found.thinking is Thinking.always


@pytest.mark.parametrize(
    ("model", "params", "field"),
    [
        ("claude-haiku-5-5", {"temperature": 1}, ("temperature",)),
        ("claude-haiku-5-5", {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, ("thinking", "type")),
        ("claude-sonnet-5-5", {"thinking": {"type": "disabled"}}, ("thinking", "type")),
        ("claude-fable-5", {"thinking": {"type": "disabled"}}, ("thinking", "type")),
        ("claude-opus-4-7", {"thinking": {"type": "enabled"}}, ("thinking", "type")),
        ("claude-opus-4-5", {"thinking": {"type": "adaptive"}}, ("thinking", "type")),
        ("claude-haiku-4-5", {"output_config": {"effort": "low"}}, ("output_config", "effort")),
        ("claude-sonnet-4-6", {"output_config": {"effort": "xhigh"}}, ("output_config", "effort")),
        ("claude-opus-4-5", {"output_config": {"effort": "max"}}, ("output_config", "effort")),
        ("claude-haiku-5-5", {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, ("output_config", "effort")),
    ],
)
def test_params_that_are_sent_as_they_stand_are_checked_too(
    model: str, params: dict[str, object], field: tuple[str, ...]
) -> None:
    assert fault(model, params=params).field == ("params", *field)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("claude-haiku-5-5", {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}),
        ("claude-haiku-5-5", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ("claude-sonnet-5", {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}),
        ("claude-sonnet-4-6", {"thinking": {"type": "enabled", "budget_tokens": 2_000}}),
        ("claude-haiku-5-5", {"thinking": "x", "output_config": {"effort": 5}, "cache_control": None}),
    ],
)
def test_and_what_is_right_passes(model: str, params: dict[str, object]) -> None:
    assert check(model, params=params) == ()


def test_thinking_switched_off_in_params_needs_no_room() -> None:
    assert check("claude-haiku-5-5", max_tokens=50, params={"thinking": {"type": "disabled"}}) == ()


def test_an_effort_above_high_and_thinking_off() -> None:
    found = fault("claude-haiku-5-5", thinking="off", params={"output_config": {"effort": "max"}})
    assert found.field == ("params", "output_config", "effort")


@pytest.mark.parametrize("most", [300_000, 100_000_000])
def test_no_model_writes_as_much_as_the_beta_allows_without_it(most: int) -> None:
    """Also where there is no list of models, as on a machine of one's own."""
    assert "writes 299,999 tokens at most" in fault("claude-haiku-5-5", max_tokens=most).message
    check("claude-haiku-5-5", max_tokens=300_000, long_output=True, betas=(LONG_OUTPUT,))
    assert fault("claude-haiku-5-5", max_tokens=300_001, long_output=True, betas=(LONG_OUTPUT,)).field == ("max_tokens",)
