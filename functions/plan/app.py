"""An upload, through the queue, becomes a job."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import Queue
from batchdrop.handling import logger, plan_message, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import PlanSettings
from batchdrop.stages.plan.upload import Plan

logger()


@cache
def _parts() -> tuple[Deliver, Plan]:
    settings = PlanSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    return bootstrap.deliver(Queue.plan, ports), bootstrap.plan(settings, ports)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process(event, context, _parts, plan_message, LambdaDeadline(context))
