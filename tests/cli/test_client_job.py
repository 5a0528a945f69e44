"""A job from Python, through its bucket alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from batchdrop.domain import ids, keys
from batchdrop.domain.records import JobState, ObjectRef
from batchdrop_cli.dropping.tried import why_lines
from batchdrop_client import Job, JobStatus, NotApproved, NotNamed, Stack, StackError, TimedOut, Unreachable
from batchdrop_client import job as job_module
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.ended_job import ended_job, names_in
from batchdrop_client.job_status import Input
from tests.cli.ended_jobs import BAD, in_s3, requests_job
from tests.cli.own_bucket import BUCKET
from tests.stack import Stack as Pipeline
from tests.stack import rows

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client


class Wall:
    """A clock that only sleeping moves; what happens meanwhile is told to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], object] = lambda: None
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


def job_in(s3: S3Client, pipeline: Pipeline) -> Job:
    in_s3(pipeline, s3, BUCKET)
    return Stack.from_environment().job(pipeline.job().id)


def running() -> Pipeline:
    pipeline = Pipeline()
    pipeline.drop("inbox/reviews.jsonl", rows(3))
    return pipeline


def asking() -> Pipeline:
    pipeline = Pipeline(ask_above="0")
    pipeline.drop("inbox/marketing/reviews.jsonl", rows(3))
    return pipeline


def commands(s3: S3Client) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix="control/").get("Contents", [])]


def test_a_status_is_typed(s3: S3Client) -> None:
    pipeline = requests_job()
    status = job_in(s3, pipeline).status()
    document = pipeline.document("status.json")
    assert (status.state, status.message) == (JobState.done, document["message"])
    assert status.cost.usd == Decimal(str(document["cost"]["usd"]))
    assert json.loads(status.document) == document
    assert status.has_ended
    assert not status.is_complete


