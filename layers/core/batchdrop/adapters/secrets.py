"""The API key. It is read here, kept in memory for a while, and named nowhere."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batchdrop.adapters.aws import throttling
from batchdrop.domain.errors import ConfigurationError
from batchdrop.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


# A function that stays warm uses a replaced key for at most this long. Reading it costs US$0.05 for 10,000 calls (AWS Secrets
# Manager, "Pricing"): 5 cents a month for each environment that is always warm.
KEY_LIFETIME = timedelta(minutes=5)


class SecretKey:
    """One secret whose text is the key."""

    def __init__(self, client: SecretsManagerClient, secret_id: str, clock: Clock) -> None:
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._key = ""
        self._expires_at: datetime | None = None

    def get(self) -> str:
        """The key, as it was minutes ago at most. Raises ConfigurationError when the secret holds no usable text, Throttled."""
        if self._expires_at is None or self._clock.now() >= self._expires_at:
            return self.refresh()
        return self._key

    def refresh(self) -> str:
        """Reads the secret again: its key may have been replaced. Raises as `get` does."""
        with throttling():
            text = self._client.get_secret_value(SecretId=self._secret_id).get("SecretString", "").strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigurationError("the secret with the API key must hold the key as plain text, and nothing else")
        self._key, self._expires_at = text, self._clock.now() + KEY_LIFETIME
        return text

    def __repr__(self) -> str:
        return f"SecretKey({self._secret_id!r})"
