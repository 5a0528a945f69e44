"""What the functions really ask of AWS is what their roles grant: no less, and no more.

A tour through every branch records the calls of each handler; the policies come from the translated template.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import urllib.parse
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple

import pytest

from batchdrop.adapters.part_plan import MIN_PART_BYTES
from batchdrop.adapters.s3 import S3Objects
from local.claude.client import Control, start
from local.stages import STAGES
from tests.handlers.calls import Recorder, Use, Watched
from tests.handlers.conftest import BUCKET, QUEUES, Context, surroundings
from tests.named_files import pdf
from tests.stack import row, rows
from tests.template import facts
from tests.template.facts import Statement, named, statements
from tests.workbooks import row as sheet_row
from tests.workbooks import workbook

MIB = 1024 * 1024
# Granted without a call of the function's own; each with the reason.
_NOT_CALLED = {
    "logs:CreateLogStream": "Lambda writes the log on the function's behalf",
    "logs:PutLogEvents": "Lambda writes the log on the function's behalf",
    "sqs:ReceiveMessage": "the event source mapping takes messages on the function's behalf",
    "sqs:DeleteMessage": "the event source mapping takes messages on the function's behalf",
    "sqs:GetQueueAttributes": "the event source mapping takes messages on the function's behalf",
    "s3:ListBucket": "no call where objects are read: it turns the answer for a missing object from 403 into 404",
}


@pytest.fixture(scope="module")
def granted() -> dict[str, list[Statement]]:
    """Statements by stage."""
    found: dict[str, list[Statement]] = {stage: [] for stage in STAGES}
    for statement in statements(facts.translate(facts.source())["Resources"]):
        stage = statement.role.removesuffix("Role").lower()
        if stage in found:
            found[stage].append(statement)
    return found


class Used(NamedTuple):
    of_aws: frozenset[Use]
    of_claude: frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def used(toured: Used) -> frozenset[Use]:
    return toured.of_aws


@pytest.fixture(scope="module")
def toured() -> Used:
    recorder = Recorder(facts.translate(facts.source())["Resources"])
    # No patience and no grace: every tick repairs and reconciles at once.
    impatient = {
        "BATCHDROP_VISIBILITY_SECONDS": "0",
        "BATCHDROP_GRACE_SECONDS": "0",
        "BATCHDROP_MAX_BATCH_REQUESTS": "4000",
        "BATCHDROP_MAX_ATTEMPTS": "2",
        "BATCHDROP_MAX_INPUT_BYTES": str(50 * MIB),
    }
    with (
        start("--clock", "manual", "--seconds", "1") as claude,
        surroundings(claude, **impatient),
        recorder.recording(),
        pytest.MonkeyPatch.context() as patch,
    ):
        # As small as S3 allows: uploads of several parts without a flood of bytes.
        patch.setitem(S3Objects.__init__.__kwdefaults__ or {}, "part_bytes", MIN_PART_BYTES)
        patch.setattr("batchdrop.stages.poll.sweep._PAUSE", timedelta())
        patch.setattr("batchdrop.domain.redelivery._FIRST_PAUSE", 0)
        patch.setattr("batchdrop.domain.reconcile.NOT_FOUND_FOR", timedelta())
        Tour(Watched(claude, recorder)).all()
    assert recorder.without_owner == set(), "calls of S3 that do not say whose the bucket is"
    return Used(frozenset(recorder.uses), frozenset(recorder.asked))


@pytest.mark.parametrize("stage", STAGES)
def test_everything_a_function_asks_for_is_granted(stage: str, used: frozenset[Use], granted: dict[str, list[Statement]]) -> None:
    refused = {use for use in used if use.stage == stage and not any(_covers(statement, use) for statement in granted[stage])}
    assert refused == set()


@pytest.mark.parametrize("stage", STAGES)
def test_everything_granted_is_used(stage: str, used: frozenset[Use], granted: dict[str, list[Statement]]) -> None:
    idle = {
        (statement.sid, action, named(resource))
        for statement in granted[stage]
        for action in statement.actions
        if action not in _NOT_CALLED
        for resource in statement.resources
        if not any(use.stage == stage and use.action == action and fnmatchcase(use.resource, named(resource)) for use in used)
    }
    assert idle == set()


# Claude Platform on AWS, "IAM actions": each route is one action, results with the batch.
_ACTION_OF_ROUTE = {
    "create": "CreateBatchInference",
    "retrieve": "GetBatchInference",
    "results": "GetBatchInference",
    "list": "ListBatchInferences",
    "cancel": "CancelBatchInference",
    "models": "ListModels",
}
_WORKSPACE = "arn:${AWS::Partition}:aws-external-anthropic:${AWS::Region}:${AWS::AccountId}:workspace/{AwsWorkspaceId}"


@pytest.mark.parametrize("stage", STAGES)
def test_without_a_key_a_role_is_granted_the_calls_of_its_function_in_one_workspace(stage: str, toured: Used) -> None:
    asked = {f"aws-external-anthropic:{_ACTION_OF_ROUTE[route]}" for by, route in toured.of_claude if by == stage}
    role = f"{stage.capitalize()}Role"
    resources = facts.translate(facts.source())["Resources"]
    granted = [one for one in statements(resources, facts.KEYLESS) if one.role == role]
    on_claude = {one.sid: one for one in granted if any(action.startswith("aws-external") for action in one.actions)}
    if not asked:
        assert on_claude == {}
        return
    workspace, minted = on_claude["Workspace"], on_claude["MintedKeys"]
    assert set(on_claude) == {"Workspace", "MintedKeys"}
    assert set(workspace.actions) == asked
    assert [named(resource) for resource in workspace.resources] == [_WORKSPACE]
    # A permission without a route and without a resource (Service Authorization Reference, Claude Platform on AWS).
    assert (minted.actions, minted.resources) == (("aws-external-anthropic:CallWithBearerToken",), ("*",))
    assert not [one for one in granted if any(action.startswith("secretsmanager:") for action in one.actions)]


@pytest.mark.parametrize("stage", STAGES)
def test_missing_objects_are_told_apart_where_objects_are_read(
    stage: str, used: frozenset[Use], granted: dict[str, list[Statement]]
) -> None:
    # Who lists folders needs it for that alone.
    listing = {"work/*"} if any(use[:2] == (stage, "s3:ListBucket") for use in used) else set()
    read = {use.resource.split("{Bucket}/")[1].split("/")[0] + "/*" for use in used if use[:2] == (stage, "s3:GetObject")}
    listed = {
        prefix
        for statement in granted[stage]
        if "s3:ListBucket" in statement.actions
        for prefix in statement.condition["StringLike"]["s3:prefix"]
    }
    assert listed == read | listing


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_granted_without_a_call_is_about_the_functions_own(stage: str, granted: dict[str, list[Statement]]) -> None:
    own_queue = {"plan": "Uploads", "control": "Controls"}.get(stage, stage.capitalize())
    expected = {"logs": f"{{{stage.capitalize()}Logs}}", "sqs": f"{{{own_queue}Queue}}"}
    for statement in granted[stage]:
        for action in set(statement.actions) & set(_NOT_CALLED) - {"s3:ListBucket"}:
            assert [named(resource) for resource in statement.resources] == [expected[action.split(":")[0]]]


def _covers(statement: Statement, use: Use) -> bool:
    return use.action in statement.actions and any(fnmatchcase(use.resource, named(resource)) for resource in statement.resources)


class Hurried(Context):
    """An invocation whose time runs out while it works: once it has been asked so often for what is left."""

    def __init__(self, asked: int) -> None:
        self._asked = asked

    def get_remaining_time_in_millis(self) -> int:
        self._asked -= 1
        return 900_000 if self._asked >= 0 else 1_000


class Tour:
    """Everything that can happen to a job, one thing after another."""

    def __init__(self, cloud: Watched) -> None:
        self._cloud = cloud
        self._claude: Control = cloud.claude
        self._recorder = cloud.recorder

    def all(self) -> None:
        for visit in (
            self._operators_files,
            self._answers_retries_and_faults,
            self._connections_that_break,
            self._compressed,
            self._compressed_and_long,
            self._a_bomb,
            self._a_long_file,
            self._nothing_to_send,
            self._large_parts,
            self._a_part_that_is_not_written,
            self._a_lost_answer,
            self._somebody_elses_batch,
            self._pieces_that_somebody_deletes,
            self._somebody_elses_batch_that_is_deleted,
            self._cancels,
            self._cancels_that_are_refused,
            self._retries_by_command,
            self._gone,
            self._waiting,
            self._tables,
            self._documents_of_a_folder,
            self._a_file_that_asks,
            self._files_that_ask_together,
            self._written_after_the_end,
            self._commands_about_nothing,
            self._messages_that_fail,
        ):
            visit()
            self._until_quiet()
        self._refusals()

    # ---------------------------------------------------------------- visits

    def _operators_files(self) -> None:
        """Read by every function that counts money, and looked for again a minute later."""
        self._cloud.upload("config/prices.json", b"[]")
        self._cloud.upload("config/limits.json", b'{"folders": {"dear": {"ask_above_usd": 0.00001}}}')

    def _documents_of_a_folder(self) -> None:
        """Some are taken, and a second start finds them taken."""
        recipe = b'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: Hello\n'
        self._cloud.upload("inbox/bills/recipe.yaml", recipe)
        for name in ("a.pdf", "b.pdf"):
            self._cloud.invoke("plan", self._cloud.upload(f"inbox/bills/{name}", pdf()))
        for _ in range(2):
            self._cloud.invoke("plan", self._cloud.upload("inbox/bills/start/", b""))
            self._until_quiet()

    def _a_file_that_asks(self) -> None:
        """First for its pilot, then for the others; or for its pilot alone, which leaves its batch without a row."""
        self._drop("inbox/dear/few.jsonl", [row(f"r {i}") for i in range(3)])
        self._until_quiet()
        self._approve("few")
        self._until_quiet()
        self._drop("inbox/dear/file.jsonl", [row(f"r {i}") for i in range(30)])
        self._until_quiet()
        for _ in range(2):
            self._approve("file")
            self._until_quiet()

    def _approve(self, name: str) -> None:
        folder = f"outbox/dear/{name}/"
        found = [text for key, text in self._cloud.outputs().items() if key.startswith(folder) and key.endswith("/status.json")]
        for status in map(json.loads, found):
            if question := status.get("question"):
                self._command("approve", f"dear/{name}.jsonl", code=question["code"])

    def _answers_retries_and_faults(self) -> None:
        self._drop("inbox/mixed.jsonl", _mixed())

    def _connections_that_break(self) -> None:
        self._recorder.break_reads = True
        self._drop("inbox/broken.jsonl", _mixed())
        self._until_quiet()
        self._drop("inbox/broken.jsonl.gz", _mixed(), compress=True)
        self._until_quiet()
        self._hurry("inbox/broken-long.jsonl")
        self._command("retry", "broken.jsonl")
        self._until_quiet()
        self._recorder.break_reads = False

    def _compressed(self) -> None:
        self._drop("inbox/packed.jsonl.gz", _mixed(), compress=True)

    def _compressed_and_long(self) -> None:
        """The second invocation goes on behind the first part of the copy."""
        long = gzip.compress(b"\n".join(row(f"r {i}", "w" * MIB) for i in range(8)), 1)
        self._cloud.invoke("plan", self._cloud.upload("inbox/packed-long.jsonl.gz", long), Hurried(9))

    def _a_bomb(self) -> None:
        """Too large only after a part of the copy has been written."""
        bomb = gzip.compress(b"0" * (51 * MIB), 1)
        self._cloud.invoke("plan", self._cloud.upload("inbox/bomb.gz", bomb))

    def _a_long_file(self) -> None:
        self._hurry("inbox/long.jsonl")

    def _nothing_to_send(self) -> None:
        self._drop("inbox/empty.jsonl", [b""])
        self._drop("inbox/hopeless.jsonl", [b"nothing", b"of use"])

    def _large_parts(self) -> None:
        """Outputs of several parts; a write that fails in between, a lost message, a finish and a retry that run out of time.

        What goes on finds what was begun, and what another one did.
        """
        self._claude.settings(answer_bytes=MIB)
        wide = [row(f"wide {i}", "w" * MIB + "[[error:overloaded_error]]") for i in range(6)]
        self._drop("inbox/wide.jsonl", [*(row(f"r {i}") for i in range(10)), *wide])
        self._recorder.fail("UploadPart", after=1)
        self._until("finish")
        self._deliver("finish", lose=True)
        self._tick()
        self._deliver("finish", times=1, context=Hurried(1))
        self._begin_again()
        self._recorder.fail("Publish")
        self._until_quiet()
        self._claude.settings(answer_bytes=0)
        self._command("retry", "wide.jsonl", Hurried(5))
        self._begin_again()
        self._until_quiet()
        self._command("retry", "wide.jsonl")

    def _a_part_that_is_not_written(self) -> None:
        """The parts before it are removed."""
        self._drop("inbox/unwritten.jsonl", _mixed())
        self._until("collect")
        self._recorder.fail("PutObject", after=1)

    def _refusals(self) -> None:
        """The last one blocks everything for minutes, so it comes last."""
        self._claude.fault("refuse", "create", status=413, times=None)
        self._drop("inbox/split.jsonl", [row("one"), row("two")])
        self._until_quiet()
        self._claude.clear_faults()
        for fault in ({"status": 429, "retry_after": 0}, {"status": 401}):
            self._claude.fault("refuse", "create", **fault)
            self._drop("inbox/refused.jsonl", [row("only")])
            self._deliver("submit")

    def _a_lost_answer(self) -> None:
        self._claude.fault("accept-then-drop", "create")
        self._drop("inbox/lost.jsonl", [row(f"r {i}") for i in range(3)])

    def _somebody_elses_batch(self) -> None:
        """A create that never arrived, and a stranger's batch of the same size that looks like it."""
        self._claude.fault("drop-before", "create")
        self._drop("inbox/doubtful.jsonl", [row(f"r {i}") for i in range(5)])
        self._deliver("submit")
        self._strangers_batch(5)

    def _pieces_that_somebody_deletes(self) -> None:
        self._drop("inbox/pieces.jsonl", _mixed())
        self._until("finish")
        for version in self._cloud.s3.list_object_versions(Bucket=BUCKET, Prefix="work/")["Versions"]:
            if "/results-" in version["Key"]:
                self._cloud.s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])

    def _somebody_elses_batch_that_is_deleted(self) -> None:
        """The same, and its owner deletes it before anybody sees its results."""
        self._claude.fault("drop-before", "create")
        self._claude.settings(seconds=1000.0)
        self._drop("inbox/doubtful-still.jsonl", [row(f"r {i}") for i in range(6)])
        self._deliver("submit")
        theirs = self._strangers_batch(6)
        self._tick()
        self._claude.settings(seconds=1.0)
        self._call("POST", f"/v1/messages/batches/{theirs}/cancel")
        self._claude.advance(2)
        self._call("DELETE", f"/v1/messages/batches/{theirs}")

    def _cancels(self) -> None:
        self._claude.settings(seconds=1000.0)
        self._drop("inbox/canceled.jsonl", [row(f"r {i}") for i in range(2)])
        self._deliver("submit", times=1)
        self._command("cancel", "canceled.jsonl")
        self._drop("inbox/canceled-late.jsonl", [row("one")])
        self._command("cancel", "canceled-late.jsonl")
        self._claude.settings(seconds=1.0)

    def _cancels_that_are_refused(self) -> None:
        """One is asked for while its batch is being sent. Each looks at the batch then, and poll cancels it later."""
        self._claude.settings(seconds=1000.0)
        self._claude.fault("refuse", "cancel", status=400, times=2)
        creates = self._claude.count("create")
        self._drop("inbox/canceled-in-flight.jsonl", [row("one")])
        self._recorder.meanwhile(
            lambda: self._claude.count("create") > creates, lambda: self._command("cancel", "canceled-in-flight.jsonl")
        )
        self._deliver("submit", times=1)
        self._drop("inbox/canceled-in-vain.jsonl", [row("one")])
        self._deliver("submit", times=1)
        self._command("cancel", "canceled-in-vain.jsonl")
        self._tick()
        self._claude.settings(seconds=1.0)

    def _retries_by_command(self) -> None:
        self._command("retry", "mixed.jsonl")

    def _gone(self) -> None:
        """The input is deleted: before it is read, before it is sent, before its answers are joined with it."""
        self._cloud.invoke("plan", self._cloud.event("plan-upload"))
        for name, first in (("unsent", ()), ("unjoined", ("submit",))):
            key = f"inbox/{name}.jsonl"
            self._drop(key, [row("one"), b"not json"])
            for queue in first:
                self._deliver(queue)
            for version in self._cloud.s3.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]:
                self._cloud.s3.delete_object(Bucket=BUCKET, Key=key, VersionId=version["VersionId"])
            self._until_quiet()

    def _waiting(self) -> None:
        """A recipe wakes the files of its team; a cancel ends one that it does not serve."""
        self._drop("inbox/team/a/rows.csv", [row("one")])
        self._drop("inbox/team/recipe.yaml", [b"prompt: no"])
        self._until_quiet()
        self._drop("inbox/other/a/rows.csv", [row("one")])
        self._drop("inbox/other/b/recipe.yaml", [b"prompt: no"])
        self._until_quiet()
        self._command("cancel", "other/a/rows.csv")

    def _tables(self) -> None:
        """From drop to results: with follow-ups, in several invocations, from a workbook, and what failed once more."""
        recipe = b"model: claude-haiku-4-5\nprompt: 'Label: {{ text }}'\noutput: {label: [good, bad]}\n"
        self._drop("inbox/tables/recipe.yaml", [recipe])
        table = [b"id,text", b"1,fine", b"2,", b"3,[[error:overloaded_error:1]]", b"4,[[error:overloaded_error]]"]
        self._drop("inbox/tables/some.csv", table)
        self._drop("inbox/tables/packed.csv.gz", table, compress=True)
        self._drop("inbox/tables/book.xlsx", [workbook(sheet_row(1, "id", "text"), sheet_row(2, 1, "fine"))])
        long = b"\n".join([b"id,text", *(b"%d,%b" % (i, b"w" * MIB) for i in range(8))])
        self._cloud.invoke("plan", self._cloud.upload("inbox/tables/long.csv", long), Hurried(9))
        self._until_quiet()
        (failed,) = (
            body for key, body in self._cloud.outputs().items() if re.fullmatch(r"outbox/tables/some/.+/failed\.csv", key)
        )
        for folder in ("tables", "tables/elsewhere"):  # in its own it completes the whole table
            self._drop(f"inbox/{folder}/failed.csv", [failed])
        self._command("retry", "tables/some.csv")

    def _written_after_the_end(self) -> None:
        """A late invocation writes into the folder of a job that has ended."""
        job_id = next(key.split("/")[-2] for key in self._cloud.outputs() if key.startswith("outbox/mixed/"))
        self._cloud.s3.put_object(Bucket=BUCKET, Key=f"work/{job_id}/late", Body=b"")

    def _commands_about_nothing(self) -> None:
        self._cloud.invoke("control", self._cloud.event("control-cancel"))
        self._command("approve", "mixed.jsonl")

    def _messages_that_fail(self) -> None:
        """Each is put off in its queue."""
        for queue in QUEUES:
            event = self._cloud.event("finish-job")
            event["Records"][0]["body"] = "no json"
            self._cloud.invoke(queue, event)

    # ---------------------------------------------------------------- what AWS, users and time do

    def _drop(self, key: str, lines: list[bytes], *, compress: bool = False) -> None:
        body = b"\n".join(lines)
        self._cloud.invoke("plan", self._cloud.upload(key, gzip.compress(body) if compress else body))

    def _hurry(self, key: str) -> None:
        """Time runs out, the rest is handed over, and the message is lost: poll sends it again."""
        self._cloud.invoke("plan", self._cloud.upload(key, rows(4_100)), Hurried(2))
        self._deliver("plan", lose=True)
        self._tick()

    def _begin_again(self) -> None:
        """The one upload in progress gets another of its key, as of an invocation that ran beside."""
        (begun,) = self._cloud.s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
        self._cloud.s3.create_multipart_upload(Bucket=BUCKET, Key=begun["Key"])

    def _files_that_ask_together(self) -> None:
        """The rows of one are tried; one answer lets the others go."""
        self._cloud.upload("inbox/dear/recipe.yaml", b'model: claude-haiku-4-5\nprompt: "{{ text }}"\n')
        for name in ("one", "two", "three"):
            self._drop(f"inbox/dear/{name}.csv", [b"text", *(b"row %d" % number for number in range(30))])
        for _ in range(3):
            self._until_quiet()
            statuses = [json.loads(text) for key, text in self._cloud.outputs().items() if key.endswith("/status.json")]
            questions = [status["question"] for status in statuses if status["question"]]
            for question in questions:
                if len(questions) == 1 or "together" in question:
                    self._cloud.invoke("control", self._cloud.command(question.get("together", question)["answer"]))

    def _command(self, name: str, file: str, context: Context | None = None, *, code: str = "") -> None:
        """About every job of a file of that name."""
        folder = f"outbox/{file.rsplit('.', 1)[0]}/"
        for job_id in {key.removeprefix(folder).split("/")[0] for key in self._cloud.outputs() if key.startswith(folder)}:
            self._cloud.invoke("control", self._cloud.command(f"control/{name}/{job_id}-{code}".rstrip("-")), context)

    def _tick(self) -> None:
        self._cloud.invoke("poll", self._cloud.event("poll-tick"))

    def _deliver(self, queue: str, *, times: int = 1000, lose: bool = False, context: Context | None = None) -> int:
        """What waits in a queue; what its function does not take is left to poll, as if it had been lost."""
        url = self._cloud.urls[queue]
        for number in range(times):
            messages = self._cloud.sqs.receive_message(QueueUrl=url).get("Messages", [])
            if not messages:
                return number
            self._cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])
            event = self._cloud.event("finish-job")
            event["Records"][0]["body"] = messages[0]["Body"]
            if not lose:
                self._cloud.invoke(queue, event, context)
        return times

    def _until(self, queue: str) -> None:
        """Everything moves on until a message waits in this queue."""
        url = self._cloud.urls[queue]
        for _ in range(20):
            for other in QUEUES:
                if other != queue:
                    self._deliver(other)
            attributes = self._cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            if attributes["Attributes"]["ApproximateNumberOfMessages"] != "0":
                return
            self._claude.advance(2)
            self._tick()
        raise AssertionError(f"nothing came to {queue}")

    def _until_quiet(self) -> None:
        for _ in range(12):
            moved = sum(self._deliver(queue) for queue in QUEUES)
            self._claude.advance(2)
            self._tick()
            if not moved and not self._open():
                return
        raise AssertionError(f"still open: {self._open()}")

    def _open(self) -> list[str]:
        latest = {key: json.loads(text) for key, text in self._cloud.outputs().items() if key.endswith("/status.json")}
        return [key for key, status in latest.items() if status["state"] in ("planning", "running", "finishing")]

    def _strangers_batch(self, number: int) -> str:
        """Its id."""
        params = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "not ours"}]}
        body = {"requests": [{"custom_id": f"theirs-{i}", "params": params} for i in range(number)]}
        return str(self._call("POST", "/v1/messages/batches", body)["id"])

    def _call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """By somebody else with a key of the workspace."""
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self._claude.base_url).netloc)
        headers = {"x-api-key": "test-key", "anthropic-version": "2023-06-01", "content-type": "application/json"}
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        content: dict[str, object] = json.loads(answer.read())
        connection.close()
        assert answer.status == http.HTTPStatus.OK
        return content


def _mixed() -> list[bytes]:
    """A good row, one that is never sent, one that works the second time, and one that never does."""
    return [row("good"), b"not json", row("again", "[[error:overloaded_error:1]]"), row("never", "[[error:api_error]]")]
