"""One admitted batch, through the queue, goes to the API."""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import Queue, SubmitBatch
from batchdrop.handling import logger, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import SubmitSettings
from batchdrop.stages.submit.post import Submit

logger()

_decode = msgspec.json.Decoder(SubmitBatch).decode


@cache
def _parts() -> tuple[Deliver, Callable[[bytes], SubmitBatch], Submit]:
    settings = SubmitSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    return bootstrap.deliver(Queue.submit, ports), _decode, bootstrap.submit(settings, ports)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process(event, context, _parts, LambdaDeadline(context))
