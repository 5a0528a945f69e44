"""The walls of a stack that keeps teams apart, tried by other principals of its account, and what each of its people can do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from botocore.exceptions import ClientError

from batchdrop.reports.sentences import NOT_HIGH
from tests.docs.pages import ROOT, blocks
from tests.e2e.laptop import ACCOUNT, API_KEY, Job, Laptop, Role, beside
from tests.policies import policy
from tests.stack import row, rows

REGION = "us-east-1"
OPERATORS = "operators"
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_REFUSALS = {"AccessDenied", "AccessDeniedException", "403"}
_MESSAGE = '{"job_id": "probe", "batch": "probe"}'

_API = {"x-api-key": API_KEY, "anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def teams(laptop: Laptop) -> Laptop:
    operators = f"arn:aws:iam::{ACCOUNT}:root,arn:aws:iam::{ACCOUNT}:role/{OPERATORS}"
    return beside(
        laptop,
        "batchdrop-teams",
        "SeparateTeams=true",
        f"OperatorRoleArns={operators}",
        "AskAboveUsd=0.00001",
        "HighPriorityFolders=violet/urgent",
        "OpenJobsPerFolder=2",
        "FunctionTimeoutSeconds=15",
        "VisibilityTimeoutSeconds=90",
    )


class People(NamedTuple):
    stranger: Role
    """With every permission, and no part in this stack."""
    operator: Role
    dropper: Role
    approver: Role
    other_team: Role


@pytest.fixture(scope="module")
def people(teams: Laptop) -> People:
    def example(name: str, team: str = "") -> dict[str, Any]:
        return policy(name, bucket=teams.bucket, team=team, stack=teams.stack, account=ACCOUNT, region=REGION)

    def statements(name: str) -> list[Any]:
        return list(example(name)["Statement"])

    return People(
        teams.assume("reports", _EVERYTHING),
        teams.assume(OPERATORS, example("operator") | {"Statement": [*statements("operator"), *statements("eraser")]}),
        teams.assume("red-dropper", example("dropper", "red")),
        teams.assume("red-approver", example("approver", "red")),
        teams.assume("blue-dropper", example("dropper", "blue")),
    )


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        return code in _REFUSALS or status == 403
    return False


def _put(client: Role, at: Laptop, key: str) -> Callable[[], object]:
    return lambda: client("s3").put_object(Bucket=at.bucket, Key=key, Body=b"")


def _delete(client: Role, at: Laptop, key: str) -> Callable[[], object]:
    return lambda: client("s3").delete_object(Bucket=at.bucket, Key=key)


def _remove(client: Role, at: Laptop, key: str) -> Callable[[], object]:
    return lambda: client("s3").delete_object(Bucket=at.bucket, Key=key, VersionId="0" * 32)


def _approved(job: Job, by: Role) -> Job:
    """Once it has ended: whatever it asks is answered with yes, in the way that its status names."""
    while not job.laptop.exists(job.folder + "manifest.json"):
        if question := job.status().get("question"):
            by("s3").put_object(Bucket=job.laptop.bucket, Key=f"{question['answer']}/", Body=b"")
        time.sleep(0.5)
    return job


def _calls(who: Role, at: Laptop) -> dict[str, Callable[[], object]]:
    """What is the stack's or its operators' alone."""
    calls: dict[str, Callable[[], object]] = {}
    for prefix in ("outbox", "work", "config"):
        calls |= {
            f"write {prefix}/": _put(who, at, f"{prefix}/probe"),
            f"delete {prefix}/": _delete(who, at, f"{prefix}/probe"),
            f"remove {prefix}/": _remove(who, at, f"{prefix}/probe"),
        }
    for queue, url in _queues(at).items():
        calls |= {
            f"send to {queue}": lambda url=url: who("sqs").send_message(QueueUrl=url, MessageBody=_MESSAGE),  # type: ignore[misc]  # mypy cannot type a lambda with a default
            f"receive from {queue}": lambda url=url: who("sqs").receive_message(QueueUrl=url),  # type: ignore[misc]  # see above
            f"purge {queue}": lambda url=url: who("sqs").purge_queue(QueueUrl=url),  # type: ignore[misc]  # see above
        }
    return calls


def _queues(at: Laptop) -> dict[str, str]:
    """Names and URLs of all queues, those of dead letters among them."""
    outputs = at.client("cloudformation").describe_stacks(StackName=at.stack)["Stacks"][0]["Outputs"]
    return {one["OutputKey"]: one["OutputValue"] for one in outputs if one["OutputValue"].startswith("http")}


def _read_key(who: Role, at: Laptop) -> Callable[[], object]:
    return lambda: who("secretsmanager").get_secret_value(SecretId=at.output("ApiKeySecret"))


def test_a_stranger_with_every_permission_is_kept_out(teams: Laptop, people: People) -> None:
    calls = {**_calls(people.stranger, teams), "read the key": _read_key(people.stranger, teams)}
    assert [what for what, call in calls.items() if not _refused(call)] == []


def test_an_operator_gets_in_but_not_to_the_key(teams: Laptop, people: People) -> None:
    refused = {what for what, call in _calls(people.operator, teams).items() if _refused(call)}
    assert refused == {"write outbox/", "write work/"}, "they have no business there, and their policy says so"
    assert _refused(_read_key(people.operator, teams))


def test_whoever_may_change_policies_can_open_every_wall(teams: Laptop, people: People) -> None:
    s3, sqs, secrets = (people.stranger(service) for service in ("s3", "sqs", "secretsmanager"))
    kept = s3.get_bucket_policy(Bucket=teams.bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=teams.bucket)
    assert not _refused(_put(people.stranger, teams, "config/probe"))
    s3.put_bucket_policy(Bucket=teams.bucket, Policy=kept)
    assert _refused(_put(people.stranger, teams, "config/probe"))

    url = teams.output("ControlsQueue")
    kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert not _refused(lambda: sqs.send_message(QueueUrl=url, MessageBody=_MESSAGE))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": kept})
    assert _refused(lambda: sqs.send_message(QueueUrl=url, MessageBody=_MESSAGE))

    secret = teams.output("ApiKeySecret")
    kept = secrets.get_resource_policy(SecretId=secret)["ResourcePolicy"]
    secrets.delete_resource_policy(SecretId=secret)
    secrets.put_secret_value(SecretId=secret, SecretString=secrets.get_secret_value(SecretId=secret)["SecretString"])
    secrets.put_resource_policy(SecretId=secret, ResourcePolicy=kept)
    assert _refused(lambda: secrets.get_secret_value(SecretId=secret))


def test_a_team_works_by_its_own_policies_alone(teams: Laptop, people: People) -> None:
    """From drop to answer: one drops and reads, another one approves, and the other team can do neither."""
    key, body = "inbox/red/eu/reviews.jsonl", rows(30)
    version = people.dropper("s3").put_object(Bucket=teams.bucket, Key=key, Body=body)["VersionId"]
    job = teams.job_of(key, version)
    with teams.ticking():
        answer = job.asked()["question"]["answer"]
        assert answer.startswith("control/approve/red/eu/")
        for who in (people.dropper, people.other_team):
            assert _refused(_put(who, teams, f"{answer}/"))
        short = answer.replace("red/eu/", "")
        assert _refused(_put(people.approver, teams, short))
        teams.create_folder(short)  # nobody of a team may: the operators' way, which counts no more than theirs
        teams.create_folder(answer.replace("red/eu", "blue"))
        _approved(job, people.approver)
        teams.wait(lambda: _shown_states(people.dropper, teams, "red/")[job.id] == "done", "the index of the team to show it")
        assert _shown_states(people.operator, teams, "")[job.id] == "done"
    for client, folder in ((people.other_team, "red/"), (people.dropper, ""), (people.other_team, "")):
        assert _refused(lambda client=client, folder=folder: _shown_states(client, teams, folder))  # type: ignore[misc]
    read = people.dropper("s3").get_object(Bucket=teams.bucket, Key=job.folder + "results.jsonl")["Body"].read()
    assert len(read.splitlines()) == 30
    assert {approval["key"].split("/")[2] for approval in job.manifest()["approvals"]} == {"red"}
    for client in (people.other_team, people.approver):
        assert _refused(_put(client, teams, key))
    assert _refused(lambda: people.other_team("s3").get_object(Bucket=teams.bucket, Key=job.folder + "results.jsonl"))
    assert _refused(lambda: people.other_team("s3").list_objects_v2(Bucket=teams.bucket, Prefix="outbox/red/"))
    assert _refused(_put(people.other_team, teams, f"control/retry/red/{job.id}"))


def _shown_states(client: Role, teams: Laptop, folder: str) -> dict[str, str]:
    """By job id, of an index of jobs."""
    index = json.load(client("s3").get_object(Bucket=teams.bucket, Key=f"outbox/{folder}index.json")["Body"])
    return {entry["job_id"]: entry["state"] for entry in index["jobs"]}


def test_no_team_commands_another_teams_job_in_its_own_folder(teams: Laptop, people: People) -> None:
    key = "inbox/red/held.jsonl"
    job = teams.job_of(key, people.dropper("s3").put_object(Bucket=teams.bucket, Key=key, Body=rows(30))["VersionId"])
    with teams.ticking():
        asked = job.asked()
        for command in ("cancel", "retry"):
            people.other_team("s3").put_object(Bucket=teams.bucket, Key=f"control/{command}/blue/{job.id}", Body=b"")
        teams.wait(lambda: teams.logs().count(f"blue/{job.id}") >= 2, "both to be ignored")
        now = job.status()
        assert {**now, "updated_at": asked["updated_at"]} == asked
        people.dropper("s3").put_object(Bucket=teams.bucket, Key=f"control/cancel/red/{job.id}", Body=b"")
        job.wait().wait_for("canceled")


def test_a_file_of_no_team_is_rejected(teams: Laptop, people: People) -> None:
    assert _refused(_put(people.dropper, teams, "inbox/blue.jsonl"))
    job = teams.drop("inbox/blue.jsonl", rows(2)).wait()
    assert job.status()["state"] == "rejected"
    assert "keeps teams apart" in job.status()["message"]


def test_high_priority_is_for_the_folders_that_an_operator_lists(teams: Laptop, people: People) -> None:
    priorities = {}
    with teams.ticking():
        for folder in ("violet", "violet/urgent"):
            key, high = f"inbox/{folder}/high.jsonl", {"batchdrop-priority": "high"}
            version = teams.s3.put_object(Bucket=teams.bucket, Key=key, Body=rows(2), Metadata=high)["VersionId"]
            job = teams.job_of(key, version)
            told = NOT_HIGH in job.asked()["message"]
            _approved(job, people.operator).wait_for("done")
            known = teams.ledger().get_job(job.id)
            priorities[folder] = (known.priority if known else None, told)
    assert priorities == {"violet": (5, True), "violet/urgent": (1, False)}


def test_further_files_of_a_team_wait_in_line_and_go_on_by_themselves(teams: Laptop, people: People) -> None:
    with teams.ticking():
        open_ones = [teams.drop(f"inbox/amber/{name}.jsonl", rows(2)) for name in ("first", "second")]
        for job in open_ones:
            job.asked()
        third = teams.drop("inbox/amber/deep/third.jsonl", rows(2))
        teams.wait(lambda: third.status().get("needs") == "place", "the third file to wait in line")
        assert third.status()["message"].startswith("Waiting in line: 2 files of the folder amber may be open at a time")
        teams.drop("inbox/cyan/another.jsonl", rows(2)).asked()
        assert third.status()["needs"] == "place"
        for job in (*open_ones, third):
            assert _approved(job, people.operator).wait_for("done").audit() == []
    assert [line["line"] for line in third.lines("results.jsonl")] == [1, 2]


def test_an_operator_sets_the_switch(teams: Laptop, people: People) -> None:
    """Which items its policy leaves out, the emulator does not ask."""
    item = {"pk": {"S": "SWITCH"}, "sk": {"S": "SWITCH"}, "position": {"S": "run"}}
    table = teams.env["BATCHDROP_TABLE"]
    assert not _refused(lambda: people.operator("dynamodb").put_item(TableName=table, Item=item))
    assert _refused(lambda: people.dropper("dynamodb").put_item(TableName=table, Item=item))


def test_a_persons_data_is_deleted_as_the_page_says(teams: Laptop, people: People, tmp_path: Path) -> None:
    """Afterwards the person is nowhere: in no version of an object, no item, no message, no log line, no batch."""
    person = "Ada Byron of Marylebone"
    body = b"\n".join(row(str(number), f"{person} writes letter {number}", max_tokens=50) for number in range(3))
    with teams.ticking():
        kept = _approved(teams.drop("inbox/green/others.jsonl", rows(3)), people.operator)
        job = _approved(teams.drop("inbox/green/letters.jsonl", b"no json, " + person.encode() + b"\n" + body), people.operator)
        packed = _approved(teams.drop("inbox/green/letters.2.jsonl.gz", gzip.compress(body)), people.operator)
    assert person in _everything(teams)

    (steps,) = blocks(ROOT / "docs" / "security.md", "python")
    prefixes = ["inbox/green/letters.", *(one for job in (job, packed) for one in (job.folder, f"work/{job.id}/"))]
    script = tmp_path / "delete.py"
    script.write_text(steps)
    environment = {"AWS_ENDPOINT_URL": teams.env["AWS_ENDPOINT_URL"], "AWS_DEFAULT_REGION": REGION, **people.operator.variables()}
    batches = [batch["id"] for one in (job, packed) for batch in one.manifest()["batches"] if batch["id"]]
    subprocess.run([sys.executable, str(script), teams.bucket, *prefixes], env=environment, check=True)
    for batch in batches:
        url = f"{teams.claude.base_url}/v1/messages/batches/{batch}"
        assert httpx2.delete(url, headers=_API).status_code == 200
        assert httpx2.get(f"{url}/results", headers=_API).status_code == 404

    assert person not in _everything(teams)
    assert teams.s3.list_object_versions(Bucket=teams.bucket, Prefix="inbox/green/letters").get("Versions", []) == []
    assert len(kept.lines("results.jsonl")) == 3
    assert kept.audit() == []


def _everything(at: Laptop) -> str:
    """What bucket, table, dead letters and logs hold, as one text."""
    found = [at.logs()]
    for page in at.client("s3").get_paginator("list_object_versions").paginate(Bucket=at.bucket):
        for version in page.get("Versions", []):
            body = at.s3.get_object(Bucket=at.bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
            found.append((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode(errors="replace"))
    pages = at.client("dynamodb").get_paginator("scan").paginate(TableName=at.env["BATCHDROP_TABLE"])
    found += [str(page["Items"]) for page in pages]
    waiting = (at.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0) for url in _queues(at).values())
    return "\n".join([*found, *(str(answer.get("Messages")) for answer in waiting)])
