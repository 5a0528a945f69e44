"""One emulator for the whole run, with a clock that stands still; every test starts from a clean one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from local.claude.client import Control, start
from tests.claude.helpers import HEADERS, Api


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[Control, dict[str, Any]]]:
    with start("--clock", "manual") as control:
        yield control, control.settings()


@pytest.fixture
def control(running: tuple[Control, dict[str, Any]]) -> Control:
    control, usual = running
    control.reset()
    control.settings(**usual)
    return control


@pytest.fixture
def http(control: Control) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=control.base_url, headers=HEADERS, timeout=30, verify=False) as client:
        yield client


@pytest.fixture
def api(control: Control, http: httpx2.Client) -> Api:
    return Api(control, http)
