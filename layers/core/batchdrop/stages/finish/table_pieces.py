"""What `results.csv` and `failed.csv` are put together of: a header, and a piece from the last attempt of each range."""

from __future__ import annotations

import logging

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import Batch, Job, Part
from batchdrop.formats.checksums import Crc64
from batchdrop.ports import Objects

log = logging.getLogger(__name__)


class TablePieces(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects

    def __call__(self, job: Job, last: list[Batch]) -> dict[str, list[Part]]:
        """By the name of the file. There is no table rather than one that lacks rows.

        That happens if somebody deletes objects under `work/`; `results.jsonl` and `failed.jsonl` have the rows all the same.
        """
        rows = [one.table for one in last if one.table]
        failed = [one.failed_table for one in last if one.failed_table]
        if len(rows) < sum(bool(one.results or one.failed) for one in last):
            log.error("a job with a recipe ends without tables: pieces are gone", extra={"job_id": job.id})
            return {}
        try:
            pieces = {"results.csv": [self._header(job, "results.csv"), *rows]}
            if failed:
                pieces["failed.csv"] = [self._header(job, "failed.csv"), *failed]
        except ObjectGone:
            log.exception("a job with a recipe ends without tables: their header is gone", extra={"job_id": job.id})
            return {}
        return pieces

    def _header(self, job: Job, name: str) -> Part:
        key = keys.table_header(job.id, name)
        line = self.objects.get(key)
        crc = Crc64()
        crc.update(line)
        return Part(key=key, lines=0, size=len(line), crc64nvme=crc.hex())
