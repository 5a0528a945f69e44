"""Plan, submit and collect of one generated file in this process: `python -m tests.counted.streamed FOLDER ROWS` prints its peak
memory in bytes. In place of ROWS `crowded` is a file of the lines that would take most memory if they were decoded.

Objects are files, and answers are made while they are read, so that nothing but the stages can hold on to rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, repeat
from pathlib import Path
from typing import BinaryIO

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.ids import prefixes_of
from batchdrop.domain.messages import CollectBatch, Queue, Upload
from batchdrop.domain.records import ApiCounts, Batch, BatchState, ObjectRef
from batchdrop.formats.lines import MAX_LINE_BYTES
from batchdrop.ports import DEFAULT_HEADERS, ApiBatch, ApiPage, ObjectInfo
from bench import files
from bench.process import peak_bytes
from tests.fakes.claude import FakeClaude
from tests.fakes.clock import ManualClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects, FakeWriter
from tests.stack import Stack

_LEAST_ROW_BYTES = 900
KEY = "inbox/rows.jsonl"
_TEXT = b"This answer is filler. " * 40
_GOOD = b'"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"x"}]'
_ANSWER = (
    b'{"custom_id":"%s-%d","result":{"type":"succeeded","message":{"model":"claude-haiku-4-5","content":[{"type":"text","text":"'
    + _TEXT
    + b'"}],"usage":{"input_tokens":10,"output_tokens":5}}}}\n'
)


class Files(FakeObjects):
    """The fake, but the input is a file on disk, and parts of the output are counted and forgotten."""

    def __init__(self, clock: ManualClock, file: Path) -> None:
        super().__init__(clock)
        self._file = file
        self._now = clock.now()
        self.ref = ObjectRef(bucket=self.bucket, key=KEY, version_id="1", etag="1", size=file.stat().st_size)
        self.streamed = 0

    def head(self, key: str, version_id: str | None = None, *, bucket: str | None = None) -> ObjectInfo:
        if key != KEY:
            raise ObjectGone(key)
        return ObjectInfo(ref=self.ref, written_at=self._now)

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> BinaryIO:
        if ref.key != KEY:
            return super().read(ref, start, end)
        file = self._file.open("rb")
        file.seek(start)
        return file

    def writer(self, key: str, *, content_type: str = "application/jsonl", once: bool = False) -> FakeWriter:
        kind = FakeWriter if "/invalid-" in key else _Sink
        return kind(self, key, content_type, once=once)


class _Sink(FakeWriter):
    def write(self, data: bytes | memoryview) -> None:
        assert isinstance(self._objects, Files)
        self._objects.streamed += len(data)


class Api(FakeClaude):
    """Takes every body without reading it and answers each row, last one first."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.batch: Batch | None = None
        self.received = 0
        self.invalid_lines = 0
        """At the start of the file; they are not sent."""

    def create(self, body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        self.received = body.stat().st_size
        return self._shown("in_progress")

    @contextmanager
    def results(self, api_id: str) -> Iterator[Iterator[bytes]]:
        assert self.batch is not None
        lines = range(self.batch.last_line, self.batch.first_line + self.invalid_lines - 1, -1)
        (prefix,) = prefixes_of(self.batch)
        yield (_ANSWER % (prefix.encode(), line) for line in lines)

    def page(self, after: str | None = None) -> ApiPage:
        return ApiPage(batches=(self._shown("ended"),), next=None, key="key")

    def _shown(self, status: str) -> ApiBatch:
        assert self.batch is not None
        counts = ApiCounts(succeeded=self.batch.requests)
        return ApiBatch(id="msgbatch_1", status=status, counts=counts, created_at=self._clock.now())


def write_crowded(path: Path) -> int:
    """Lines just below the longest that is read, and a good row. Returns how many lines come before that."""
    frames = [
        # The first line shows that this is a file of requests.
        (b'{"params":{', _GOOD + b"}}", _members),
        (b"{", b'"params":{' + _GOOD + b"}}", _members),
        (b'{"params":{', _GOOD + b"}}", _repeated),
        (b'{"params":{"model":"m","max_tokens":5,"messages":[', b"{}]}}", _messages),
    ]
    with path.open("wb") as file:
        for start, end, filling in frames:
            file.write(start)
            size = len(start) + len(end)
            for piece in filling():
                if (size := size + len(piece)) > MAX_LINE_BYTES:
                    break
                file.write(piece)
            file.write(end + b"\n")
        file.write(b'{"params":{' + _GOOD + b"}}\n")
    return len(frames)


def _members() -> Iterator[bytes]:
    return (b'"%x":0,' % number for number in count())


def _repeated() -> Iterator[bytes]:
    return repeat(b'"":0,')


def _messages() -> Iterator[bytes]:
    return repeat(b"{},")


def run(file: Path, invalid_lines: int = 0) -> tuple[int, int]:
    """Bytes of the request body and of the results."""
    stack = Stack(
        max_requests=100_000,
        max_body_bytes=250_000_000,
        queue_limit=10**6,
        max_input_bytes=10**12,
        spool_bytes=10**12,
        max_attempts=1,
        timeout=900.0,
        parts=lambda clock, hooks: (Files(clock, file), FakeLedger(hooks)),
        api=lambda clock, _: Api(clock),
    )
    objects, api = stack.objects, stack.claude
    assert isinstance(objects, Files)
    assert isinstance(api, Api)
    api.invalid_lines = invalid_lines
    ref = objects.ref
    stack.deliver(Upload(key=KEY, version_id="1", etag="1", size=ref.size, at=stack.clock.now()))
    (api.batch,) = stack.batches()
    stack.pump()
    (api.batch,) = stack.batches()
    stack.poll()
    (message,) = stack.queues.messages(Queue.collect)
    assert isinstance(message, CollectBatch)
    stack.collect(message)
    (batch,) = stack.batches()
    assert batch.state is BatchState.collected, stack.failures
    return api.received, objects.streamed


def main(folder: Path, rows: str) -> None:
    file = folder / "rows.jsonl"
    if rows == "crowded":
        run(file, write_crowded(file))
    else:
        received, streamed = run(files.write_rows(file, int(rows)))
        # The body and the results have every row, or nothing was streamed.
        assert received > int(rows) * _LEAST_ROW_BYTES
        assert streamed > int(rows) * len(_TEXT)
    print(peak_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
