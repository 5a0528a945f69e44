"""`python -m batchdrop_cli`: the command of a checkout that is not installed."""

from __future__ import annotations

from batchdrop_cli.main import batchdrop

batchdrop(prog_name="batchdrop")
