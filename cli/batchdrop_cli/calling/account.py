"""Whose API is called, and with which key: what the environment says, as for Anthropic's own SDK.

Without a key, but with the workspace of Claude Platform on AWS, keys are minted from the caller's AWS credentials.
"""

from __future__ import annotations

import http.client
import os
from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from batchdrop.adapters.claude import Key

NO_KEY = (
    "There is no API key. Put one into ANTHROPIC_API_KEY, or the workspace of Claude Platform on AWS into "
    "ANTHROPIC_AWS_WORKSPACE_ID."
)
_EMULATORS_KEY = "emulator"  # it takes any
_OFFICIAL = "https://api.anthropic.com"
_EMULATOR_SECONDS = 2.0


class OneKey:
    """The key of the person at the terminal; there is no newer one to read."""

    def __init__(self, key: str) -> None:
        self._key = key

    def get(self) -> str:
        return self._key

    refresh = get


class Access(NamedTuple):
    url: str
    key: Key
    workspace: str = ""
    """Of Claude Platform on AWS; empty: that of the key."""


def has_key() -> bool:
    return bool(_given_key() or _given_workspace())


def access(url: str, *, emulated: bool) -> Access | None:
    """None if there is no key."""
    if key := _given_key():
        return Access(url, OneKey(key))
    if workspace := _given_workspace():
        return minted_access(workspace, url)
    return Access(url, OneKey(_EMULATORS_KEY)) if emulated else None


def minted_access(workspace: str, url: str) -> Access:
    from batchdrop.adapters.clock import SystemClock  # noqa: PLC0415 - boto3, for few
    from batchdrop.adapters.minted import MintedKey  # noqa: PLC0415

    return Access(url, MintedKey(SystemClock()), workspace)


def base_url() -> str:
    if url := os.environ.get("ANTHROPIC_BASE_URL", "").strip():
        return url
    return platform_url() if _given_workspace() and not _given_key() else _OFFICIAL


def platform_url() -> str:
    """Of Claude Platform on AWS in the region of the AWS profile. Without a region no key can be minted either."""
    import boto3  # noqa: PLC0415 - for few

    return f"https://aws-external-anthropic.{boto3.Session().region_name}.api.aws"


def _given_key() -> str:
    return os.environ.get("ANTHROPIC_API_KEY", "").strip()


def _given_workspace() -> str:
    """Under the name that the SDK gives it."""
    return os.environ.get("ANTHROPIC_AWS_WORKSPACE_ID", "").strip()


def unsafe(url: str) -> str:
    """Why no key is sent there, as a sentence; empty if it may be."""
    parts = urlsplit(url)
    if parts.scheme != "http" or is_loopback(parts.hostname or ""):
        return ""
    return f"ANTHROPIC_BASE_URL is {url}, where everybody on the way can read the key. Use an address that begins with https://."


def is_emulator(url: str) -> bool:
    """Whether the emulator of this project answers there, on this machine: what is asked there costs nothing.

    A loopback address alone proves nothing: a proxy that listens there sends on what it gets, and that is paid.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        return False
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_EMULATOR_SECONDS)
    try:
        with closing(connection):
            connection.request("GET", "/_emulator/clock")
            answer = connection.getresponse()
            return answer.status == http.HTTPStatus.OK and b'"epoch"' in answer.read(1_000)
    except (OSError, http.client.HTTPException):
        return False


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
