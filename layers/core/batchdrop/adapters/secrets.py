"""The API key. It is read here, kept in memory, and named nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchdrop.adapters.aws import throttling
from batchdrop.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretKey:
    """One secret whose text is the key."""

    def __init__(self, client: SecretsManagerClient, secret_id: str) -> None:
        self._client = client
        self._secret_id = secret_id
        self._key: str | None = None

    def get(self) -> str:
        """The key as last read. Raises ConfigurationError when the secret holds no usable text, Throttled."""
        return self._key if self._key is not None else self.refresh()

    def refresh(self) -> str:
        """Reads the secret again: its key may have been replaced. Raises as `get` does."""
        with throttling():
            text = self._client.get_secret_value(SecretId=self._secret_id).get("SecretString", "").strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigurationError("the secret with the API key must hold the key as plain text, and nothing else")
        self._key = text
        return text

    def __repr__(self) -> str:
        return f"SecretKey({self._secret_id!r})"
