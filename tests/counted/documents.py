"""Plan and submit of a job whose rows name PDFs of 1 to 20 MB, in this process: `python -m tests.counted.documents FOLDER NUMBER`
prints as JSON, in bytes, the documents, the peak of its memory and the largest request body; how many batches there were, and how
often each file was read.

The files are on disk, and nothing keeps the bodies.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from batchdrop.domain.call_headers import CallHeaders
from batchdrop.domain.records import ApiCounts, BatchState, ObjectRef
from batchdrop.ports import DEFAULT_HEADERS, ApiBatch, ObjectInfo
from bench.process import peak_bytes
from tests.fakes.claude import FakeClaude
from tests.fakes.clock import ManualClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.named_files import pdf
from tests.stack import Stack

_SIZES = 20
_RECIPE = b'model: claude-haiku-5-5\ndocuments: ["{{ path }}"]\nprompt: What is the total?\nmax_tokens: 500\nthinking: off\n'


class Documents(FakeObjects):
    """The fake, but PDFs are on disk: number n has 1 + n modulo 20 MB."""

    def __init__(self, clock: ManualClock, folder: Path) -> None:
        super().__init__(clock)
        self._folder = folder
        self._now = clock.now()
        self.reads: Counter[str] = Counter()

    def head(self, key: str, version_id: str | None = None, *, bucket: str | None = None) -> ObjectInfo:
        if not key.endswith(".pdf"):
            return super().head(key, version_id, bucket=bucket)
        ref = ObjectRef(bucket=self.bucket, key=key, version_id="1", etag="1", size=self.size(key))
        return ObjectInfo(ref=ref, written_at=self._now)

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> BinaryIO:
        if not ref.key.endswith(".pdf"):
            return super().read(ref, start, end)
        self.reads[ref.key] += 1
        return self._file(ref.key).open("rb")

    def size(self, key: str) -> int:
        return self._file(key).stat().st_size

    def _file(self, key: str) -> Path:
        return self._folder / str(int(key.rpartition("/")[2].removesuffix(".pdf")) % _SIZES)


class Api(FakeClaude):
    """Takes every body without reading it."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.sizes_sent: list[int] = []

    def create(self, body: Path, headers: CallHeaders = DEFAULT_HEADERS, *, within: float = 600.0) -> ApiBatch:
        self.sizes_sent.append(body.stat().st_size)
        counts = ApiCounts(processing=1)
        return ApiBatch(id=f"msgbatch_{len(self.sizes_sent)}", status="in_progress", counts=counts, created_at=self._clock.now())


def main(folder: Path, number: int) -> None:
    for size in range(_SIZES):
        (folder / str(size)).write_bytes(pdf(1 + size, (1 + size) * 1_000_000 - 2_000))
    stack = Stack(
        max_requests=100_000,
        max_body_bytes=250_000_000,
        max_input_bytes=10**12,
        spool_bytes=10**12,
        timeout=900.0,
        parts=lambda clock, hooks: (Documents(clock, folder), FakeLedger(hooks)),
        api=lambda clock, _: Api(clock),
    )
    objects, api = stack.objects, stack.claude
    assert isinstance(objects, Documents)
    assert isinstance(api, Api)
    stack.drop("inbox/bills/recipe.yaml", _RECIPE)
    stack.drop("inbox/bills/bills.csv", b"path\n" + b"".join(b"%d.pdf\n" % one for one in range(number)))
    for _ in range(3):
        stack.pump()
    assert {batch.state for batch in stack.batches()} == {BatchState.in_progress}, stack.failures
    assert sum(batch.requests for batch in stack.batches()) == number
    assert [batch.body_bytes for batch in stack.batches()] == api.sizes_sent
    found = {
        "bytes": sum(objects.size(key) for key in objects.reads),
        "peak": peak_bytes(),
        "largest_body": max(api.sizes_sent),
        "batches": len(api.sizes_sent),
        "reads": sorted(set(objects.reads.values())),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
