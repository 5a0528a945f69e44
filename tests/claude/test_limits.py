"""Rate limits, off unless they are switched on."""

from __future__ import annotations

from local.claude.client import Control
from tests.claude.helpers import BATCHES, HEADERS, Api, error_of, requests


def test_requests_per_minute(api: Api, control: Control) -> None:
    control.settings(requests_per_minute=2)
    batch_id = api.create("a")
    control.advance(20)
    api.retrieve(batch_id)
    refused = api.post({"requests": requests("b")})
    assert error_of(refused) == (429, "rate_limit_error")
    assert refused.headers["retry-after"] == "40"
    assert api.http.get(BATCHES, headers={**HEADERS, "authorization": "Bearer other"}).status_code == 200
    assert api.http.get("/v1/models").status_code == 200, "only the batch endpoints share this limit"
    control.advance(40)
    assert api.http.get(BATCHES).status_code == 200


def test_queued_requests(api: Api, control: Control) -> None:
    control.settings(queued_requests=5)
    api.create("a", "b", "c")
    refused = api.post({"requests": requests("a", "b", "c")})
    assert error_of(refused) == (429, "rate_limit_error")
    assert int(refused.headers["retry-after"]) > 0
    assert [entry["accepted"] for entry in control.log("create")] == [True, False]
    api.create("a", "b")
    control.advance(10)
    api.create("a", "b", "c", "d", "e")
