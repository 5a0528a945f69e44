"""The kill switch: one SSM parameter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from batchdrop.ports import Clock, SwitchState

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

TTL = 5.0
"""Seconds an answer is good for: short, because somebody who pulls the switch is waiting."""


class SsmSwitch:
    """Fails closed: whatever cannot be read or understood is `pause`."""

    def __init__(self, client: SSMClient, name: str, clock: Clock, *, ttl: float = TTL) -> None:
        self._client = client
        self._name = name
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
            text = self._client.get_parameter(Name=self._name)["Parameter"]["Value"]
            return SwitchState(text.strip().lower())
        except (BotoCoreError, ClientError, ValueError):
            return SwitchState.pause
