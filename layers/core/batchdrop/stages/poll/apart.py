"""Batches are dealt with one by one: what goes wrong with one of them stops no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from batchdrop.domain.errors import ApiError
from batchdrop.domain.records import Batch

log = logging.getLogger(__name__)


@contextmanager
def apart(batch: Batch, troubles: list[Exception]) -> Iterator[None]:
    """Keeps an error for the end of the step, all but that of an API that does not answer: it would be the same for the next."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        log.exception("one batch is left for the next tick", extra={"job_id": batch.job_id, "batch": batch.name})
        troubles.append(error)
