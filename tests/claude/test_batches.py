"""The life of a batch through the API: create, list, retrieve, cancel, expire, archive, delete."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx2
import pytest

from local.claude.client import Control
from tests.claude.helpers import BATCHES, Api, error_of, requests

DAY = 24 * 3600


def when(batch: dict[str, object], field: str) -> datetime:
    return datetime.fromisoformat(str(batch[field]))


def test_a_new_batch_is_in_progress_and_expires_a_day_later(api: Api) -> None:
    batch = api.post({"requests": requests("a", "b")}).json()
    assert batch["type"] == "message_batch"
    assert batch["id"].startswith("msgbatch_")
    assert batch["processing_status"] == "in_progress"
    assert batch["request_counts"] == {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    assert when(batch, "expires_at") - when(batch, "created_at") == timedelta(days=1)
    for field in ("ended_at", "archived_at", "cancel_initiated_at", "results_url"):
        assert batch[field] is None
    assert api.retrieve(batch["id"]) == batch


def test_counts_stay_processing_until_the_whole_batch_has_ended(api: Api, control: Control) -> None:
    control.settings(seconds=100)
    batch_id = api.create("a", "b [[error]]", "c [[expire]]")
    control.advance(99)
    assert api.retrieve(batch_id)["request_counts"]["processing"] == 3
    control.advance(1)
    batch = api.retrieve(batch_id)
    assert batch["processing_status"] == "ended"
    assert batch["request_counts"] == {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 1}
    assert when(batch, "ended_at") - when(batch, "created_at") == timedelta(seconds=100)


def test_size_makes_a_batch_slower_when_so_set(api: Api, control: Control) -> None:
    control.settings(seconds=1, seconds_per_1000_rows=1000)
    batch_id = api.create(*"abcde")
    control.advance(5.5)
    assert api.retrieve(batch_id)["processing_status"] == "in_progress"
    control.advance(0.6)
    assert api.retrieve(batch_id)["processing_status"] == "ended"


def test_results_are_named_by_the_host_that_was_asked_and_in_an_order_of_their_own(api: Api, control: Control) -> None:
    rows = requests(*(f"Row {place}." for place in range(50)))
    batch_id = api.create(rows=rows)
    control.advance(10)
    address = api.retrieve(batch_id)["results_url"]
    assert address == f"{control.base_url}{BATCHES}/{batch_id}/results"
    answer = api.http.get(address)
    assert answer.headers["content-type"] == "application/x-jsonl"
    ids = [line["custom_id"] for line in api.lines(batch_id)]
    assert sorted(ids) == sorted(row["custom_id"] for row in rows)
    assert ids != [row["custom_id"] for row in rows]
    assert answer.content == api.results(batch_id).content, "the same file every time"


def test_list_pages_newest_first_in_both_directions(api: Api) -> None:
    made = [api.create("x") for _ in range(25)][::-1]
    first = api.page()
    assert [batch["id"] for batch in first["data"]] == made[:20]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, made[0], made[19])
    last = api.page(after_id=made[19])
    assert [batch["id"] for batch in last["data"]] == made[20:]
    assert last["has_more"] is False
    assert api.ids(limit=3, after_id=made[4]) == made[5:8]
    before = api.page(limit=3, before_id=made[4])
    assert [batch["id"] for batch in before["data"]] == made[1:4], "the page right before the cursor, newest first"
    assert before["has_more"] is True
    assert api.page(limit=4, before_id=made[4])["has_more"] is False
    assert api.ids(limit=1000) == made


def test_an_empty_workspace_has_an_empty_list(api: Api) -> None:
    assert api.page() == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize("limit", ["0", "1001", "ten", "-1"])
def test_a_page_has_one_to_a_thousand_items(api: Api, limit: str) -> None:
    assert error_of(api.http.get(BATCHES, params={"limit": limit})) == (400, "invalid_request_error")


def test_a_cursor_survives_the_deletion_of_its_batch(api: Api, control: Control) -> None:
    old, middle, new = (api.create("x") for _ in range(3))
    control.advance(10)
    assert api.delete(middle).json() == {"id": middle, "type": "message_batch_deleted"}
    assert api.ids() == [new, old]
    assert api.ids(after_id=middle) == [old]
    for answer in (api.http.get(f"{BATCHES}/{middle}"), api.results(middle), api.cancel(middle), api.delete(middle)):
        assert error_of(answer) == (404, "not_found_error")


def test_a_canceled_batch_keeps_what_was_finished(api: Api, control: Control) -> None:
    control.settings(seconds=100, cancel_seconds=5)
    batch_id = api.create(*(f"Row {place}" for place in range(40)))
    control.advance(25)
    answer = api.cancel(batch_id)
    assert answer.status_code == 200
    assert answer.json()["processing_status"] == "canceling"
    assert answer.json()["cancel_initiated_at"] is not None
    assert answer.json()["request_counts"]["processing"] == 40
    assert api.cancel(batch_id).json() == answer.json(), "canceling twice is canceling once"
    control.advance(5)
    batch = api.retrieve(batch_id)
    assert batch["processing_status"] == "ended"
    assert batch["request_counts"] == {"processing": 0, "succeeded": 10, "errored": 0, "canceled": 30, "expired": 0}
    results = api.lines(batch_id)
    assert len(results) == 40
    assert [line["result"] for line in results if line["result"]["type"] == "canceled"] == [{"type": "canceled"}] * 30


@pytest.mark.parametrize(("share", "done"), [(0, 0), (0.5, 2), (1, 4)])
def test_the_share_finished_at_a_cancel_can_be_set(api: Api, control: Control, share: float, done: int) -> None:
    control.settings(seconds=100, finished_share=share)
    batch_id = api.create(*"abcd")
    api.cancel(batch_id)
    control.advance(1)
    assert api.retrieve(batch_id)["request_counts"]["succeeded"] == done


def test_an_ended_batch_cannot_be_canceled(api: Api, control: Control) -> None:
    batch_id = api.create("a")
    control.advance(10)
    assert error_of(api.cancel(batch_id)) == (400, "invalid_request_error")
    assert api.retrieve(batch_id)["cancel_initiated_at"] is None


def test_what_is_not_done_after_a_day_expires(api: Api, control: Control) -> None:
    control.settings(seconds=4 * DAY)
    batch_id = api.create(*"abcdefgh")
    control.advance(DAY)
    batch = api.retrieve(batch_id)
    assert batch["ended_at"] == batch["expires_at"]
    assert batch["request_counts"] == {"processing": 0, "succeeded": 2, "errored": 0, "canceled": 0, "expired": 6}
    assert sorted(line["result"]["type"] for line in api.lines(batch_id)) == ["expired"] * 6 + ["succeeded"] * 2


def test_results_are_gone_after_29_days_and_the_batch_is_archived(api: Api, control: Control) -> None:
    batch_id = api.create("a")
    control.advance(29 * DAY - 1)
    assert api.results(batch_id).status_code == 200
    control.advance(1)
    batch = api.retrieve(batch_id)
    assert when(batch, "archived_at") - when(batch, "created_at") == timedelta(days=29)
    assert batch["results_url"] is None
    assert batch["processing_status"] == "ended"
    assert error_of(api.results(batch_id)) == (404, "not_found_error")


def test_before_its_end_a_batch_has_no_results_and_cannot_be_deleted(api: Api) -> None:
    batch_id = api.create("a")
    assert error_of(api.results(batch_id)) == (404, "not_found_error")
    assert error_of(api.delete(batch_id)) == (400, "invalid_request_error")
    assert api.retrieve(batch_id)["processing_status"] == "in_progress"


def test_an_unknown_batch_is_not_found(api: Api) -> None:
    answer = api.http.get(f"{BATCHES}/msgbatch_01nothing")
    assert error_of(answer) == (404, "not_found_error")
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_the_sample_batch_of_the_sdk_always_exists(api: Api) -> None:
    for _ in range(2):
        assert api.retrieve("message_batch_id")["processing_status"] == "ended"
        assert api.cancel("message_batch_id").status_code == 200
        assert [line["result"]["type"] for line in api.lines("message_batch_id")] == ["succeeded"]
        assert api.delete("message_batch_id").json()["type"] == "message_batch_deleted"
    assert api.page(after_id="after_id", before_id="before_id")["data"] == []
    assert api.ids() == [], "it stands in no list"


def test_the_beta_variant_works_the_same(api: Api, control: Control) -> None:
    batch_id = api.post({"requests": requests("a")}, params={"beta": "true"}).json()["id"]
    control.advance(10)
    for path in ("", "/results"):
        assert api.http.get(f"{BATCHES}/{batch_id}{path}", params={"beta": "true"}).status_code == 200


def test_eager_results_are_the_same_results(api: Api, control: Control, http: httpx2.Client) -> None:
    control.settings(eager=True, seconds=100)
    finished, canceled = api.create("good", "bad"), api.create("good", "bad")
    api.cancel(canceled)
    control.advance(100)
    assert {line["result"]["type"] for line in api.lines(finished)} == {"succeeded"}
    assert {line["result"]["type"] for line in api.lines(canceled)} == {"canceled"}


def test_a_due_batch_is_over_for_whoever_asks_when_the_clock_stands_still(api: Api, control: Control) -> None:
    control.settings(seconds=0)
    batch_id = api.create("a")
    assert api.retrieve(batch_id)["processing_status"] == "ended"
