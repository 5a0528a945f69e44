"""One admitted batch, through the queue, goes to the API."""

from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.adapters.clock import LambdaDeadline
from batchdrop.domain.messages import SubmitBatch
from batchdrop.handling import logger, process
from batchdrop.settings import SubmitSettings
from batchdrop.stages.submit.post import Submit

logger()


_decode = msgspec.json.Decoder(SubmitBatch).decode


@cache
def _submit() -> Submit:
    return bootstrap.submit(SubmitSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    deadline = LambdaDeadline(context)
    return process(event, context, lambda body: _submit()(_decode(body), deadline))
