"""The stages of the pipeline: each folder of `functions/` with a handler is one. No list of them is kept anywhere else."""

from __future__ import annotations

from local.paths import ROOT

STAGES = tuple(sorted(handler.parent.name for handler in (ROOT / "functions").glob("*/app.py")))
