"""Errors as the API answers them (source: Claude API documentation, "Errors")."""

from __future__ import annotations

import re
from typing import Any

import msgspec

TYPE_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
STATUS_BY_TYPE = {kind: status for status, kind in reversed(TYPE_BY_STATUS.items())}


class ErrorDetail(msgspec.Struct, omit_defaults=True):
    """The inner object of an error: its type, a sentence for a human and, rarely, machine-readable details."""

    type: str
    message: str
    details: dict[str, Any] | None = None


class ErrorBody(msgspec.Struct, kw_only=True):
    """The whole error object, as the body of an answer or inside an errored result."""

    type: str = "error"
    error: ErrorDetail
    request_id: str | None


class ApiError(Exception):
    """An answer other than success: HTTP status, error type, message and what belongs to some of them.

    ``retry_after`` is in seconds and becomes the header; ``details`` go into the error object as they are.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind or TYPE_BY_STATUS.get(status, "api_error")
        self.message = message
        self.retry_after = retry_after
        self.details = details

    def body(self, request_id: str | None) -> bytes:
        """The JSON of this error."""
        return msgspec.json.encode(ErrorBody(error=ErrorDetail(self.kind, self.message, self.details), request_id=request_id))


def invalid(message: str) -> ApiError:
    """The error for a request whose form is wrong (400)."""
    return ApiError(400, message)


def not_found(message: str) -> ApiError:
    """The error for something that does not exist or is not visible to this key (404)."""
    return ApiError(404, message)


_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_FIELD = re.compile(r"(?:required|unknown) field `(.*?)`")
_EXPECTED = re.compile(r"^Expected `(.*?)`")
_PLACE = re.compile(r"\[(\d+)\]|\[\.\.\.\]|\.")
_NOUNS = {
    "str": "a valid string",
    "int": "a valid integer",
    "float": "a valid number",
    "bool": "a valid boolean",
    "array": "a valid list",
    "object": "an object",
}


def explain(error: msgspec.ValidationError) -> str:
    """A decoder's complaint in the API's form, ``path.0.field: reason``.

    Only the sentence for a long ``custom_id`` is documented; the others follow its style.
    """
    text = str(error)
    match = _PATH.search(text)
    path = [part for part in _PLACE.split(match[1]) if part] if match else []
    field = _FIELD.search(text)
    if field:
        path.append(field[1])
        reason = "Field required" if "required" in text else "Extra inputs are not permitted"
    else:
        expected = _EXPECTED.search(text)
        wanted = " or ".join(_NOUNS.get(noun, noun) for noun in expected[1].split(" | ")) if expected else ""
        reason = f"Input should be {wanted}" if wanted else _PATH.sub("", text)
    return f"{'.'.join(path)}: {reason}" if path else reason
