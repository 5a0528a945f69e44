"""The API's OpenAPI description: where it lies, and whether an answer agrees with it.

Nothing of it is part of this project; it is read where it lies beside the checkout, or where ``BATCHDROP_OPENAPI`` says.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ROOT.parent / "shared" / "reference" / "message-batches.openapi.json"
VARIABLE = "BATCHDROP_OPENAPI"
_URI = "urn:openapi"

_formats = FormatChecker()


@_formats.checks("date-time", ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def path() -> Path:
    """Where the description is expected; it may not be there."""
    return Path(os.environ.get(VARIABLE) or BESIDE)


class Description:
    """The description, ready to judge answers."""

    def __init__(self, file: Path) -> None:
        self._document: dict[str, Any] = json.loads(file.read_bytes())
        resource = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(_URI, resource)

    def schema_errors(self, name: str, value: object) -> list[str]:
        """What is wrong with a value by the schema of this name; empty if nothing is."""
        return self._errors(f"#/components/schemas/{name}", value)

    def answer_errors(self, template: str, answer: httpx2.Response) -> list[str]:
        """What is wrong with an answer to a call of the path with this template; empty if nothing is.

        Status, content type and body are judged, each line of a JSON lines body on its own.
        """
        method = answer.request.method.lower()
        answers = self._document["paths"][template][method]["responses"]
        declared = answers.get(str(answer.status_code)) or answers.get(f"{answer.status_code // 100}XX")
        if declared is None:
            return [f"status {answer.status_code} is not declared"]
        media_type = answer.headers["content-type"].partition(";")[0]
        if media_type not in declared["content"]:
            return [f"content type {media_type} is not declared"]
        pointer = declared["content"][media_type]["schema"]["$ref"]
        bodies = answer.content.splitlines() if media_type.endswith("jsonl") else [answer.content]
        return [error for body in bodies for error in self._errors(pointer, json.loads(body))]

    def _errors(self, pointer: str, value: object) -> list[str]:
        validator = Draft202012Validator({"$ref": f"{_URI}{pointer}"}, registry=self._registry, format_checker=_formats)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
