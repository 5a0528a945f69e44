"""With the very credentials that a function's process holds: what its role allows, and that everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from local.stages import STAGES
from tests.e2e.laptop import Laptop
from tests.stack import rows

_REFUSALS = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}
ALL = frozenset(STAGES)
NONE: frozenset[str] = frozenset()
# Each prefix has an object of this name; none of them is a job, an answer or a command.
_PROBE = "probe/recipe.yaml"
_KEY = {"pk": {"S": "PROBE"}, "sk": {"S": "PROBE"}}
# A message about nothing: whoever gets it takes it.
_MESSAGE = '{"job_id": "probe", "batch": "probe"}'


type Call = Callable[[Any, Laptop], object]
"""with a client that has a function's credentials, and the stack whose resource is asked for"""


class Probe(NamedTuple):
    what: str
    service: str
    call: Call
    allowed: frozenset[str]
    """stages; what belongs to another stack is nobody's"""
    of_account: bool = False
    """All stacks of the account have it in common, so that it is no other stack's."""


def _stages(text: str) -> frozenset[str]:
    found = frozenset(text.split())
    assert found <= ALL
    return found


# Who reads and who writes below each prefix.
_PREFIXES = {
    "inbox": (_stages("plan submit collect control"), _stages("control")),
    "work": (_stages("plan submit collect finish control"), _stages("plan collect finish control")),
    "outbox": (_stages("poll finish control"), ALL),
    "control": (_stages("control"), NONE),
    "config": (_stages("plan submit poll collect"), NONE),
}
# Who deletes in `work/`: pieces of a run that failed, or all versions of what a job has left.
_DELETERS = _stages("collect finish poll")
_REMOVERS = _stages("finish poll")
_LISTERS = {"work": _REMOVERS, "inbox": _stages("plan")}
"""Of versions."""
_SENDERS = {
    "PLAN": _stages("plan poll"),
    "SUBMIT": _stages("plan poll"),
    "COLLECT": _stages("plan submit poll collect control"),
    "FINISH": _stages("poll collect finish"),
    "CONTROL": _stages("control"),
}


def _object(method: str, key: str) -> Call:
    return lambda s3, at: getattr(s3, method)(Bucket=at.bucket, Key=key)


def _list(prefix: str) -> Call:
    return lambda s3, at: s3.list_objects_v2(Bucket=at.bucket, Prefix=prefix, MaxKeys=1)


def _list_versions(prefix: str) -> Call:
    return lambda s3, at: s3.list_object_versions(Bucket=at.bucket, Prefix=prefix, MaxKeys=1)


def _remove(key: str) -> Call:
    """A version that there is not: whoever may remove it is answered that it is gone."""
    return lambda s3, at: s3.delete_object(Bucket=at.bucket, Key=key, VersionId="00000000000000000000000000000000")


def _send(queue: str) -> Call:
    return lambda sqs, at: sqs.send_message(QueueUrl=at.env[f"BATCHDROP_{queue}_QUEUE"], MessageBody=_MESSAGE)


def _suspend_versions(s3: Any, at: Laptop) -> object:
    return s3.put_bucket_versioning(Bucket=at.bucket, VersioningConfiguration={"Status": "Suspended"})


# `plan` sees that there is no `latest.json` yet.
_ALSO_LIST = {"work": _REMOVERS - {"finish"}, "outbox": _stages("plan")}


def _objects() -> list[Probe]:
    probes = [
        Probe("list everything", "s3", _list(""), NONE),
        Probe("list uploads", "s3", lambda s3, at: s3.list_multipart_uploads(Bucket=at.bucket), _stages("plan finish control")),
        Probe(
            "read the newest job",
            "s3",
            _object("get_object", f"outbox/{_PROBE}/latest.json"),
            _stages("plan poll finish control"),
        ),
        Probe("open the bucket", "s3", lambda s3, at: s3.delete_public_access_block(Bucket=at.bucket), NONE),
        Probe("stop keeping versions", "s3", _suspend_versions, NONE),
    ]
    for prefix, (readers, writers) in _PREFIXES.items():
        key = f"{prefix}/{_PROBE}"
        probes += [
            Probe(f"read {prefix}/", "s3", _object("get_object", key), readers),
            Probe(f"list {prefix}/", "s3", _list(f"{prefix}/"), readers | _ALSO_LIST.get(prefix, NONE)),
            Probe(f"list versions in {prefix}/", "s3", _list_versions(f"{prefix}/"), _LISTERS.get(prefix, NONE)),
            Probe(f"write {prefix}/", "s3", _object("put_object", key), writers),
            Probe(f"delete {prefix}/", "s3", _object("delete_object", key), _DELETERS if prefix == "work" else NONE),
            Probe(f"remove {prefix}/", "s3", _remove(key), _REMOVERS if prefix == "work" else NONE),
        ]
    return probes


