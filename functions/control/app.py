"""A command, dropped under `control/` and brought by the queue, is carried out."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import Queue
from batchdrop.domain.redelivery import Delivery
from batchdrop.handling import Home, control_message, logger, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import ControlSettings
from batchdrop.stages.control.commands import Control

logger()


@cache
def _parts() -> tuple[Deliver, Control, Home]:
    settings = ControlSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    home = Home(settings.bucket, settings.account)
    return bootstrap.deliver(Queue.control, ports), bootstrap.control(settings, ports), home


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)

    def take(delivery: Delivery, body: bytes) -> None:
        deliver, control, home = _parts()
        deliver(delivery, lambda: control_message(body, home), lambda message: control(message, deadline))

    return process(event, context, take)
