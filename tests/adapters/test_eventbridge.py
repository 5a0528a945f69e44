"""Events on a bus: what arrives, what a bus refuses of a call that it answers, and what fits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from batchdrop.adapters.eventbridge import DETAIL_TYPE, MAX_CALL_BYTES, SOURCE, BusEvents
from batchdrop.domain.errors import ConfigurationError, Throttled
from tests.adapters.conftest import SESSION
from tests.stack import Stack, rows
from tests.stages.harm import minutes

_CALL = 10


class _Bus:
    """Refuses entries of its calls by their number, with these codes, or fails."""

    def __init__(self, codes: dict[int, str] | None = None, error: Exception | None = None) -> None:
        self._codes = codes or {}
        self._error = error
        self.calls: list[list[dict[str, str]]] = []
        self.count = 0

    def put_events(self, *, Entries: list[dict[str, str]]) -> Any:
        self.calls.append(Entries)
        if self._error is not None:
            raise self._error
        answers = []
        for _ in Entries:
            code = self._codes.get(self.count)
            answers.append({"ErrorCode": code, "ErrorMessage": "no"} if code else {"EventId": str(self.count)})
            self.count += 1
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}


def _details(number: int) -> list[dict[str, object]]:
    return [{"job_id": f"job {place}"} for place in range(number)]


def test_an_event_is_put_as_the_service_takes_it(aws: None) -> None:
    events = SESSION.client("events")
    events.create_event_bus(Name="team")
    sent: list[Any] = []
    events.meta.events.register("provide-client-params.eventbridge.PutEvents", lambda params, **_: sent.append(params))
    BusEvents(events, "team").put([{"job_id": "a", "reference": "größer"}])
    detail = '{"job_id":"a","reference":"größer"}'
    assert sent == [{"Entries": [{"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": detail, "EventBusName": "team"}]}]
    events.close()


def test_ten_at_once_in_their_order() -> None:
    bus = _Bus()
    BusEvents(bus, "team").put(_details(23))
    assert [len(call) for call in bus.calls] == [_CALL, _CALL, 3]
    sent = [json.loads(entry["Detail"])["job_id"] for call in bus.calls for entry in call]
    assert sent == [f"job {place}" for place in range(23)]
    assert {entry["EventBusName"] for call in bus.calls for entry in call} == {"team"}


@pytest.mark.parametrize(
    ("codes", "raised"),
    [
        ({2: "ThrottlingException"}, Throttled),
        ({2: "InternalFailure", 4: "ThrottlingException"}, Throttled),
        ({2: "NotAuthorizedForSourceException"}, ConfigurationError),
        ({2: "ThrottlingException", 4: "MalformedDetail"}, ConfigurationError),
    ],
)
def test_a_call_that_answers_has_failed_if_an_entry_has(codes: dict[int, str], raised: type[Exception]) -> None:
    bus = _Bus(codes)
    with pytest.raises(raised) as error:
        BusEvents(bus, "team").put(_details(12))
    assert str(error.value) == f"{len(codes)} of 10 events were not taken: {', '.join(sorted(codes.values()))}"
    assert len(bus.calls) == 1, "all of them are told again, so no further call is made"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "PutEvents"), Throttled),
        (EndpointConnectionError(endpoint_url="https://events"), Throttled),
        (ClientError({"Error": {"Code": "AccessDeniedException"}}, "PutEvents"), ClientError),
    ],
)
def test_a_call_that_fails(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        BusEvents(_Bus(error=error), "team").put(_details(1))


def test_ten_of_the_longest_events_fit_one_call() -> None:
    """The longest key that S3 takes, of characters that JSON escapes, and the longest reference."""
    name = "\x01" * (1_024 - len("inbox/team/.jsonl"))
    stack = Stack()
    stack.drop(f"inbox/team/{name}.jsonl", rows(3), {"batchdrop-reference": "\x01" * 2_000})
    minutes(stack, 120)
    (detail,) = stack.events.details
    bus = _Bus()
    BusEvents(bus, "team").put([detail] * _CALL)
    (call,) = bus.calls
    assert len(call) == _CALL
    # As EventBridge counts: "Calculating PutEvents event entry size", EventBridge user guide.
    size = sum(len(entry[part].encode()) for entry in call for part in ("Source", "DetailType", "Detail"))
    assert 100_000 < size < MAX_CALL_BYTES
