"""Keys of Claude Platform on AWS: minted here from the credentials of the function's role, kept in memory, named nowhere."""

from __future__ import annotations

from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError

from batchdrop.adapters.claude import LONGEST_CREATE
from batchdrop.domain.errors import ConfigurationError
from batchdrop.ports import Clock

_USED_FOR = timedelta(minutes=5)
LIFETIME = LONGEST_CREATE + _USED_FOR
"""So that a key outlives every create that begins with it, and is soon of no use to whoever finds it. AWS ends it with the
credentials that it was minted from, if they end sooner (README of token-generator-for-aws-external-anthropic 1.0.0)."""


class MintedKey:
    """Signs a key of its own every five minutes. That takes no call: whether AWS accepts it shows when it is used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = ""
        self._minted_at: datetime | None = None

    def get(self) -> str:
        """A key that is good for a create from now. Raises ConfigurationError when the role has no credentials."""
        if self._minted_at is None or self._clock.now() >= self._minted_at + _USED_FOR:
            return self.refresh()
        return self._key

    def refresh(self) -> str:
        """Mints another one: the credentials of the last one may have ended. Raises as `get` does."""
        from token_generator_for_aws_external_anthropic import TokenGenerator  # noqa: PLC0415 - only stacks without a key need it

        try:
            key: str = TokenGenerator().get_token(expiry=LIFETIME)
        except (BotoCoreError, RuntimeError, ValueError) as error:
            # The library raises the last two without credentials, and without a region.
            said = f"no key can be minted without AWS credentials and a region ({type(error).__name__})"
            raise ConfigurationError(said) from error
        self._key, self._minted_at = key, self._clock.now()
        return key
