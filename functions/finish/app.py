"""A job whose batches are all collected, through the queue, gets its output files."""

from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.handling import logger, process
from batchdrop.settings import FinishSettings
from batchdrop.stages.finish.outputs import Finish

logger()


class _Message(msgspec.Struct, frozen=True):
    job_id: str


@cache
def _finish() -> Finish:
    return bootstrap.finish(FinishSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    def take(body: bytes) -> None:
        _finish().job(msgspec.json.decode(body, type=_Message).job_id)

    return process(event, context, take)
