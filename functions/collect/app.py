"""One ended batch, through the queue, becomes pieces of the output."""

from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.handling import logger, process
from batchdrop.settings import CollectSettings
from batchdrop.stages.collect.ended_batch import Collect

logger()


class _Message(msgspec.Struct, frozen=True):
    job_id: str
    batch: str


@cache
def _collect() -> Collect:
    return bootstrap.collect(CollectSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    def take(body: bytes) -> None:
        message = msgspec.json.decode(body, type=_Message)
        _collect().batch(message.job_id, message.batch)

    return process(event, context, take)
