"""The layers against Lambda's limit."""

from __future__ import annotations

from bench import layer
from bench.targets import LARGEST_LAYERS


def test_layers_are_far_below_what_a_function_may_have() -> None:
    """Without the work of building them: nothing is pruned here, and what is compiled is taken to be as large as its source."""
    size = layer.installed_bytes()
    assert LARGEST_LAYERS / 10 < size < LARGEST_LAYERS / 1.5
