"""What the emulator tells about what it was asked."""

from __future__ import annotations

import json

import pytest

from local.claude.client import Control, ControlError
from tests.claude.helpers import BATCHES, Api, requests

SECRET = "a-very-private-sentence"


def test_every_call_is_logged_in_order(api: Api, control: Control) -> None:
    body = json.dumps({"requests": requests("a", "b")}).encode()
    batch_id = api.post(body).json()["id"]
    api.retrieve(batch_id)
    api.page(limit=5)
    api.results("msgbatch_none")
    entries = control.log()
    assert [(entry["n"], entry["route"], entry["status"]) for entry in entries] == [
        (1, "create", 200),
        (2, "retrieve", 200),
        (3, "list", 200),
        (4, "results", 404),
    ]
    first = entries[0]
    assert (first["batch_id"], first["requests"], first["bytes_in"], first["accepted"]) == (batch_id, 2, len(body), True)
    assert (first["method"], first["path"], first["outcome"], first["fault"]) == ("POST", BATCHES, "answered", None)
    assert entries[2]["query"] == "limit=5"
    assert (entries[3]["error"], entries[3]["accepted"]) == ("not_found_error", None)
    assert len({entry["request_id"] for entry in entries}) == 4


def test_versions_and_betas_are_logged(api: Api, control: Control) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "two,one"}
    api.post({"requests": requests("a")}, headers=headers)
    api.page()
    assert [(entry["version"], entry["betas"]) for entry in control.log()] == [
        ("2023-06-01", ["one", "two"]),
        ("2026-10-21", []),
    ]


def test_counters_show_one_list_call(api: Api, control: Control) -> None:
    for _ in range(30):
        api.create("a")
    api.page(limit=1000)
    assert (control.count("list"), control.count("create"), control.count("retrieve")) == (1, 30, 0)


def test_the_log_of_one_route(api: Api, control: Control) -> None:
    api.create("a")
    api.page()
    assert [entry["route"] for entry in control.log("list")] == ["list"]


def test_nothing_of_prompt_answer_or_key_is_logged(api: Api, control: Control) -> None:
    batch_id = api.create(SECRET)
    control.advance(10)
    assert SECRET in api.results(batch_id).text
    logged = json.dumps(control.log())
    assert SECRET not in logged
    assert "test-key" not in logged


def test_reset_forgets_everything_but_the_clock(api: Api, control: Control) -> None:
    before = control.now()
    api.create("a")
    control.fault("refuse")
    control.reset()
    assert (control.batches(), control.faults(), control.log(), control.now()) == ([], [], [], before)
    assert api.ids() == []


def test_the_body_of_an_unknown_batch(control: Control) -> None:
    with pytest.raises(ControlError, match="no batch"):
        control.body("msgbatch_none")


def test_clock_and_settings_refuse_nonsense(control: Control) -> None:
    with pytest.raises(ControlError):
        control.advance(-1)
    with pytest.raises(ControlError):
        control.settings(seconds="soon")
    with pytest.raises(ControlError, match="hours"):
        control.settings(hours=1)


def test_controls_are_listed(api: Api) -> None:
    assert "POST /_emulator/clock" in api.http.get("/_emulator/").json()["controls"]
