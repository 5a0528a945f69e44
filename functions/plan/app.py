"""An upload, through the queue, becomes a job."""

from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.handling import ObjectCreated, logger, process
from batchdrop.settings import PlanSettings
from batchdrop.stages.plan.upload import Plan, Upload

logger()


class _Message(msgspec.Struct, frozen=True):
    """Either an S3 event, or the rest of a long file, handed over by an earlier invocation."""

    job_id: str | None = None


@cache
def _plan() -> Plan:
    return bootstrap.plan(PlanSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)

    def take(body: bytes) -> None:
        job_id = msgspec.json.decode(body, type=_Message).job_id
        if job_id is not None:
            _plan().resumed(job_id, deadline)
        else:
            _plan().dropped(_upload(body), deadline)

    return process(event, context, take)


def _upload(body: bytes) -> Upload:
    created = msgspec.json.decode(body, type=ObjectCreated)
    item = created.detail.object
    return Upload(
        key=item.key, version_id=item.version_id, etag=item.etag, size=item.size, at=datetime.fromisoformat(created.time)
    )
