"""A command, dropped under `control/` and brought by the queue, is carried out."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import Dropped, Queue, RetryJob
from batchdrop.handling import Home, control_message, logger, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import ControlSettings
from batchdrop.stages.control.commands import Control

logger()


@cache
def _parts() -> tuple[Deliver, Callable[[bytes], Dropped | RetryJob], Control]:
    settings = ControlSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    read = partial(control_message, home=Home(settings.bucket, settings.account))
    return bootstrap.deliver(Queue.control, ports), read, bootstrap.control(settings, ports)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process(event, context, _parts, LambdaDeadline(context))
