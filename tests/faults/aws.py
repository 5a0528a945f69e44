"""`python -m tests.faults.aws`: the matrix again, over the real adapters. The points are botocore's own calls, with moto behind.

So operations of several calls are covered between any two of them: multipart uploads, copies, transactions.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast
from unittest.mock import patch

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from moto import mock_aws

from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.items import record_of
from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.errors import BatchdropError
from batchdrop.domain.records import Batch, Job, ObjectRef
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.fakes.clock import ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.faults.scenarios import fated
from tests.resources import make_bucket, make_table
from tests.stack import BUCKET, Killed, Stack, row

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

REGION: Final = "eu-central-1"
TABLE = "table"
# S3's own limits are 5 MiB; here a part is a few rows, so that small files go in many parts.
PART_BYTES = 256
_SESSION = boto3.session.Session("testing", "testing", region_name=REGION)
_QUICK = Config(retries={"mode": "standard", "total_max_attempts": 1})
_READS = frozenset({"GetItem", "Query", "GetObject", "HeadObject"})
_STRIDE = 6
_SHOWN = 20


class _Objects(S3Objects):
    """The adapter, and what a test wants to see besides."""

    def __init__(self, client: S3Client) -> None:
        super().__init__(client, BUCKET, part_bytes=PART_BYTES, sleep=lambda seconds: None)
        self._s3 = client

    def drop(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> ObjectRef:
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata or {})
        return self.head(key).ref

    def keys(self, prefix: str = "") -> list[str]:
        return [found["Key"] for found in self._s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def body(self, key: str) -> bytes:
        return self.get(key)

    @property
    def uploads(self) -> list[str]:
        return [upload["Key"] for upload in self._s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def count_versions(self, key: str) -> int:
        return len(self._s3.list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions", []))


class _InLine:
    """An executor without threads: the calls come in the same order in every run, and belong to their invocation."""

    def __init__(self, workers: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *trouble: object) -> None:
        pass

    def map[T, R](self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return map(work, items)


class _Ledger(DynamoLedger):
    """The adapter, and the whole table as dictionaries."""

    def __init__(self, client: DynamoDBClient, clock: ManualClock) -> None:
        super().__init__(client, TABLE, clock)
        self._dynamodb = client

    @property
    def jobs(self) -> dict[str, Job]:
        found = [record_of(item, Job) for item in self._items() if "token" in item]
        return {job.id: job for job in found}

    @property
    def stored(self) -> dict[tuple[str, str], Batch]:
        found = [record_of(item, Batch) for item in self._items() if "span" in item]
        return {(batch.job_id, batch.name): batch for batch in found}

    def _items(self) -> list[dict[str, Any]]:
        return self._dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]


type Act = Callable[[Stack], None]


class Fault(NamedTuple):
    name: str
    act: Act
    after: bool


def _kill(stack: Stack) -> None:
    raise Killed


def _hang(stack: Stack) -> None:
    stack.clock.advance(stack.timeout)
    raise Killed


def _never_there(stack: Stack) -> None:
    raise EndpointConnectionError(endpoint_url="here")


def _answer_lost(stack: Stack) -> None:
    raise ConnectionClosedError(endpoint_url="here")


def _answering(code: str, status: int) -> Act:
    def act(stack: Stack) -> None:
        answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "Call")

    return act


FAULTS = (
    Fault("killed before", _kill, after=False),
    Fault("killed after", _kill, after=True),
    Fault("hangs, done", _hang, after=True),
    Fault("never arrived", _never_there, after=False),
    Fault("answer lost", _answer_lost, after=True),
    Fault("slow down", _answering("SlowDown", 503), after=False),
    Fault("throttled", _answering("ThrottlingException", 400), after=False),
    Fault("500, and yet done", _answering("InternalError", 500), after=True),
)


class Wire:
    """Sees every call of the clients; does the harm at one of them. Its own looking does not count."""

    def __init__(self, call: int, fault: Fault | None) -> None:
        self.calls: list[str] = []
        self.stack: Stack | None = None
        self._call = call
        self._fault = fault
        self._dead: int | None = None

    def watch(self, client: Any) -> None:
        client.meta.events.register("before-call.*.*", self._before)
        client.meta.events.register("after-call.*.*", self._after)

    def _before(self, model: Any, **_: Any) -> None:
        if self.stack is None or self.stack.invocation is None:
            return
        if self._dead == self.stack.invocations:
            raise Killed
        self.calls.append(model.name)
        self._maybe(after=False)

    def _after(self, model: Any, **_: Any) -> None:
        if self.stack is not None and self.stack.invocation is not None and self._dead is None:
            self._maybe(after=True)

    def _maybe(self, *, after: bool) -> None:
        if self._fault is None or self._fault.after is not after or len(self.calls) - 1 != self._call or self.stack is None:
            return
        fault, self._fault = self._fault, None
        try:
            fault.act(self.stack)
        except Killed:
            self._dead = self.stack.invocations
            raise


@contextmanager
def world(wire: Wire) -> Iterator[Stack]:
    """A stack whose bucket and table are AWS's, as moto plays it."""
    with (
        mock_aws(),
        patch("moto.settings.S3_UPLOAD_PART_MIN_SIZE", 1, create=True),
        patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1, create=True),
        patch("batchdrop.adapters.s3.ThreadPoolExecutor", _InLine),
        patch("batchdrop.adapters.s3.MIN_PART_BYTES", PART_BYTES),
        patch("batchdrop.adapters.part_plan.MIN_PART_BYTES", PART_BYTES),
        patch("batchdrop.stages.finish.outputs._THROUGH_BYTES", 600),
    ):
        s3, dynamodb = _SESSION.client("s3", config=_QUICK), _SESSION.client("dynamodb", config=_QUICK)
        make_bucket(s3, BUCKET, REGION)
        make_table(dynamodb, TABLE)

        def parts(clock: ManualClock, hooks: Hooks) -> tuple[FakeObjects, FakeLedger]:
            return cast("FakeObjects", _Objects(s3)), cast("FakeLedger", _Ledger(dynamodb, clock))

        stack = Stack(max_requests=3, parts=parts)
        stack.claude.answer = fated(partial(attempt_of, stack))
        wire.stack = stack
        for client in (s3, dynamodb):
            wire.watch(client)
        yield stack
        s3.close()
        dynamodb.close()


