"""Keys, workspaces, versions and headers."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from botocore.credentials import Credentials
from token_generator_for_aws_external_anthropic import get_token

from local.claude.client import Control, start
from local.claude.minted import PREFIX
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


# ---------------------------------------------------------------- keys that AWS's generator mints


@pytest.fixture(scope="module")
def on_aws() -> Iterator[Control]:
    with start("--aws-workspace", "wrkspc_1", "--aws-workspace", "wrkspc_2") as control:
        yield control


def minted(**life: float) -> str:
    credentials = Credentials("AKIATEST", "testing", "session")
    return str(get_token(credentials=credentials, region="eu-west-1", expiry=timedelta(**life or {"minutes": 5})))


def changed(key: str, before: str, after: str) -> str:
    """The same, with another text in it."""
    url = base64.b64decode(key.removeprefix(PREFIX)).decode()
    altered = re.sub(before, after, url)
    assert altered != url
    return PREFIX + base64.b64encode(altered.encode()).decode()


def test_a_minted_key_is_for_the_workspace_that_the_call_names(on_aws: Control) -> None:
    key = f"Bearer {minted()}"
    made = httpx2.post(
        f"{on_aws.base_url}{BATCHES}",
        json={"requests": requests("a")},
        headers={"authorization": key, "anthropic-version": VERSION, "anthropic-workspace-id": "wrkspc_1"},
        verify=False,
    ).json()
    listed = asking(on_aws, x_api_key=minted(hours=12), anthropic_workspace_id="wrkspc_1").json()["data"]
    assert [batch["id"] for batch in listed] == [made["id"]]
    assert asking(on_aws, authorization=key, anthropic_workspace_id="wrkspc_2").json()["data"] == []
    assert error_of(asking(on_aws, authorization=key, anthropic_workspace_id="wrkspc_3")) == (403, "permission_error")
    assert error_of(asking(on_aws, authorization=key)) == (400, "invalid_request_error")
    assert error_of(asking(on_aws, x_api_key="sk-ant-any", anthropic_workspace_id="wrkspc_1")) == (401, "authentication_error")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r"X-Amz-Date=\d{8}", "X-Amz-Date=20201122"),
        ("X-Amz-Expires=300", "X-Amz-Expires=43201"),
        ("X-Amz-Expires=300", "X-Amz-Expires=0"),
        ("%2Faws-external-anthropic%2F", "%2Fs3%2F"),
        ("Action=CallWithBearerToken", "Action=AssumeConsole"),
        (r"&X-Amz-Signature=\w+", ""),
        (r"^aws-external-anthropic\.amazonaws\.com", "sts.amazonaws.com"),
        (r"&Version=1$", ""),
    ],
)
def test_a_minted_key_that_has_ended_or_is_for_something_else_is_refused(on_aws: Control, before: str, after: str) -> None:
    key = changed(minted(), before, after)
    assert error_of(asking(on_aws, x_api_key=key, anthropic_workspace_id="wrkspc_1")) == (401, "authentication_error")


def test_an_emulator_that_takes_any_key_still_looks_at_minted_ones(control: Control, guarded: Control) -> None:
    assert asking(control, x_api_key=minted(), anthropic_workspace_id="wrkspc_any").status_code == 200
    assert asking(control, x_api_key=minted()).status_code == 400
    assert asking(control, x_api_key=PREFIX + "?").status_code == 401
    assert asking(guarded, x_api_key=minted(), anthropic_workspace_id="wrkspc_any").status_code == 401


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
