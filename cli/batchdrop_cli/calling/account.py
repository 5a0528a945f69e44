"""Whose API is called, and with which key: what the environment says, as for Anthropic's own SDK."""

from __future__ import annotations

import http.client
import os
from contextlib import closing
from ipaddress import ip_address
from urllib.parse import urlsplit

NO_KEY = "There is no API key. Put one into ANTHROPIC_API_KEY."
EMULATORS_KEY = "emulator"
"""It takes any."""
_OFFICIAL = "https://api.anthropic.com"
_EMULATOR_SECONDS = 2.0


def api_key() -> str:
    """Empty if there is none."""
    return os.environ.get("ANTHROPIC_API_KEY", "").strip()


def base_url() -> str:
    return os.environ.get("ANTHROPIC_BASE_URL", "").strip() or _OFFICIAL


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
