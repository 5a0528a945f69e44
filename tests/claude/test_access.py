"""Keys, workspaces, versions and headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from local.claude.client import Control, start
from tests.claude.helpers import BATCHES, HEADERS, VERSION, Api, error_of, requests


@pytest.fixture(scope="module")
def guarded() -> Iterator[Control]:
    with start("--api-key", "alone", "--key", "one=shared", "--key", "two=shared") as control:
        yield control


def asking(control: Control, **headers: str) -> httpx2.Response:
    given = {"anthropic-version": VERSION, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx2.get(f"{control.base_url}{BATCHES}", headers=given, verify=False)


def test_both_ways_to_send_a_key(control: Control) -> None:
    assert asking(control, x_api_key="any").status_code == 200
    assert asking(control, authorization="Bearer any").status_code == 200


def test_a_refusal_reaches_a_caller_that_is_still_sending(control: Control) -> None:
    answer = httpx2.post(f"{control.base_url}{BATCHES}", content=b" " * 50_000_000, verify=False)
    assert error_of(answer) == (401, "authentication_error")


@pytest.mark.parametrize("headers", [{}, {"x_api_key": ""}, {"authorization": "Bearer"}, {"authorization": "Basic abc"}])
def test_no_key_is_an_authentication_error(control: Control, headers: dict[str, str]) -> None:
    answer = asking(control, **headers)
    assert error_of(answer) == (401, "authentication_error")
    assert answer.json()["type"] == "error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_every_key_has_a_workspace_of_its_own(api: Api) -> None:
    batch_id = api.create("a")
    other = {**HEADERS, "authorization": "Bearer somebody-else"}
    assert api.http.get(BATCHES, headers=other).json()["data"] == []
    assert error_of(api.http.get(f"{BATCHES}/{batch_id}", headers=other)) == (404, "not_found_error")


def test_only_the_keys_that_were_given_are_accepted(guarded: Control) -> None:
    assert error_of(asking(guarded, x_api_key="unknown")) == (401, "authentication_error")
    for key in ("alone", "one", "two"):
        assert asking(guarded, x_api_key=key).status_code == 200


def test_keys_can_share_a_workspace(guarded: Control) -> None:
    made = httpx2.post(
        f"{guarded.base_url}{BATCHES}",
        json={"requests": requests("a")},
        headers={"x-api-key": "one", "anthropic-version": VERSION},
        verify=False,
    ).json()
    assert [batch["id"] for batch in asking(guarded, x_api_key="two").json()["data"]] == [made["id"]]
    assert asking(guarded, x_api_key="alone").json()["data"] == []
    assert guarded.batches()[0]["workspace"] == "shared"


def test_a_version_is_required_and_must_look_like_one(control: Control) -> None:
    without = httpx2.get(f"{control.base_url}{BATCHES}", headers={"x-api-key": "k"}, verify=False)
    assert error_of(without) == (400, "invalid_request_error")
    assert "anthropic-version" in without.json()["error"]["message"]
    assert error_of(asking(control, x_api_key="k", anthropic_version="latest")) == (400, "invalid_request_error")
    assert asking(control, x_api_key="k", anthropic_version="2023-06-01").status_code == 200


def test_every_answer_has_a_request_id_of_its_own(api: Api) -> None:
    seen = [api.http.get(BATCHES).headers["request-id"] for _ in range(3)]
    assert len(set(seen)) == 3
    assert all(name.startswith("req_") for name in seen)


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"model": "claude-haiku-4-5", "temperature": 0.5, "top_k": 3}, "succeeded"),
        ({"model": "claude-haiku-5-5", "temperature": 1, "top_p": 0.99}, "succeeded"),
        ({"model": "claude-haiku-5-5", "temperature": 0.5}, "errored"),
        ({"model": "claude-opus-5", "temperature": 0.5}, "errored"),
    ],
)
def test_an_older_version_keeps_sampling_for_models_that_take_it(api: Api, fields: dict[str, Any], outcome: str) -> None:
    rows = requests("a")
    rows[0]["params"] |= fields
    batch_id = api.post({"requests": rows}, headers={"anthropic-version": "2023-06-01"}).json()["id"]
    api.control.advance(10)
    assert api.lines(batch_id)[0]["result"]["type"] == outcome
