"""A job whose batches are all collected, through the queue, gets its output files."""

from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import FinishJob
from batchdrop.handling import logger, process
from batchdrop.settings import FinishSettings
from batchdrop.stages.finish.outputs import Finish

logger()


_decode = msgspec.json.Decoder(FinishJob).decode


@cache
def _finish() -> Finish:
    return bootstrap.finish(FinishSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)
    return process(event, context, lambda body: _finish()(_decode(body), deadline))
