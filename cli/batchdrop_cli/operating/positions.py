"""Both places of a stack's switch, as an operator sees and sets them. `batchdrop.adapters.switch` says why there are two."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from batchdrop.adapters.aws import code_of
from batchdrop.adapters.items import switch_key
from batchdrop.ports import SwitchState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient

_DENIED = {"AccessDeniedException", "AccessDenied"}
_STRICTER = (SwitchState.run, SwitchState.pause, SwitchState.stop)


class Positions(NamedTuple):
    item: SwitchState
    parameter: SwitchState | None
    """None: the caller may not read it."""

    @property
    def counts(self) -> SwitchState:
        return self.item if self.parameter is None else stricter(self.item, self.parameter)


class Switch:
    """All methods raise ClientError and BotoCoreError."""

    def __init__(self, table_client: DynamoDBClient, table: str, ssm_client: SSMClient, parameter: str) -> None:
        self._table_client = table_client
        self._table = table
        self._ssm_client = ssm_client
        self._parameter = parameter

    def positions(self) -> Positions:
        return Positions(self._item(), self._given())

    def set(self, position: SwitchState) -> None:
        """A position that is less strict needs both places, and the item last: what the parameter has would come back into it.

        Who may not read the parameter sets the item alone: whoever stops spending is not kept from it.
        """
        given = self._given()
        if given is not None and stricter(given, position) is not position:
            self._ssm_client.put_parameter(Name=self._parameter, Value=SwitchState.run, Overwrite=True)
        self._table_client.put_item(TableName=self._table, Item={**switch_key(), "position": {"S": position}})

    def _item(self) -> SwitchState:
        found = self._table_client.get_item(TableName=self._table, Key=switch_key(), ConsistentRead=True).get("Item")
        return SwitchState.run if found is None else _understood(found.get("position", {}).get("S", ""))

    def _given(self) -> SwitchState | None:
        try:
            return _understood(self._ssm_client.get_parameter(Name=self._parameter)["Parameter"]["Value"])
        except ClientError as error:
            if code_of(error) in _DENIED:
                return None
            raise


def stricter(one: SwitchState, other: SwitchState) -> SwitchState:
    return max(one, other, key=_STRICTER.index)


def _understood(text: str) -> SwitchState:
    """What is no position counts as `pause`, as for the functions."""
    try:
        return SwitchState(text.strip().lower())
    except ValueError:
        return SwitchState.pause
