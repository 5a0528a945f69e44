"""The schedule's tick."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from batchdrop import bootstrap
from batchdrop.handling import logger
from batchdrop.settings import PollSettings
from batchdrop.stages.poll.tick import Poll

logger()


@cache
def _poll() -> Poll:
    return bootstrap.poll(PollSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> None:  # noqa: ARG001 - Lambda's signature; a tick carries nothing
    _poll()()