def attempt_of(stack: Stack, custom_id: str) -> int:
    """By what was sent, not by the table: a look into it would be one more call that leaves the process."""
    line = custom_id.rpartition("-")[2]
    return [sent for sent in stack.claude.custom_ids() if sent.endswith(f"-{line}")].index(custom_id) + 1


def play(stack: Stack) -> None:
    lines = [row(f"row {number}", f"prompt {number}") for number in range(1, 6)]
    lines[3] = b"not json"
    stack.drop("inbox/team/small.jsonl", b"\n".join(lines))
    stack.run()


def points() -> list[str]:
    wire = Wire(-1, None)
    with world(wire) as stack:
        play(stack)
    return wire.calls


def outputs(stack: Stack) -> list[bytes]:
    return [stack.output(name) for name in ("results.jsonl", "failed.jsonl")]


def expected() -> list[bytes]:
    with world(Wire(-1, None)) as stack:
        play(stack)
        return outputs(stack)


def judge(call: int, fault: Fault, wanted: list[bytes]) -> list[str]:
    """Runs it; what is wrong with its outcome, in sentences."""
    with world(Wire(call, fault)) as stack:
        play(stack)
        stuck = [f"the job is still {job.state}" for job in stack.jobs() if job.state not in TERMINAL_JOB_STATES]
        odd = [f"{who} failed with {error!r}" for who, error in stack.failures if not isinstance(error, (BatchdropError, Killed))]
        if not stack.jobs() or stuck:
            return [*stuck, *odd, "no job has ended"]
        found = [f"{finding.kind}: {finding.sentence}" for finding in stack.audit()]
        different = ["the outputs differ from those of a run without a fault"] if outputs(stack) != wanted else []
        left = [f"an upload of {key} is left behind" for key in stack.objects.uploads]
        return [*found, *odd, *different, *left]


def choose(calls: list[str], stride: int) -> Iterator[tuple[int, Fault]]:
    """Every so-many-th run over the writes, and a tenth as many over the reads, which change nothing."""
    of = [(call, fault) for call in range(len(calls)) for fault in FAULTS]
    yield from islice((run for run in of if calls[run[0]] not in _READS), 0, None, stride)
    yield from islice((run for run in of if calls[run[0]] in _READS), 0, None, stride if stride == 1 else 10 * stride)


def main(stride: int) -> int:
    """`stride`: 1 for every fault at every call, which takes the better part of an hour."""
    logging.disable(logging.CRITICAL)
    calls, wanted = points(), expected()
    print(f"over the real adapters: {len(calls)} calls leave the process, of {len(set(calls))} kinds")
    chosen = list(choose(calls, stride))
    broken = 0
    for call, fault in chosen:
        wrong = judge(call, fault, wanted)
        broken += bool(wrong)
        if wrong and broken <= _SHOWN:
            print(f"BROKEN call {call} {calls[call]}: {fault.name}: {'; '.join(wrong[:3])}")
    print(f"{len(chosen)} runs: {len(chosen) - broken} kept every promise, {broken} did not")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(1 if "--all" in sys.argv[1:] else _STRIDE))
