"""The kill switch: an item of the table, and a parameter that it takes stricter positions from.

CloudFormation writes a parameter's value again whenever it updates that resource, its tags included (AWS, "Update behaviors of
stack resources"): by itself the parameter would go back from `stop` to `run` with a deployment.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from batchdrop.adapters.items import switch_key
from batchdrop.ports import Clock, SwitchState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef
    from mypy_boto3_ssm import SSMClient

TTL = 5.0
"""Seconds an answer is good for: short, because somebody who pulls the switch is waiting."""
_STRICTER = (SwitchState.run, SwitchState.pause, SwitchState.stop)


class StackSwitch:
    """Fails closed: whatever cannot be read, understood or stored is `pause`."""

    def __init__(
        self, table_client: DynamoDBClient, table: str, ssm_client: SSMClient, parameter: str, clock: Clock, *, ttl: float = TTL
    ) -> None:
        self._table_client = table_client
        self._table = table
        self._ssm_client = ssm_client
        self._parameter = parameter
        self._clock = clock
        self._ttl = timedelta(seconds=ttl)
        self._state = SwitchState.pause
        self._read_at: datetime | None = None

    def state(self) -> SwitchState:
        now = self._clock.now()
        if self._read_at is None or now - self._read_at >= self._ttl:
            self._state = self._read()
            self._read_at = now
        return self._state

    def _read(self) -> SwitchState:
        try:
            text = self._stored()
            stored = SwitchState.run if text is None else _position(text)
            given = _position(self._ssm_client.get_parameter(Name=self._parameter)["Parameter"]["Value"])
            strictest = max(stored, given, key=_STRICTER.index)
            if strictest is not stored:
                self._store(strictest, instead_of=text)
        except (BotoCoreError, ClientError, ValueError):
            return SwitchState.pause
        return strictest

    def _stored(self) -> str | None:
        """None until there is an item."""
        found = self._table_client.get_item(TableName=self._table, Key=switch_key(), ConsistentRead=True).get("Item")
        return found.get("position", {}).get("S", "") if found else None

    def _store(self, position: SwitchState, instead_of: str | None) -> None:
        """Raises ClientError if somebody has set the switch meanwhile: what they say counts."""
        item: dict[str, AttributeValueTypeDef] = {**switch_key(), "position": {"S": position}}
        names = {"#position": "position"}  # a reserved word
        if instead_of is None:
            self._table_client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(#position)",
                ExpressionAttributeNames=names,
            )
        else:
            self._table_client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="#position = :read",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":read": {"S": instead_of}},
            )


def _position(text: str) -> SwitchState:
    """Raises ValueError."""
    return SwitchState(text.strip().lower())
