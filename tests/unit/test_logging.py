"""What is logged: what the stack's parameter says, and nothing that a library writes of requests."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

_SAYS = """
import logging
from batchdrop.handling import logger
logger()
for name in ("batchdrop.stages.plan", "anthropic", "httpx"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)(f"{name} {level}")
"""


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
def test_the_parameter_decides_whatever_lambda_lets_pass(level: str) -> None:
    """Lambda's runtime sets the root logger, and the variable that Powertools prefers to ours."""
    environment = {"AWS_LAMBDA_LOG_LEVEL": "DEBUG", "LOG_LEVEL": level, "PYTHONPATH": ":".join(sys.path)}
    code = f"import logging; logging.basicConfig(level=logging.DEBUG)\n{_SAYS}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    for name in ("debug", "info", "warning", "error"):
        assert (f"batchdrop.stages.plan {name}" in said) is (getattr(logging, name.upper()) >= getattr(logging, level)), name
    for library in ("anthropic", "httpx"):
        assert f"{library} debug" not in said
        assert f"{library} info" not in said
        assert f"{library} warning" in said
