"""A job whose batches are all collected, through the queue, gets its output files."""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import FinishJob, Queue
from batchdrop.handling import logger, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import FinishSettings
from batchdrop.stages.finish.outputs import Finish

logger()

_decode = msgspec.json.Decoder(FinishJob).decode


@cache
def _parts() -> tuple[Deliver, Callable[[bytes], FinishJob], Finish]:
    settings = FinishSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    return bootstrap.deliver(Queue.finish, ports), _decode, bootstrap.finish(settings, ports)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process(event, context, _parts, LambdaDeadline(context))
