"""`latest.json`: which job of a file's name is the newest that has ended. Fields may be added, never renamed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from batchdrop.domain import ids, keys
from batchdrop.domain.record import Record
from batchdrop.domain.records import Job, JobState
from batchdrop.reports import sentences
from batchdrop.reports.status import pretty, stamp, usd_of_micro


class _Named(Record, frozen=True, kw_only=True):
    job_id: str
    state: JobState


_decode = msgspec.json.Decoder(_Named).decode


def latest(ended: Job) -> bytes:
    return pretty(
        {
            "job_id": ended.id,
            "state": ended.state,
            "message": sentences.state_of(ended),
            "folder": keys.outbox_folder(ended.input.key, ended.id),
            "dropped_at": stamp(ids.uploaded_at(ended.id)),
            "input": {"bucket": ended.input.bucket, "key": ended.input.key, "version_id": ended.input.version_id},
            **({"reference": ended.reference} if ended.reference else {}),
            "counts": ended.counts,
            "cost": {"usd": usd_of_micro(ended.spent)},
        }
    )


def is_newer(ended: Job, document: bytes, now: datetime) -> bool:
    """Whether a job takes the place of the one that is named, by the time at which its file was dropped.

    What cannot be read, or names a file of the future, is written anew: whoever may write answers may write anything there.
    One that a newer recipe has ended was dropped in the same second as the job that took its place, and so was, perhaps, a file
    of the same name.
    """
    try:
        named = _decode(document)
        rank = _rank(named.job_id, named.state)
        return ids.uploaded_at(named.job_id) > now or _rank(ended.id, ended.state) > rank
    except (ValueError, RecursionError):
        return True


def _rank(job_id: str, state: JobState) -> tuple[object, ...]:
    return ids.uploaded_at(job_id), state is not JobState.canceled, job_id
