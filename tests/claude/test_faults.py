"""Faults on demand, seen from the caller's side of the wire."""

from __future__ import annotations

import io
import json
import re
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from local.claude.client import Control, ControlError
from tests.claude.helpers import BATCHES, VERSION, Api, error_of, requests


def last(control: Control, route: str) -> dict[str, Any]:
    return control.log(route)[-1]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_refuse(api: Api, control: Control, status: int, kind: str) -> None:
    control.fault("refuse", "create", status=status)
    answer = api.post({"requests": requests("a")})
    assert error_of(answer) == (status, kind)
    assert "retry-after" not in answer.headers
    assert control.batches() == []
    entry = last(control, "create")
    assert (entry["fault"], entry["accepted"], entry["status"]) == ("refuse", False, status)
    assert entry["bytes_in"] > 0
    assert api.post({"requests": requests("a")}).status_code == 200, "once, unless told otherwise"


def test_refuse_with_retry_after_and_words_of_its_own(api: Api, control: Control) -> None:
    control.fault("refuse", "create", status=429, retry_after=7, type="odd_error", message="Later.", details={"a": 1})
    answer = api.post({"requests": requests("a")})
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"] == {"type": "odd_error", "message": "Later.", "details": {"a": 1}}


def test_refuse_without_reading_the_body(api: Api, control: Control) -> None:
    control.fault("refuse", "create", status=413, read_body=False)
    assert api.post({"requests": requests("a")}).status_code == 413
    assert last(control, "create")["bytes_in"] == 0


def test_a_page_of_the_edge_is_no_json(api: Api, control: Control) -> None:
    control.fault("refuse", "create", status=413, html=True)
    answer = api.post({"requests": requests("a")})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "text/html"
    assert answer.text.startswith("<html>")


