"""The layers against Lambda's limit, and what is left in them against what the functions call."""

from __future__ import annotations

import re
import runpy

from bench import layer
from bench.targets import LARGEST_LAYERS
from local.paths import ROOT


def test_layers_are_far_below_what_a_function_may_have() -> None:
    """Without the work of building them: nothing is pruned here, and what is compiled is taken to be as large as its source."""
    size = layer.installed_bytes()
    assert LARGEST_LAYERS / 10 < size < LARGEST_LAYERS / 1.5


def test_every_service_that_a_function_calls_is_left() -> None:
    code = (ROOT / "layers" / "core" / "batchdrop").rglob("*.py")
    called = {service for path in code for service in re.findall(r"boto3\.client\(\s*\"([\w-]+)\"", path.read_text())}
    assert len(called) > 5
    assert called <= runpy.run_path(str(ROOT / "layers" / "dependencies" / "prune.py"))["SERVICES"]
