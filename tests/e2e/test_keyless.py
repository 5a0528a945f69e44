"""`ApiAccess=aws`: no secret and no key, and whole jobs all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.laptop import API_KEY, Laptop, home, running
from tests.stack import rows

WORKSPACE = "wrkspc_laptop"


@pytest.fixture(scope="module")
def keyless() -> Iterator[Laptop]:
    """Its emulator takes nothing but minted keys, for one workspace."""
    parameters = ("ApiAccess=aws", f"AwsWorkspaceId={WORKSPACE}", "FunctionTimeoutSeconds=60", "VisibilityTimeoutSeconds=360")
    with running(home("keyless"), *parameters, emulator=("--seconds", "2", "--aws-workspace", WORKSPACE)) as system:
        yield system


def test_a_job_runs_whole_with_keys_that_are_minted_from_the_roles(keyless: Laptop) -> None:
    job = keyless.drop("inbox/a.jsonl", rows(20))
    assert job.wait().manifest()["counts"]["succeeded"] == 20
    assert job.wait_for("done").audit() == []
    calls = [call for call in keyless.claude.log() if call["status"] is not None]
    assert {"create", "list", "results", "models"} <= {call["route"] for call in calls}
    assert {call["workspace"] for call in calls} == {WORKSPACE}
    assert {call["status"] for call in calls} == {200}


def test_there_is_no_secret(keyless: Laptop) -> None:
    assert "BATCHDROP_API_KEY_SECRET" not in keyless.env
    assert keyless.env["BATCHDROP_WORKSPACE"] == WORKSPACE
    assert keyless.client("secretsmanager").list_secrets()["SecretList"] == []


def test_a_canceled_job_ends(keyless: Laptop) -> None:
    keyless.claude.settings(seconds=600)
    job = keyless.drop("inbox/canceled.jsonl", rows(3)).wait_for("running")
    keyless.wait(lambda: keyless.claude.count("create") > 1, "the batch to be sent")
    keyless.create_folder(f"control/cancel/{job.id}")
    assert job.wait().manifest()["state"] == "canceled"
    keyless.claude.settings(seconds=2)


def test_a_create_whose_key_has_ended_goes_on_with_another_and_is_paid_once(keyless: Laptop) -> None:
    creates = len(keyless.claude.batches())
    keyless.claude.fault("refuse", "create", status=401, read_body=True)
    assert keyless.drop("inbox/ended.jsonl", rows(4)).wait().manifest()["counts"]["succeeded"] == 4
    assert len(keyless.claude.batches()) == creates + 1


def test_no_minted_key_is_logged(keyless: Laptop) -> None:
    logged = keyless.logs()
    assert "batch accepted" in logged
    assert "aws-external-anthropic-api-key-" not in logged
    assert API_KEY not in logged


def test_a_create_without_an_answer_is_settled_with_other_keys_and_paid_once(keyless: Laptop) -> None:
    """As if its key had ended in mid-POST and the connection with it: nobody knows what became of it."""
    creates = len(keyless.claude.batches())
    keyless.claude.fault("accept-then-drop", "create")
    assert keyless.drop("inbox/lost.jsonl", rows(5)).wait().manifest()["counts"]["succeeded"] == 5
    assert len(keyless.claude.batches()) == creates + 1
