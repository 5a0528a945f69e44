"""Every kind of answer of the batch endpoints validates against the API's OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from local.claude.client import Control, start
from tests.conformance.description import VARIABLE, Description, path

COLLECTION = "/v1/messages/batches"
ITEM = f"{COLLECTION}/{{message_batch_id}}"
HEADERS = {"x-api-key": "conformance", "anthropic-version": "2026-10-21"}
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["positive", "negative"]}}}
TOOL = {"name": "rate", "input_schema": {"type": "object", "properties": {"score": {"type": "integer"}}}}
EVERY_KIND: dict[str, dict[str, Any]] = {
    "text": {},
    "short": {"max_tokens": 1},
    "stopped": {"stop_sequences": ["short"]},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "tool": {"tools": [TOOL], "tool_choice": {"type": "any"}},
    "cached": {"system": [{"type": "text", "text": "Long. " * 500, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    "cached-again": {"system": [{"type": "text", "text": "Long. " * 500, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    "placed": {"inference_geo": "us"},
    "invalid": {"max_tokens": 0},
    "unknown-model": {"model": "claude-nobody"},
    **{
        kind.removesuffix("_error"): {"messages": [{"role": "user", "content": f"[[error:{kind}]]"}]}
        for kind in ("api_error", "overloaded_error", "rate_limit_error", "timeout_error", "billing_error", "permission_error")
    },
    "expired": {"messages": [{"role": "user", "content": "[[expire]]"}]},
}


def params(**fields: Any) -> dict[str, Any]:
    message = {"role": "user", "content": "A short text, please."}
    return {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [message], **fields}


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def description() -> Description:
    file = path()
    if not file.is_file():
        pytest.skip(f"the OpenAPI description is not at {file}: set {VARIABLE} to where it is")
    return Description(file)


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with start("--clock", "manual", "--seconds", "100") as control:
        yield control


@pytest.fixture
def http(control: Control) -> Iterator[httpx2.Client]:
    control.reset()
    with httpx2.Client(base_url=control.base_url, headers=HEADERS, timeout=60, verify=False) as client:
        yield client


def create(http: httpx2.Client, rows: dict[str, dict[str, Any]]) -> httpx2.Response:
    return http.post(
        COLLECTION,
        json={"requests": [{"custom_id": name, "params": params(**fields)} for name, fields in rows.items()]},
    )


def test_a_batch_from_creation_to_deletion(http: httpx2.Client, control: Control, description: Description) -> None:
    created = create(http, EVERY_KIND)
    address = f"{COLLECTION}/{created.json()['id']}"
    canceled = create(http, {str(place): {} for place in range(20)}).json()["id"]
    control.advance(50)
    answers = [
        (COLLECTION, created),
        (ITEM, http.get(address)),
        (COLLECTION, http.get(COLLECTION)),
        (f"{ITEM}/cancel", http.post(f"{COLLECTION}/{canceled}/cancel")),
    ]
    control.advance(60)
    results = http.get(f"{address}/results")
    partly = http.get(f"{COLLECTION}/{canceled}/results")
    answers += [
        (ITEM, http.get(address)),
        (ITEM, http.get(f"{COLLECTION}/{canceled}")),
        (f"{ITEM}/results", results),
        (f"{ITEM}/results", partly),
        (COLLECTION, http.get(COLLECTION, params={"limit": 1})),
        (ITEM, http.delete(address)),
    ]
    control.advance(30 * 24 * 3600)
    answers.append((ITEM, http.get(f"{COLLECTION}/{canceled}")))
    assert {answer.status_code for _, answer in answers} == {200}
    lines = [json.loads(line) for answer in (results, partly) for line in answer.iter_lines()]
    assert {line["result"]["type"] for line in lines} == {"succeeded", "errored", "canceled", "expired"}
    wrong = [(template, errors) for template, answer in answers if (errors := description.answer_errors(template, answer))]
    assert not wrong


def test_errors(http: httpx2.Client, control: Control, description: Description) -> None:
    open_batch = create(http, {"a": {}}).json()["id"]
    control.settings(requests_per_minute=None)
    answers = [
        (COLLECTION, http.post(COLLECTION, content=b"{")),
        (COLLECTION, http.post(COLLECTION, json={"requests": []})),
        (COLLECTION, create(http, {"a b": {}})),
        (COLLECTION, http.get(COLLECTION, params={"limit": 0})),
        (COLLECTION, http.get(COLLECTION, headers={**HEADERS, "x-api-key": ""})),
        (ITEM, http.get(f"{COLLECTION}/nothing")),
        (ITEM, http.delete(f"{COLLECTION}/{open_batch}")),
        (f"{ITEM}/cancel", http.post(f"{COLLECTION}/nothing/cancel")),
        (f"{ITEM}/results", http.get(f"{COLLECTION}/{open_batch}/results")),
    ]
    for status in (400, 401, 402, 403, 404, 429):
        control.fault("refuse", "list", status=status)
        answers.append((COLLECTION, http.get(COLLECTION)))
    control.fault("spend-cap", "list")
    answers.append((COLLECTION, http.get(COLLECTION)))
    assert {answer.status_code for _, answer in answers} == {400, 401, 402, 403, 404, 429}
    wrong = [(template, errors) for template, answer in answers if (errors := description.answer_errors(template, answer))]
    assert not wrong


@pytest.mark.parametrize("status", [500, 504, 529])
def test_errors_of_the_server(http: httpx2.Client, control: Control, description: Description, status: int) -> None:
    """The description declares no 5xx answers; the errors page says they look like the others."""
    control.fault("refuse", "list", status=status)
    assert not description.schema_errors("ErrorResponse", http.get(COLLECTION).json())


def test_too_large(http: httpx2.Client, control: Control, description: Description) -> None:
    """The description is older than ``request_too_large``, so only the form around the error's type can be judged."""
    control.fault("refuse", "list", status=413)
    body = http.get(COLLECTION).json()
    assert body["error"].pop("type") == "request_too_large"
    body["error"]["type"] = "invalid_request_error"
    assert not description.schema_errors("ErrorResponse", body)


@pytest.mark.parametrize(
    "request_",
    [
        params(),
        params(model="claude-haiku-5-5", max_tokens=2000),
        params(messages=_said("[[refuse:cyber]]")),
        params(messages=_said("[[pause]]")),
    ],
    ids=["usual", "thinking", "refused", "paused"],
)
def test_a_message_in_real_time(http: httpx2.Client, description: Description, request_: dict[str, Any]) -> None:
    message = http.post("/v1/messages", json=request_).json()
    assert not description.schema_errors("Message", message)


def test_the_judge_is_not_blind(description: Description) -> None:
    assert description.schema_errors("MessageBatch", {"id": 5})
    assert description.schema_errors("ErrorResponse", {"type": "error", "error": {"type": "odd"}, "request_id": None})
