"""One ended batch, through the queue, becomes pieces of the output."""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.domain.messages import CollectBatch, Queue
from batchdrop.handling import logger, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import CollectSettings
from batchdrop.stages.collect.ended_batch import Collect

logger()

_decode = msgspec.json.Decoder(CollectBatch).decode


@cache
def _parts() -> tuple[Deliver, Callable[[bytes], CollectBatch], Collect]:
    settings = CollectSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    return bootstrap.deliver(Queue.collect, ports), _decode, bootstrap.collect(settings, ports)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process(event, context, _parts)
