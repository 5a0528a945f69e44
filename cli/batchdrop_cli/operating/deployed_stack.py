"""A deployed stack by its name, as CloudFormation describes it to whoever runs the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from batchdrop_client.bucket import signed_in
from batchdrop_client.errors import StackError
from batchdrop_client.plain_text import plain

KEY_OUTPUT = "ApiKeySecret"
WORKSPACE_OUTPUT = "Workspace"
_OUTPUTS = ("Bucket", "Table")


class DeployedStack(NamedTuple):
    name: str
    state: str
    """As CloudFormation has it: `UPDATE_COMPLETE`."""
    outputs: Mapping[str, str]

    def output(self, name: str) -> str:
        """Raises StackError."""
        found = self.outputs.get(name)
        if found is None:
            raise StackError(f"The stack {plain(self.name)} has no output {name}: it is of an earlier version. Deploy this one.")
        return found


@contextmanager
def aws_said(stack: str) -> Iterator[None]:
    """What AWS has against a call, as a sentence. Raises StackError."""
    try:
        with signed_in():
            yield
    except ClientError as error:
        said = plain(error.response.get("Error", {}).get("Message", str(error)))
        raise StackError(f"AWS did not carry out {error.operation_name} for the stack {plain(stack)}: {said}") from error
    except BotoCoreError as error:
        raise StackError(f"The stack {plain(stack)} cannot be reached: {plain(str(error))}") from error


def deployed_stack(name: str) -> DeployedStack:
    """Raises StackError."""
    with aws_said(name):
        cloudformation = boto3.client("cloudformation")
        try:
            found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            region = cloudformation.meta.region_name
            raise StackError(
                f"There is no stack {plain(name)} in {region}. Check --stack, AWS_DEFAULT_REGION and AWS_PROFILE."
            ) from error
    outputs = {
        one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", []) if "OutputKey" in one and "OutputValue" in one
    }
    missing = [output for output in _OUTPUTS if output not in outputs]
    if not missing and not {KEY_OUTPUT, WORKSPACE_OUTPUT} & set(outputs):
        missing = [KEY_OUTPUT]
    if missing:
        raise StackError(f"The stack {plain(name)} has no output {missing[0]}, so it is not a Batchdrop stack. Check --stack.")
    return DeployedStack(name, found.get("StackStatus", ""), outputs)
