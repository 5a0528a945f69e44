"""The contract of events: what `docs/events.schema.json` says, for whatever puts one on a bus."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema_rs

from local.paths import ROOT


@cache
def _schema() -> tuple[jsonschema_rs.Validator, frozenset[str]]:
    schema = json.loads((ROOT / "docs" / "events.schema.json").read_text())
    return jsonschema_rs.validator_for(schema), frozenset(schema["properties"])


def check_event(detail: dict[str, Any]) -> None:
    """Raises ValidationError; AssertionError for a field that the schema does not name."""
    validator, known = _schema()
    validator.validate(detail)
    assert set(detail) <= known, f"undocumented: {set(detail) - known}"
