"""The checks of JSON Schema, by jsonschema-rs. Whoever imports this loads it: only where there is a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_MAX_REGEX_BYTES = 1_000_000


def validator_of(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Draft 2020-12. Nothing is ever fetched, formats are asserted, and a pattern takes time linear in the text.

    Raises ValueError when that is no schema that can be used, also for references to anywhere else.
    """
    return jsonschema_rs.Draft202012Validator(
        dict(schema),
        validate_formats=True,
        offline=True,
        # The default engine follows look-arounds by backtracking: 50,000 characters took a second.
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_MAX_REGEX_BYTES, dfa_size_limit=_MAX_REGEX_BYTES),
    )


def not_a_schema(schema: Mapping[str, Any]) -> tuple[str | int, ...] | None:
    """The path to what has the wrong shape by the schema of schemas, or None."""
    try:
        jsonschema_rs.meta.validate({**schema, "$schema": _DRAFT})
    except jsonschema_rs.ValidationError as error:
        return tuple(error.instance_path)
    return None


def not_usable(schema: Mapping[str, Any]) -> tuple[str | int, ...] | None:
    """The path to what keeps answers from being checked by it, or None."""
    try:
        validator_of(schema)
    except jsonschema_rs.ValidationError as error:
        return tuple(error.instance_path)
    return None
