"""An upload, through the queue, becomes a job."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import Queue
from batchdrop.domain.redelivery import Delivery
from batchdrop.handling import Home, logger, plan_message, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import PlanSettings
from batchdrop.stages.plan.upload import Plan

logger()


@cache
def _parts() -> tuple[Deliver, Plan, Home]:
    settings = PlanSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    home = Home(settings.bucket, settings.account)
    return bootstrap.deliver(Queue.plan, ports), bootstrap.plan(settings, ports), home


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)

    def take(delivery: Delivery, body: bytes) -> None:
        deliver, plan, home = _parts()
        deliver(delivery, lambda: plan_message(body, home), lambda message: plan(message, deadline))

    return process(event, context, take)
