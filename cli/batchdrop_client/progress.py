"""How far a transfer is."""

from __future__ import annotations

from collections.abc import Callable

type Progress = Callable[[int], object]
"""Told how many bytes more have been sent, or have come, from any thread."""