def test_a_status_that_is_written_between_two_looks_is_read(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = running()
    shown = Stack.from_environment()
    dropped = Job(shown.bucket, keys.outbox_folder("inbox/reviews.jsonl", pipeline.job().id), dropped="inbox/reviews.jsonl")
    assert dropped.status().state is JobState.planning

    def listed(bucket: Bucket, folder: str) -> frozenset[str]:
        in_s3(pipeline, s3, BUCKET)
        return names_in(bucket, folder)

    monkeypatch.setattr(job_module, "names_in", listed)
    assert dropped.status().message == pipeline.document("status.json")["message"]


def test_waiting_ends_with_the_job_and_tells_each_change_once(s3: S3Client, wall: Wall) -> None:
    pipeline = running()
    job = job_in(s3, pipeline)
    before = job.status()

    def later() -> None:
        if wall.now >= 30:
            pipeline.run()
            in_s3(pipeline, s3, BUCKET)

    wall.meanwhile = later
    told: list[JobStatus] = []
    after = job.wait(on_change=told.append)
    assert after.is_complete
    assert [status.message for status in told] == [before.message, after.message]


def test_waiting_ends_with_a_question(s3: S3Client, wall: Wall) -> None:
    assert job_in(s3, asking()).wait().asks
    assert wall.now == 0


@pytest.mark.parametrize(
    ("needs", "waits"), [("recipe", True), ("approval", True), ("limit", True), ("price", False), ("place", False)]
)
def test_what_goes_on_by_itself_is_waited_for(needs: str, waits: bool) -> None:
    assert JobStatus("id", JobState.held, "Held.", Input("inbox/a.csv"), needs=needs).waits is waits


def test_waiting_ends_when_its_time_is_over(s3: S3Client, wall: Wall) -> None:
    job = job_in(s3, running())
    with pytest.raises(TimedOut) as late:
        job.wait(timeout=12)
    assert late.value.status.job_id == job.id
    assert wall.now == 15
    assert isinstance(late.value, TimeoutError)


def test_a_network_that_comes_back_is_waited_for(s3: S3Client, monkeypatch: pytest.MonkeyPatch, wall: Wall) -> None:
    job = job_in(s3, requests_job())

    def down(bucket: str) -> Any:
        if wall.now < 600:
            raise Unreachable("no network")
        return aws_said(bucket)

    monkeypatch.setattr("batchdrop_client.job.aws_said", down)
    assert job.wait().has_ended
    assert 600 <= wall.now < 610


def test_a_network_that_does_not_come_back_is_not(s3: S3Client, monkeypatch: pytest.MonkeyPatch, wall: Wall) -> None:
    job = job_in(s3, requests_job())

    def down(bucket: str) -> Any:
        raise Unreachable("no network")

    monkeypatch.setattr("batchdrop_client.job.aws_said", down)
    with pytest.raises(Unreachable, match="no network"):
        job.wait()
    assert 900 < wall.now < 1000


def test_without_a_network_nothing_is_known(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_in(s3, requests_job())

    def down(self: object, key: str) -> bytes:
        raise EndpointConnectionError(endpoint_url="https://s3")

    monkeypatch.setattr("batchdrop.adapters.s3.S3Objects.get", down)
    with pytest.raises(Unreachable, match="cannot be reached"):
        job.status()


def test_a_yes_up_to_an_amount(s3: S3Client) -> None:
    pipeline = asking()
    job = job_in(s3, pipeline)
    assert job.approve(up_to="2.50") == job.status().question.answer  # type: ignore[union-attr]
    assert commands(s3) == [f"control/approve/marketing/{job.id}-{pipeline.document('status.json')['question']['code']}"]


def test_a_yes_counts_what_was_paid_before(s3: S3Client) -> None:
    """Else a job that asks again and again would cost any amount."""
    pipeline = asking()
    job = job_in(s3, pipeline)
    document = pipeline.document("status.json")
    document["cost"] = {"usd": 2, "reserved_usd": 0.4}
    document["question"]["high_usd"] = 0.2
    s3.put_object(Bucket=BUCKET, Key=f"{job.folder}status.json", Body=json.dumps(document).encode())
    with pytest.raises(NotApproved, match=r"\$2\.6 in all"):
        job.approve(up_to=2.5)
    assert commands(s3) == []
    assert job.approve(up_to=2.6)


def test_waiting_goes_on_after_a_yes(s3: S3Client, wall: Wall) -> None:
    """Its status asks until the stack has heard."""
    pipeline = asking()
    job = job_in(s3, pipeline)
    asked = job.wait()
    assert asked.question is not None
    job.approve(code=asked.question.code)
    pipeline.command("approve", f"{job.id}-{asked.question.code}")
    pipeline.run()

    def later() -> None:
        if wall.now >= 20:
            in_s3(pipeline, s3, BUCKET)

    wall.meanwhile = later
    assert job.wait().is_complete
    assert wall.now == 20


def test_nothing_to_approve(s3: S3Client) -> None:
    with pytest.raises(NotApproved, match="nothing to approve"):
        job_in(s3, requests_job()).approve()


def test_a_job_is_stopped_and_an_ended_one_asked_again(s3: S3Client) -> None:
    assert job_in(s3, running()).cancel()
    ended = job_in(s3, requests_job())
    assert ended.cancel() is None
    assert ended.retry() == f"control/retry/marketing/{ended.id}"
    assert len(commands(s3)) == 2


def test_a_retry_is_a_job_that_can_be_waited_for(s3: S3Client, wall: Wall) -> None:
    pipeline = requests_job()
    job = job_in(s3, pipeline)
    job.retry()
    assert job.retried() is None, "not yet"

    def later() -> None:
        pipeline.command("retry", job.id)
        pipeline.run()
        in_s3(pipeline, s3, BUCKET)

    wall.meanwhile = later
    again = job.retried(timeout=60)
    assert again is not None
    assert (again.id, again.folder) == job_of_the_file(s3, "inbox/marketing/reviews.retry-of-" + job.id + ".jsonl")


def job_of_the_file(s3: S3Client, key: str) -> tuple[str, str]:
    seen = s3.head_object(Bucket=BUCKET, Key=key)
    ref = ObjectRef(bucket=BUCKET, key=key, version_id=seen.get("VersionId"), etag=seen["ETag"].strip('"'))
    job_id = ids.job_id(ref, seen["LastModified"])
    return job_id, f"outbox/marketing/{key.rsplit('/', 1)[1].removesuffix('.jsonl')}/{job_id}/"


def test_what_the_stack_does_not_ask_again_is_not_waited_for(s3: S3Client, wall: Wall) -> None:
    pipeline = requests_job(ends={2: BAD})
    job = job_in(s3, pipeline)

    def later() -> None:
        pipeline.command("retry", job.id)
        in_s3(pipeline, s3, BUCKET)

    wall.meanwhile = later
    assert job.retried(timeout=600) is None
    assert wall.now < 60


def test_a_job_that_is_not_there(s3: S3Client) -> None:
    with pytest.raises(NotNamed, match="There is no job aaaa"):
        Stack(BUCKET).job("aaaa")


def test_of_two_folders_with_one_id_none_is_taken_for_the_job(s3: S3Client) -> None:
    job = job_in(s3, asking())
    forged = f"outbox/aaa/a/{job.id}/"
    s3.put_object(Bucket=BUCKET, Key=f"{forged}status.json", Body=b"{}")
    for name in (job.id, job.id[-6:]):
        with pytest.raises(NotNamed, match=f"in several folders: {forged}, {job.folder}"):
            Stack(BUCKET).job(name)
    assert Stack(BUCKET, folder="marketing").job(job.id).folder == Stack(BUCKET).job(job.folder).folder == job.folder


def test_a_manifest_that_cannot_be_read(s3: S3Client, tmp_path: Path) -> None:
    job = job_in(s3, requests_job())
    s3.put_object(Bucket=BUCKET, Key=f"{job.folder}manifest.json", Body=b'{"x":' + b"[" * 100_000)
    with pytest.raises(StackError, match=f"The manifest of {job.id} cannot be read"):
        job.download(tmp_path)
    with pytest.raises(StackError, match=f"The manifest of {job.id} cannot be read"):
        ended_job(job._bucket, job.folder)


def test_a_bucket_that_is_not_there(s3: S3Client) -> None:
    with pytest.raises(StackError, match="There is no bucket other"):
        Stack("other").job("aaaa")


def test_no_bucket_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHDROP_BUCKET", raising=False)
    with pytest.raises(NotNamed, match="Which bucket"):
        Stack.from_environment()


def test_a_job_with_more_kinds_of_failures_than_are_told_apart_is_read_and_fetched(s3: S3Client, tmp_path: Path) -> None:
    """`(other)` was no end of a row, and so nothing of such a job could be fetched."""

    def end(kind: int) -> dict[str, object]:
        error = {"type": f"kind_{kind}_error", "message": f"Only of {kind}."}
        return {"type": "errored", "error": {"type": "error", "error": error}}

    job = job_in(s3, requests_job(14, {line: end(line) for line in range(1, 14)}))
    *told, others = job.failures()
    assert {(one.status, one.rows, one.message) for one in told} == {("errored", 1, f"Only of {kind}.") for kind in range(1, 11)}
    assert (others.status, others.rows, others.lines) == ("(other)", 3, (11, 12, 13))
    assert "Only of" not in others.message
    assert job.size() > 0
    assert {path.name for path in job.download(tmp_path)} >= {"results.jsonl", "failed.jsonl", "manifest.json"}
    assert "Only of 11" not in " ".join(why_lines(job.failures()))
