"""Keys of Claude Platform on AWS, which AWS's token generator mints: a signed URL in Base64 behind a prefix.

Whether the signature is right only AWS can tell; everything else about a key is looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from local.claude.errors import ApiError, invalid

PREFIX = "aws-external-anthropic-api-key-"
WORKSPACE_HEADER = "anthropic-workspace-id"
_URL = "aws-external-anthropic.amazonaws.com/?"
_CREDENTIAL = re.compile(r"\w+/\d{8}/[a-z0-9-]+/aws-external-anthropic/aws4_request")
_FIELDS = {
    "Action": re.compile("CallWithBearerToken"),
    "Version": re.compile("1"),
    "X-Amz-Algorithm": re.compile("AWS4-HMAC-SHA256"),
    "X-Amz-Credential": _CREDENTIAL,
    "X-Amz-Date": re.compile(r"\d{8}T\d{6}Z"),
    "X-Amz-Expires": re.compile(r"\d{1,5}"),
    "X-Amz-SignedHeaders": re.compile("host"),
    "X-Amz-Signature": re.compile(r"[0-9a-f]{64}"),
}
_LONGEST = timedelta(hours=12)


def workspace_named(key: str, workspace: str, now: datetime | None = None) -> str:
    """The workspace that a call with this key is about. `now`: of AWS, by whose clock the key was signed, never the emulated one.

    Raises ApiError if the key is none, has ended, or the call names no workspace.
    """
    begins, lasts = _life(key)
    now = now or datetime.now(UTC)
    if not timedelta() < lasts <= _LONGEST:
        raise ApiError(401, "the key's lifetime must be between 1 second and 12 hours")
    if now >= begins + lasts:
        raise ApiError(401, "the key has expired")
    if not workspace:
        raise invalid(f"{WORKSPACE_HEADER}: header is required")
    return workspace


def _life(key: str) -> tuple[datetime, timedelta]:
    try:
        url = base64.b64decode(key.removeprefix(PREFIX), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise ApiError(401, "the key is no Base64") from None
    if not url.startswith(_URL):
        raise ApiError(401, "the key is not signed for this service")
    fields = {name: values[0] for name, values in parse_qs(url.removeprefix(_URL)).items()}
    for name, pattern in _FIELDS.items():
        if not pattern.fullmatch(fields.get(name, "")):
            raise ApiError(401, f"the key has no valid {name}")
    begins = datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return begins, timedelta(seconds=int(fields["X-Amz-Expires"]))
