"""What a create call accepts and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.claude.helpers import BATCHES, Api, error_of, params, requests


def row(**fields: Any) -> dict[str, Any]:
    return {"custom_id": "a", "params": params(), **fields}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"not json", "not valid JSON"),
        (b'{"requests": [{"custom_id": "a", "params": {"x": "\xff"}}]}', "not valid JSON"),
        (b'{"requests": [{"custom_id": "a", "params": {"x": NaN}}]}', "not valid JSON"),
        (b'{"requests": [{"custom_id": "a", "params": ' + b"[" * 50_000 + b"]" * 50_000 + b"}]}", "not valid JSON"),
        ([], "Input should be an object"),
        ({}, "requests: Field required"),
        ({"requests": 5}, "requests: Input should be a valid list"),
        ({"requests": [], "more": 1}, "more: Extra inputs are not permitted"),
        ({"requests": []}, "requests: List should have at least 1 item"),
        ({"requests": [5]}, "requests.0: Input should be an object"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        ({"requests": [row(), row(custom_id=5)]}, "requests.1.custom_id: Input should be a valid string"),
        ({"requests": [row(custom_id="")]}, "requests.0.custom_id: String should have at least 1 character"),
        ({"requests": [row(custom_id="x" * 65)]}, "requests.0.custom_id: String should have at most 64 characters"),
        ({"requests": [row(custom_id="a b")]}, "requests.0.custom_id: String should match pattern"),
        ({"requests": [row(), row(custom_id="b\nc")]}, "requests.1.custom_id: String should match pattern"),
        ({"requests": [row(), row(custom_id="b"), row()]}, "requests.2.custom_id: custom_id must be unique"),
        ({"requests": [row(params="text")]}, "requests.0.params: Input should be an object"),
        ({"requests": [row(more=1)]}, "requests.0.more: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_form_is_refused_at_once(api: Api, body: Any, message: str) -> None:
    answer = api.post(body)
    assert error_of(answer) == (400, "invalid_request_error")
    assert message in answer.json()["error"]["message"]
    assert api.control.batches() == []
    assert api.control.log("create")[0]["accepted"] is False


@pytest.mark.parametrize("custom_id", ["x" * 64, "A-z_0", "-"])
def test_allowed_ids(api: Api, custom_id: str) -> None:
    assert api.post({"requests": [row(custom_id=custom_id)]}).status_code == 200


def test_one_hundred_thousand_requests_are_a_batch_and_one_more_are_not(api: Api) -> None:
    rows = [b'{"custom_id":"%d","params":{}}' % place for place in range(100_001)]
    too_many = api.post(b'{"requests":[' + b",".join(rows) + b"]}")
    assert error_of(too_many) == (413, "request_too_large")
    full = api.post(b'{"requests":[' + b",".join(rows[:-1]) + b"]}")
    assert full.status_code == 200
    assert full.json()["request_counts"]["processing"] == 100_000


def test_a_body_over_256_megabytes_is_refused_with_an_answer(api: Api) -> None:
    def body() -> Iterator[bytes]:
        chunk = b" " * 1_000_000
        for _ in range(256):
            yield chunk
        yield b"!"

    answer = api.http.post(BATCHES, content=body(), headers={"content-length": "256000001"})
    assert error_of(answer) == (413, "request_too_large")
    assert api.control.log("create")[0]["bytes_in"] == 256_000_001


def test_a_body_is_kept_byte_for_byte(api: Api) -> None:
    body = '{ "requests" : [ {"custom_id":"a",\n"params":{"z":1.0e5,"a":"\\u00e9 é"}} ]}\n'.encode()
    batch_id = api.post(body).json()["id"]
    assert api.control.body(batch_id) == body
    listed = api.control.batches()
    assert [(batch["id"], batch["requests"], batch["body_bytes"]) for batch in listed] == [(batch_id, 1, len(body))]


def test_a_large_batch_goes_the_same_way(api: Api) -> None:
    """Over a quarter of a megabyte other processes do the work: the answers must not show it."""
    prompts = [f"Classify as positive, negative or neutral.\nReview: {'so good ' * 80}{place}" for place in range(1_000)]
    body = json.dumps({"requests": requests(*prompts)}).encode()
    assert len(body) > 1 << 19
    batch_id = api.post(body).json()["id"]
    bad = api.post(body.replace(b"row-999", b"row-998"))
    assert "requests.999.custom_id" in bad.json()["error"]["message"]
    api.control.advance(10)
    lines = api.lines(batch_id)
    assert {line["custom_id"] for line in lines} == {f"row-{place}" for place in range(1_000)}
    assert {line["result"]["message"]["content"][0]["text"] for line in lines} == {"positive"}
    assert api.control.body(batch_id) == body
