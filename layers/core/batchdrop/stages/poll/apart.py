"""Batches and jobs are dealt with one by one: what goes wrong with one of them stops no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from batchdrop.domain.errors import ApiError
from batchdrop.domain.records import Batch, Job

log = logging.getLogger(__name__)


@contextmanager
def apart(record: Batch | Job, troubles: list[Exception]) -> Iterator[None]:
    """Keeps an error for the end of the step, all but that of an API that does not answer: it would be the same for the next."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        where = {"job_id": record.id} if isinstance(record, Job) else {"job_id": record.job_id, "batch": record.name}
        log.exception("one record is left for the next tick", extra=where)
        troubles.append(error)
