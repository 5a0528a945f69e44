"""An upload, through the queue, becomes a job."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import Queue, ResumePlanning, Upload
from batchdrop.handling import Home, logger, plan_message, process
from batchdrop.jobs.deliver import Deliver
from batchdrop.settings import PlanSettings
from batchdrop.stages.plan.upload import Plan

logger()


@cache
def _parts() -> tuple[Deliver, Callable[[bytes], Upload | ResumePlanning], Plan]:
    settings = PlanSettings.from_env()
    ports = bootstrap.RealPorts(settings)
    read = partial(plan_message, home=Home(settings.bucket, settings.account))
    return bootstrap.deliver(Queue.plan, ports), read, bootstrap.plan(settings, ports)


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process(event, context, _parts, LambdaDeadline(context))