def _table() -> list[Probe]:
    def query(client: Any, at: Laptop, **where: Any) -> object:
        return client.query(TableName=at.env["BATCHDROP_TABLE"], ExpressionAttributeValues={":x": {"S": "x"}}, **where)

    calls: list[tuple[str, Callable[[Any, Laptop], object], frozenset[str]]] = [
        ("get_item", lambda db, at: db.get_item(TableName=at.env["BATCHDROP_TABLE"], Key=_KEY), ALL),
        (
            "batch_get_item",
            lambda db, at: db.batch_get_item(RequestItems={at.env["BATCHDROP_TABLE"]: {"Keys": [_KEY]}}),
            _stages("poll"),
        ),
        ("put_item", lambda db, at: db.put_item(TableName=at.env["BATCHDROP_TABLE"], Item=_KEY), ALL),
        ("update_item", lambda db, at: db.update_item(TableName=at.env["BATCHDROP_TABLE"], Key=_KEY), ALL),
        ("delete_item", lambda db, at: db.delete_item(TableName=at.env["BATCHDROP_TABLE"], Key=_KEY), _stages("collect poll")),
        ("query", lambda db, at: query(db, at, KeyConditionExpression="pk = :x"), _stages("plan poll collect finish control")),
        (
            "query open",
            lambda db, at: query(db, at, IndexName="open", KeyConditionExpression="shelf = :x"),
            _stages("plan poll control"),
        ),
        ("scan", lambda db, at: db.scan(TableName=at.env["BATCHDROP_TABLE"], Limit=1), NONE),
        ("delete_table", lambda db, at: db.delete_table(TableName=at.env["BATCHDROP_TABLE"]), NONE),
    ]
    return [Probe(what, "dynamodb", call, allowed) for what, call, allowed in calls]


def _queues() -> list[Probe]:
    return [
        *(Probe(f"send to {queue}", "sqs", _send(queue), senders) for queue, senders in _SENDERS.items()),
        Probe("purge", "sqs", lambda sqs, at: sqs.purge_queue(QueueUrl=at.env["BATCHDROP_CONTROL_QUEUE"]), NONE),
    ]


def _others() -> list[Probe]:
    def read_key(secrets: Any, at: Laptop) -> object:
        return secrets.get_secret_value(SecretId=at.env["BATCHDROP_API_KEY_SECRET"])

    def change_key(secrets: Any, at: Laptop) -> object:
        return secrets.put_secret_value(SecretId=at.env["BATCHDROP_API_KEY_SECRET"], SecretString="x")

    def pull_switch(ssm: Any, at: Laptop) -> object:
        return ssm.put_parameter(Name=at.env["BATCHDROP_SWITCH"], Value="run", Overwrite=True)

    def publish(topic: str) -> Call:
        return lambda sns, at: sns.publish(TopicArn=at.output(topic), Message="probe")

    def put_event(bus: str) -> Call:
        entry = {"Source": "batchdrop", "DetailType": "probe", "Detail": "{}", "EventBusName": bus}
        return lambda events, at: events.put_events(Entries=[entry])

    def read_logs(logs: Any, at: Laptop) -> object:
        return logs.filter_log_events(logGroupName=f"/aws/lambda/{at.stack}-plan")

    return [
        Probe("read the key", "secretsmanager", read_key, _stages("submit poll collect control")),
        Probe("change the key", "secretsmanager", change_key, NONE),
        Probe(
            "read the switch",
            "ssm",
            lambda ssm, at: ssm.get_parameter(Name=at.env["BATCHDROP_SWITCH"]),
            _stages("plan submit poll"),
        ),
        Probe("pull the switch", "ssm", pull_switch, NONE),
        Probe("tell subscribers", "sns", publish("JobsTopic"), _stages("poll finish")),
        Probe("tell workflows", "events", put_event("default"), _stages("poll finish"), of_account=True),
        Probe("put an event on another bus", "events", put_event("others"), NONE),
        Probe("ring an alarm", "sns", publish("AlarmTopic"), NONE),
        Probe("call a function", "lambda", lambda functions, at: functions.invoke(FunctionName=at.output("PollFunction")), NONE),
        Probe("read roles", "iam", lambda iam, at: iam.list_roles(), NONE),
        Probe("read logs", "logs", read_logs, NONE),
    ]


PROBES = [*_objects(), *_table(), *_queues(), *_others()]


@pytest.fixture(scope="module")
def credentials(laptop: Laptop) -> dict[str, dict[str, str]]:
    """What each function's process was given, taken from the process itself."""
    for prefix in _PREFIXES:
        laptop.s3.put_object(Bucket=laptop.bucket, Key=f"{prefix}/{_PROBE}", Body=b"probe")
    laptop.s3.put_object(Bucket=laptop.bucket, Key="control/approve/nothing", Body=b"")
    laptop.drop("inbox/permissions.jsonl", rows(2)).wait()
    found = {}
    for stage in STAGES:
        laptop.wait(lambda stage=stage: bool(laptop.workers(stage)), f"{stage} to run")  # type: ignore[misc]  # mypy cannot type a lambda with a default
        environment = laptop.workers(stage)[0].environ()
        found[stage] = {
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
            "aws_session_token": environment["AWS_SESSION_TOKEN"],
        }
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_can_do_its_own_work_and_nothing_else(
    stage: str, laptop: Laptop, credentials: dict[str, dict[str, str]]
) -> None:
    wrong = {
        probe.what: "refused" if stage in probe.allowed else "allowed"
        for probe in PROBES
        if _refused(laptop, probe, laptop, credentials[stage]) is (stage in probe.allowed)
    }
    assert wrong == {}


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_has_no_part_in_another_stack(
    stage: str, laptop: Laptop, second: Laptop, credentials: dict[str, dict[str, str]]
) -> None:
    own = [probe for probe in PROBES if not probe.of_account]
    assert [probe.what for probe in own if not _refused(laptop, probe, second, credentials[stage])] == []


def _refused(laptop: Laptop, probe: Probe, at: Laptop, credentials: dict[str, str]) -> bool:
    """Whether AWS says no. Any other answer, missing objects included, came from behind the door."""
    try:
        probe.call(laptop.client(probe.service, **credentials), at)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return code in _REFUSALS or status == 403
    return False
