"""Peak memory of the whole table of a retry: `python -m bench.whole_table FOLDER ROWS` prints it, with the time it took.

All rows of a table are answered anew, in the worst of orders. Objects are files, so that nothing but the stage holds rows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, Self

from batchdrop.adapters.s3 import PART_BYTES
from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import Job, JobState, ObjectRef
from batchdrop.formats.named_row import NamedRow
from batchdrop.formats.result_line import answered_row_line
from batchdrop.jobs.commit import Commit
from batchdrop.ports import ObjectInfo
from batchdrop.recipes.form import AnswerForm, Form, Kind, Table, encode_form
from batchdrop.stages.finish.complete_table import Completed, CompleteTable
from batchdrop.stages.finish.merge_rows import MergeRows
from batchdrop.stages.finish.sort_rows import SortRows
from bench.process import peak_bytes
from tests.fakes.clock import ManualClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.fakes.small import FakeQueues

_FIRST, _SECOND = "20261122T003115Z-2y5hpcy5adeaers7", "20261122T003715Z-zchqsz573lrj3chg"
_TEXT = "This answer is filler. " * 40
_RESULT = json.dumps({"type": "succeeded", "message": {"content": [{"type": "text", "text": _TEXT}]}}).encode()
_RECIPE = ObjectRef(bucket="bucket", key="inbox/recipe.yaml")


class Files(FakeObjects):
    """The fake, but each object is a file."""

    def __init__(self, clock: ManualClock, folder: Path) -> None:
        super().__init__(clock)
        self._folder = folder
        self._at = clock.now()

    def path(self, key: str) -> Path:
        return self._folder / key.replace("/", "|")

    def head(self, key: str, version_id: str | None = None, *, bucket: str | None = None) -> ObjectInfo:  # noqa: ARG002 - one
        if not self.path(key).exists():
            raise ObjectGone(key)
        ref = ObjectRef(bucket=self.bucket, key=key, size=self.path(key).stat().st_size)
        return ObjectInfo(ref=ref, written_at=self._at)

    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> BinaryIO:  # noqa: ARG002 - to the end
        if not self.path(ref.key).exists():
            raise ObjectGone(ref.key)
        file = self.path(ref.key).open("rb", buffering=256 * 1024)
        file.seek(start)
        return file

    def get(self, key: str) -> bytes:
        with self.read(ObjectRef(bucket=self.bucket, key=key)) as file:
            return file.read()

    def put(self, key: str, body: bytes, *, content_type: str = "", once: bool = False, one_day: bool = False) -> bool:  # noqa: ARG002 - a file
        self.path(key).write_bytes(body)
        return True

    def writer(self, key: str, *, content_type: str = "", once: bool = False) -> Any:  # noqa: ANN401, ARG002 - a file
        return self.path(key).open("wb")

    def resume(self, key: str, **_: object) -> Any:  # noqa: ANN401 - a file
        return _Written(self.path(key))


class _Written:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._size = 0

    @property
    def stored(self) -> int:
        return self._size // PART_BYTES * PART_BYTES

    def write(self, data: bytes) -> None:
        self._size += self._file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _job(job_id: str, name: str, at: ManualClock, **fields: Any) -> Job:  # noqa: ANN401 - of a record
    ref = ObjectRef(bucket="bucket", key=f"inbox/{name}.csv")
    return Job(id=job_id, token=job_id[-16:], input=ref, recipe=_RECIPE, created_at=at.now(), updated_at=at.now(), **fields)


def _write_rows(path: Path, rows: int, *, named: bool) -> None:
    with path.open("wb") as file:
        for line in range(1, rows + 1):
            row = b'{"id":"%d","text":"%b"}' % (line, _TEXT[:200].encode())
            # The last row comes first, and each run has rows from all over the table.
            place = NamedRow(_FIRST, 1 + (rows - line) * 7919 % rows) if named else None
            file.write(answered_row_line(None, line, 1, row, b'{"answer":"so"}', b"0.001", _RESULT, place))


def complete(folder: Path, rows: int) -> dict[str, Any]:
    clock = ManualClock()
    objects, ledger = Files(clock, folder), FakeLedger()
    first = _job(_FIRST, "reviews", clock, state=JobState.done, lines=rows)
    second = _job(_SECOND, "failed", clock, state=JobState.finishing, completes=_FIRST)
    for job in (first, second):
        ledger.jobs[job.id] = job
        results = objects.path(keys.outbox_folder(job.input.key, job.id) + "results.jsonl")
        _write_rows(results, rows, named=job is second)
    form = Form(recipe_key=_RECIPE.key, table=Table(kind=Kind.csv, columns=("id", "text")), answer=AnswerForm())
    objects.put(keys.form(second.id), encode_form(form))
    commit = Commit(ledger=ledger, queues=FakeQueues(clock))
    sort, merge = SortRows(objects=objects), MergeRows(objects=objects)
    table = CompleteTable(objects=objects, ledger=ledger, commit=commit, sort_rows=sort, merge_rows=merge)
    before, began = peak_bytes(), time.process_time()
    made = table(second, lambda: True)
    assert isinstance(made, Completed)
    return {
        "rows": made.whole.rows,
        "bytes": made.files["complete.jsonl"].size,
        "peak": peak_bytes(),
        "before": before,
        "seconds": round(time.process_time() - began, 1),
    }


if __name__ == "__main__":
    print(json.dumps(complete(Path(sys.argv[1]), int(sys.argv[2]))))
