"""What a cold start loads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from batchdrop import settings
from bench import deployed
from local.paths import ROOT
from local.stages import STAGES

# Installed beside tests, botocore also loads pyOpenSSL; a deployed function has some 60 modules less.
MOST_MODULES = 650
_ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}",
    **{name: "name" for stage in STAGES for name in getattr(settings, f"{stage.capitalize()}Settings").__struct_encode_fields__},
}


def started(function: str) -> Any:
    """What `bench.coldstart` says of a function's first moments."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.coldstart", function],
        env=_ENVIRONMENT | deployed.limits(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", STAGES)
def test_a_function_starts_without_the_sdk_and_with_few_modules(function: str) -> None:
    found = started(function)
    assert found["sdk"] == []
    assert found["modules"] <= MOST_MODULES


def test_the_sdk_would_be_seen() -> None:
    assert started("sdk")["sdk"] == ["anthropic", "httpx2", "pydantic"]