def test_the_spend_cap_has_details_and_no_retry_after(api: Api, control: Control) -> None:
    control.fault("spend-cap", "create")
    answer = api.post({"requests": requests("a")})
    assert error_of(answer) == (429, "rate_limit_error")
    assert answer.json()["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert "retry-after" not in answer.headers


def test_times_and_skip(api: Api, control: Control) -> None:
    control.fault("refuse", "list", status=529, times=2, skip=1)
    assert [api.http.get(BATCHES).status_code for _ in range(5)] == [200, 529, 529, 200, 200]
    control.fault("refuse", "list", status=500, times=None)
    assert {api.http.get(BATCHES).status_code for _ in range(5)} == {500}
    control.clear_faults()
    assert api.http.get(BATCHES).status_code == 200


def test_a_fault_for_one_batch(api: Api, control: Control) -> None:
    one, two = api.create("a"), api.create("b")
    control.fault("not-found", "retrieve", batch_id=two)
    assert api.http.get(f"{BATCHES}/{one}").status_code == 200
    assert error_of(api.http.get(f"{BATCHES}/{two}")) == (404, "not_found_error")
    assert api.http.get(f"{BATCHES}/{two}").status_code == 200, "the 404 was transient"


def test_faults_stand_in_line(api: Api, control: Control) -> None:
    control.fault("refuse", "list", status=500)
    control.fault("refuse", "list", status=529)
    assert [api.http.get(BATCHES).status_code for _ in range(3)] == [500, 529, 200]
    assert [(fault["fault"]["status"], fault["met"], fault["struck"]) for fault in control.faults()] == [(500, 1, 1), (529, 1, 1)]


def test_drop_before_accepts_nothing(api: Api, control: Control) -> None:
    control.fault("drop-before", "create")
    with pytest.raises(httpx2.TransportError):
        api.post({"requests": requests("a")})
    assert control.batches() == []
    entry = last(control, "create")
    assert (entry["outcome"], entry["accepted"], entry["status"]) == ("dropped", False, None)


def test_accept_then_drop_accepts_and_says_nothing(api: Api, control: Control) -> None:
    control.fault("accept-then-drop", "create")
    with pytest.raises(httpx2.RemoteProtocolError):
        api.post({"requests": requests("a")})
    accepted = control.batches()
    assert api.ids() == [batch["id"] for batch in accepted]
    entry = last(control, "create")
    assert (entry["outcome"], entry["accepted"], entry["batch_id"]) == ("dropped", True, accepted[0]["id"])


@pytest.mark.parametrize("status", [500, 502, 504])
def test_accept_then_an_error(api: Api, control: Control, status: int) -> None:
    control.fault("accept-then-error", "create", status=status)
    assert api.post({"requests": requests("a")}).status_code == status
    assert len(api.ids()) == 1
    assert (last(control, "create")["accepted"], last(control, "create")["status"]) == (True, status)


def test_accept_then_500_is_the_same_in_short(api: Api, control: Control) -> None:
    control.fault("accept-then-500", "create")
    assert error_of(api.post({"requests": requests("a")})) == (500, "api_error")
    assert len(api.ids()) == 1


def test_a_refused_body_stays_refused_whatever_was_to_follow(api: Api, control: Control) -> None:
    control.fault("accept-then-500", "create")
    assert error_of(api.post(b"{")) == (400, "invalid_request_error")


def test_a_cancel_can_work_and_still_be_lost(api: Api, control: Control) -> None:
    batch_id = api.create("a")
    control.fault("accept-then-drop", "cancel")
    with pytest.raises(httpx2.RemoteProtocolError):
        api.cancel(batch_id)
    assert api.retrieve(batch_id)["processing_status"] == "canceling"


@pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
def test_stall_outlasts_a_caller_without_patience(api: Api, control: Control, when: str, accepted: int) -> None:
    control.fault("stall", "create", seconds=600, when=when)
    with pytest.raises(httpx2.ReadTimeout):
        api.post({"requests": requests("a")}, timeout=0.2)
    assert len(control.batches()) == accepted
    assert last(control, "create")["fault"] == "stall"


def test_a_stall_may_end_well(api: Api, control: Control) -> None:
    control.fault("stall", "create", seconds=0.01)
    assert api.post({"requests": requests("a")}).status_code == 200


def test_truncated_json_is_a_whole_answer_with_half_a_body(api: Api, control: Control) -> None:
    control.fault("truncated-json", "create")
    answer = api.post({"requests": requests("a")})
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(api.ids()) == 1


def ended(api: Api, rows: int = 20) -> str:
    batch_id = api.create(*(f"Row {place}" for place in range(rows)))
    api.control.advance(10)
    return batch_id


def read_until_cut(api: Api, batch_id: str) -> bytes:
    received = io.BytesIO()
    with api.http.stream("GET", f"{BATCHES}/{batch_id}/results") as answer, pytest.raises(httpx2.RemoteProtocolError):
        received.writelines(answer.iter_raw())
    return received.getvalue()


def test_results_cut_after_bytes(api: Api, control: Control) -> None:
    batch_id = ended(api)
    whole = api.results(batch_id).content
    control.fault("cut", "results", bytes=1_000)
    assert read_until_cut(api, batch_id) == whole[:1_000]
    entry = last(control, "results")
    assert (entry["outcome"], entry["bytes_out"], entry["status"]) == ("cut", 1_000, 200)
    assert api.results(batch_id).content == whole


def test_results_cut_within_a_line(api: Api, control: Control) -> None:
    batch_id = ended(api)
    whole = api.results(batch_id).content
    control.fault("cut", "results", lines=3)
    received = read_until_cut(api, batch_id)
    assert whole.startswith(received)
    assert received.count(b"\n") == 3
    assert not received.endswith(b"\n")


def test_missing_and_doubled_lines(api: Api, control: Control) -> None:
    batch_id = ended(api)
    whole = api.lines(batch_id)
    control.fault("missing-lines", "results", rows=2)
    assert api.lines(batch_id) == whole[2:]
    control.fault("duplicate-lines", "results", rows=3)
    assert api.lines(batch_id) == whole + whole[:3]
    assert api.lines(batch_id) == whole


def test_a_late_list_hides_a_batch_for_some_calls(api: Api, control: Control) -> None:
    control.fault("late-list", "create", calls=2)
    batch_id = api.create("a")
    other = api.create("b")
    assert [api.ids() for _ in range(3)] == [[other], [other], [other, batch_id]]


def test_a_late_list_hides_a_batch_for_some_time(api: Api, control: Control) -> None:
    control.fault("late-list", "create", seconds=30)
    batch_id = api.create("a")
    assert api.ids() == []
    assert api.retrieve(batch_id)["id"] == batch_id, "it exists, only the list is late"
    control.advance(30)
    assert api.ids() == [batch_id]


def test_a_late_list_goes_with_a_dropped_answer(api: Api, control: Control) -> None:
    control.fault("accept-then-drop", "create")
    control.fault("late-list", "create", calls=1)
    with pytest.raises(httpx2.RemoteProtocolError):
        api.post({"requests": requests("a")})
    assert last(control, "create")["fault"] == "accept-then-drop+late-list"
    assert [len(api.ids()) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "explode"},
        {"kind": "refuse", "status": 200},
        {"kind": "late-list", "route": "list"},
        {"kind": "missing-lines", "route": "create"},
        {"kind": "cut", "route": "results"},
        {"kind": "refuse", "often": True},
        {"kind": "accept-late", "route": "results"},
        {"kind": "refuse", "route": "list", "text": "word"},
        {"kind": "drop-before", "route": "create", "text": "word"},
    ],
)
def test_orders_that_make_no_sense_are_refused(control: Control, order: dict[str, Any]) -> None:
    fields = {key: value for key, value in order.items() if key not in ("kind", "route")}
    with pytest.raises(ControlError):
        control.fault(order["kind"], order.get("route", "*"), **fields)
    assert control.faults() == []


