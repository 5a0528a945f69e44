"""Which headers a file may ask for, and which parameters an API version refuses."""

from __future__ import annotations

import pytest

from batchdrop.domain.call_headers import AllowedHeaders, CallHeaders, NotAllowed, gone_in
from batchdrop.reports import sentences

ALLOWED = AllowedHeaders.of("2026-10-21, 2023-06-01", "one-2026-01-01,two-2026-02-02")


def test_a_file_that_asks_for_nothing_gets_the_first_version_and_no_beta() -> None:
    assert ALLOWED.asked({"batchdrop-priority": "high"}) == CallHeaders(api_version="2026-10-21", betas=())
    assert AllowedHeaders.of("2023-06-01,2026-10-21", "").asked({}).api_version == "2023-06-01"
    assert AllowedHeaders.of("", "") == AllowedHeaders(api_versions=("2026-10-21",), betas=())


def test_betas_are_a_list_of_their_own_order_without_doubles() -> None:
    asked = ALLOWED.asked(
        {"anthropic-beta": " two-2026-02-02 ,,one-2026-01-01,two-2026-02-02", "anthropic-version": " 2023-06-01 "}
    )
    assert asked == CallHeaders(api_version="2023-06-01", betas=("two-2026-02-02", "one-2026-01-01"))
    assert ALLOWED.refused(asked) is None
    assert asked.as_sent() == {"anthropic-version": "2023-06-01", "anthropic-beta": "two-2026-02-02,one-2026-01-01"}
    assert ALLOWED.asked(asked.as_sent()) == asked


@pytest.mark.parametrize(
    ("metadata", "refused"),
    [
        ({"anthropic-version": "2024-01-01"}, NotAllowed("anthropic-version", "2024-01-01", ("2026-10-21", "2023-06-01"))),
        (
            {"anthropic-beta": "one-2026-01-01,three"},
            NotAllowed("anthropic-beta", "three", ("one-2026-01-01", "two-2026-02-02")),
        ),
    ],
)
def test_what_is_not_on_the_list_is_refused(metadata: dict[str, str], refused: NotAllowed) -> None:
    assert ALLOWED.refused(ALLOWED.asked(metadata)) == refused
    sentence = sentences.not_allowed(refused)
    assert refused.value in sentence
    assert refused.allowed[0] in sentence
    assert ("AllowedBetas" in sentence) == (refused.name == "anthropic-beta")


def test_a_long_value_is_quoted_in_part() -> None:
    refused = ALLOWED.refused(ALLOWED.asked({"anthropic-beta": "x" * 2000}))
    assert refused is not None
    assert len(sentences.not_allowed(refused)) < 450


def test_sampling_is_gone_since_the_version_that_dropped_it() -> None:
    assert gone_in("2026-10-21") == gone_in("2027-01-01") == {"temperature", "top_p", "top_k"}
    assert gone_in("2023-06-01") == frozenset()
