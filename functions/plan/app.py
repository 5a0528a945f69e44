"""An upload, through the queue, becomes a job."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.handling import logger, plan_message, process
from batchdrop.settings import PlanSettings
from batchdrop.stages.plan.upload import Plan

logger()


@cache
def _plan() -> Plan:
    return bootstrap.plan(PlanSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)
    return process(event, context, lambda body: _plan()(plan_message(body), deadline))
