"""Unit tests reach for nothing outside the process: a socket is an error."""

from __future__ import annotations

import socket

import pytest
from hypothesis import HealthCheck, settings

# Examples are bounded in number, never in time: a slow machine must not fail a test.
settings.register_profile("unit", deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a unit test opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