def test_a_fault_for_batches_that_hold_a_text(api: Api, control: Control) -> None:
    control.fault("refuse", "create", text="marked", times=None, status=400)
    control.fault("missing-lines", "results", text="short", times=None)
    assert error_of(api.post({"requests": requests("good", "marked")})) == (400, "invalid_request_error")
    assert (last(control, "create")["fault"], last(control, "create")["accepted"]) == ("refuse", False)
    short, whole = api.create("short", "a"), api.create("b", "c")
    control.advance(10)
    assert [len(api.lines(batch)) for batch in (short, whole)] == [1, 2]
    assert [fault["struck"] for fault in control.faults()] == [1, 1]


@pytest.mark.parametrize(("fault", "status"), [("accept-then-500", 500), ("stall", 200)])
def test_a_create_that_holds_a_text_is_accepted_under_a_fault(api: Api, control: Control, fault: str, status: int) -> None:
    control.fault(fault, "create", text="marked")
    assert [api.post({"requests": requests(word)}).status_code for word in ("good", "marked", "marked")] == [200, status, 200]
    assert len(control.batches()) == 3


def test_a_fault_for_one_key(api: Api, control: Control) -> None:
    control.fault("refuse", key="revoked-key", times=None, status=401)
    assert api.post({"requests": requests("a")}, headers={"authorization": "Bearer revoked-key"}).status_code == 401
    assert api.post({"requests": requests("a")}).status_code == 200


def test_a_batch_can_be_accepted_long_after_its_caller_has_gone(api: Api, control: Control) -> None:
    control.fault("accept-late", "create", seconds=0.2)
    with pytest.raises(httpx2.TransportError):
        api.create("a")
    assert api.ids() == []
    end = time.monotonic() + 30
    while not api.ids():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert last(control, "create")["batch_id"] == api.ids()[0]


def test_a_slow_batch_ends_later_than_others(api: Api, control: Control) -> None:
    control.settings(seconds=2.0)
    control.fault("slow", "create", seconds=60, text="marked")
    slow, usual = api.create("marked"), api.create("good")
    control.advance(10)
    assert [api.retrieve(batch)["processing_status"] for batch in (slow, usual)] == ["in_progress", "ended"]
    assert (control.results(slow), len(control.results(usual).splitlines())) == (b"", 1)
    control.advance(60)
    assert api.retrieve(slow)["processing_status"] == "ended"


def test_a_page_in_place_of_an_answer(api: Api, control: Control) -> None:
    batch = ended(api)
    control.fault("page", "results")
    answer = api.results(batch)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert answer.text.startswith("<html>")
    assert len(api.lines(batch)) == 20


def test_several_faults_in_one_order(api: Api) -> None:
    ordered = [{"kind": "refuse", "route": "list"}, {"kind": "stall", "seconds": 0}]
    assert len(api.http.post("/_emulator/faults", json=ordered).json()["faults"]) == 2


def test_the_trouble_that_the_page_orders(api: Api) -> None:
    page = Path(__file__).parents[2] / "docs" / "local-development.md"
    ordered = re.findall(r"^curl -d '(.+)' \"\$FAULTS\"$", page.read_text(), re.MULTILINE)
    for order, status in zip(ordered, (401, 429, 503), strict=True):
        assert api.http.post("/_emulator/faults", content=order).status_code == 200
        assert api.http.post("/v1/messages/batches", json={"requests": requests("one")}).status_code == status
        api.http.delete("/_emulator/faults")
    assert api.http.post("/v1/messages/batches", json={"requests": requests("one")}).status_code == 200


def raw_answer(control: Control, request: bytes) -> bytes:
    """What comes back over a plain socket, up to the end of the connection; a reset counts as its end."""
    address = urlsplit(control.base_url)
    received = b""
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        try:
            connection.sendall(request)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return received


def raw_create(body: bytes, announced: int | None = None) -> bytes:
    head = (
        f"POST {BATCHES} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer test-key\r\n"
        f"anthropic-version: {VERSION}\r\ncontent-length: {announced or len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize(("kind", "accepted"), [("drop-before", 0), ("accept-then-drop", 1)])
def test_a_drop_closes_the_connection_without_a_byte(control: Control, kind: str, accepted: int) -> None:
    body = json.dumps({"requests": requests("a")}).encode()
    control.fault(kind, "create")
    assert raw_answer(control, raw_create(body)) == b""
    assert len(control.batches()) == accepted


def test_a_drop_does_not_wait_for_the_body(control: Control) -> None:
    control.fault("drop-before", "create")
    assert raw_answer(control, raw_create(b"{", announced=1_000_000)) == b""
    assert last(control, "create")["bytes_in"] == 0


def test_a_caller_that_leaves_halfway_gets_no_batch(control: Control) -> None:
    address = urlsplit(control.base_url)
    body = json.dumps({"requests": requests("a")}).encode()
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(raw_create(body, announced=len(body) + 1))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert control.batches() == []
    assert (last(control, "create")["outcome"], last(control, "create")["accepted"]) == ("disconnected", False)
