"""A command, dropped under `control/` and brought by the queue, is carried out."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.handling import control_message, logger, process
from batchdrop.settings import ControlSettings
from batchdrop.stages.control.commands import Control

logger()


@cache
def _control() -> Control:
    return bootstrap.control(ControlSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)
    return process(event, context, lambda body: _control()(control_message(body), deadline))
