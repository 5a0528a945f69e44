"""What every Message Batches API owes its callers: the fake, and the adapter with the fake behind HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchdrop.adapters.claude import AnthropicClaude
from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import Incomplete, NotFound, Refused
from batchdrop.domain.model_list import ListedModel
from batchdrop.domain.records import ApiCounts
from batchdrop.ports import ApiBatch, Claude
from tests.fakes import FakeClaude, ManualClock
from tests.fakes.clock import START

ROOT = "/v1/messages/batches"


class StaticKey:
    def get(self) -> str:
        return "sk-test"

    def refresh(self) -> str:
        return "sk-test"


class Facade:
    """The fake, spoken to over HTTP as documented."""

    def __init__(self, fake: FakeClaude, tmp_path: Path) -> None:
        self.fake = fake
        self.body = tmp_path / "received"

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["anthropic-version"]
        try:
            return self.answer(request.method, request.url.path.removeprefix(ROOT), request)
        except (Refused, NotFound) as error:
            trouble = {"type": "error", "error": {"type": error.kind, "message": str(error)}}
            return httpx2.Response(error.status or 500, json=trouble)

    def models(self, request: httpx2.Request) -> httpx2.Response:
        """Two at a time."""
        assert request.url.params.get_list("lifecycle[]") == ["active", "deprecated", "retired"]
        listed = self.fake.models()
        ids = [model.id for model in listed]
        after = request.url.params.get("after_id")
        start = ids.index(after) + 1 if after else 0
        page = listed[start : start + 2]
        return httpx2.Response(
            200,
            json={
                "data": [described(model) for model in page],
                "has_more": start + 2 < len(listed),
                "last_id": page[-1].id if page else None,
            },
        )

    def answer(self, method: str, path: str, request: httpx2.Request) -> httpx2.Response:
        if path == "/v1/models":
            return self.models(request)
        if not path and method == "POST":
            self.body.write_bytes(request.read())
            assert int(request.headers["content-length"]) == self.body.stat().st_size
            betas = request.headers.get("anthropic-beta", "")
            headers = CallHeaders(
                api_version=request.headers["anthropic-version"], betas=tuple(betas.split(",")) if betas else ()
            )
            return httpx2.Response(200, json=shown(self.fake.create(self.body, headers)))
        if not path:
            assert request.url.params["limit"] == "1000"
            page = self.fake.page(request.url.params.get("after_id"))
            batches = [shown(one) for one in page.batches]
            return httpx2.Response(200, json={"data": batches, "has_more": page.next is not None, "last_id": page.next})
        api_id, _, verb = path[1:].partition("/")
        if verb == "results":
            with self.fake.results(api_id) as chunks:
                return httpx2.Response(200, content=broken(chunks))
        if request.method == "DELETE":
            self.fake.delete(api_id)
            return httpx2.Response(200, json={"id": api_id, "type": "message_batch_deleted"})
        return httpx2.Response(200, json=shown(self.fake.cancel(api_id) if verb else self.fake.retrieve(api_id)))


def support(words: tuple[str, ...] | None, *known: str) -> dict[str, dict[str, bool]]:
    return {word: {"supported": word in (words or ())} for word in known}


def described(model: ListedModel) -> dict[str, Any]:
    """In the shape of SDK 2.12.0, `ModelInfo`."""
    capabilities = model.batch and {
        "batch": {"supported": model.batch},
        "structured_outputs": {"supported": model.structured_outputs},
        "thinking": {"supported": True, "types": support(model.thinking, "adaptive", "disabled", "enabled")},
        "effort": {"supported": True, "xhigh": None, **support(model.efforts, "low", "high")},
        "context_management": {"supported": True, "something_new": {"supported": True}},
    }
    return {
        "type": "model",
        "id": model.id,
        "lifecycle": model.lifecycle,
        "deprecated_at": model.deprecated_at and model.deprecated_at.isoformat(),
        "retires_at": model.retires_at and model.retires_at.isoformat(),
        "max_tokens": model.max_tokens,
        "capabilities": capabilities,
    }


def broken(chunks: Any) -> Any:
    try:
        yield from chunks
    except Incomplete as error:
        raise httpx2.RemoteProtocolError("peer closed connection") from error


def shown(batch: ApiBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": batch.status,
        "request_counts": {name: getattr(batch.counts, name) for name in ApiCounts.__struct_fields__},
        "created_at": batch.created_at.isoformat(),
        "expires_at": batch.created_at.isoformat(),
        "ended_at": batch.ended_at.isoformat() if batch.ended_at else None,
        "results_url": f"https://api.example.test{ROOT}/{batch.id}/results" if batch.has_results else None,
    }


@pytest.fixture
def fake(clock: ManualClock) -> FakeClaude:
    return FakeClaude(clock, page_limit=3)


@pytest.fixture(params=["anthropic", "fake"])
def claude(request: pytest.FixtureRequest, fake: FakeClaude, clock: ManualClock, tmp_path: Path) -> Claude:
    if request.param == "fake":
        return fake
    transport = httpx2.MockTransport(Facade(fake, tmp_path))
    return AnthropicClaude(StaticKey(), "https://api.example.test", clock, transport=transport)


def body(path: Path, *custom_ids: str) -> Path:
    requests = [{"custom_id": one, "params": {"model": "claude-haiku-4-5", "text": "\u2028é"}} for one in custom_ids]
    (path / "body").write_bytes(json.dumps({"requests": requests}).encode())
    return path / "body"


def test_a_batch_is_created_from_the_bytes_of_a_file(claude: Claude, fake: FakeClaude, tmp_path: Path) -> None:
    created = claude.create(body(tmp_path, "a", "b"))
    assert (created.status, created.counts, created.ended_at, created.has_results) == (
        "in_progress",
        ApiCounts(processing=2),
        None,
        False,
    )
    assert fake.bodies == [(tmp_path / "body").read_bytes()]
    assert claude.retrieve(created.id) == created


def test_a_batch_is_created_with_the_headers_of_its_job(claude: Claude, fake: FakeClaude, tmp_path: Path) -> None:
    headers = CallHeaders(api_version="2023-06-01", betas=("one", "two"))
    created = claude.create(body(tmp_path, "a"), headers)
    plain = claude.create(body(tmp_path, "a"))
    assert (fake.headers[created.id], fake.headers[plain.id]) == (headers, CallHeaders())


def test_a_bad_body_is_refused(claude: Claude, fake: FakeClaude, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        claude.create(body(tmp_path, "a", "a"))
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    assert fake.bodies == []


def test_models_are_listed_retired_ones_too(claude: Claude, fake: FakeClaude) -> None:
    fake.listed = (
        ListedModel(
            id="claude-a", max_tokens=64_000, batch=True, structured_outputs=True, thinking=("adaptive",), efforts=("low",)
        ),
        ListedModel(id="claude-b", lifecycle="retired", retires_at=START, deprecated_at=START),
        *(ListedModel(id=f"claude-{number}") for number in range(3)),
    )
    assert claude.models() == fake.listed


def test_pages_come_newest_first(claude: Claude, tmp_path: Path) -> None:
    created = [claude.create(body(tmp_path, str(number))).id for number in range(7)]
    seen, sizes, after = [], [], None
    while True:
        page = claude.page(after)
        seen += [one.id for one in page.batches]
        sizes.append(len(page.batches))
        if (after := page.next) is None:
            break
    assert seen == created[::-1]
    assert sizes == [3, 3, 1]


def test_no_batches_are_one_empty_page(claude: Claude) -> None:
    assert claude.page().batches == ()
    assert claude.page().next is None


def test_results_come_when_the_batch_has_ended(claude: Claude, clock: ManualClock, tmp_path: Path) -> None:
    created = claude.create(body(tmp_path, *(f"row-{number}" for number in range(50))))
    with pytest.raises(NotFound), claude.results(created.id):
        pass
    clock.advance(60)
    ended = claude.retrieve(created.id)
    assert (ended.status, ended.counts, ended.ended_at, ended.has_results) == (
        "ended",
        ApiCounts(succeeded=50),
        clock.now(),
        True,
    )
    with claude.results(created.id) as chunks:
        lines = b"".join(chunks).split(b"\n")[:-1]
    assert {json.loads(line)["custom_id"] for line in lines} == {f"row-{number}" for number in range(50)}


def test_a_cut_stream_is_incomplete(claude: Claude, fake: FakeClaude, clock: ManualClock, tmp_path: Path) -> None:
    created = claude.create(body(tmp_path, *map(str, range(50))))
    clock.advance(60)
    fake.cut_results_at = 2500
    received: list[bytes] = []
    with claude.results(created.id) as chunks, pytest.raises(Incomplete):
        received.extend(chunks)
    assert 0 < sum(map(len, received)) <= 2500


def test_canceling_ends_a_batch_early(claude: Claude, clock: ManualClock, tmp_path: Path) -> None:
    created = claude.create(body(tmp_path, "a", "b"))
    assert claude.cancel(created.id).status == "canceling"
    clock.advance(10)
    ended = claude.cancel(created.id)
    assert (ended.status, ended.counts) == ("ended", ApiCounts(canceled=2))


def test_an_ended_batch_is_deleted_for_good(claude: Claude, clock: ManualClock, tmp_path: Path) -> None:
    created = claude.create(body(tmp_path, "a", "b"))
    clock.advance(3600)
    claude.delete(created.id)
    with pytest.raises(NotFound):
        claude.retrieve(created.id)
    with pytest.raises(NotFound):
        claude.delete(created.id)


@pytest.mark.parametrize("call", ["retrieve", "cancel"])
def test_an_unknown_batch_is_not_found(claude: Claude, call: str) -> None:
    with pytest.raises(NotFound):
        getattr(claude, call)("msgbatch_nothing")
