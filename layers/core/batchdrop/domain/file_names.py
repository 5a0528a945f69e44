"""Which file a name stands for, and whether a job may name it. Names are compared as they are written, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from batchdrop.domain.keys import INBOX, MAX_KEY_BYTES, folder_of, team_of

SCHEME = "s3://"
_UP_OR_HERE = ("", ".", "..")


class Located(NamedTuple):
    bucket: str
    key: str


class NameFault(ValueError):
    """The name is none of an object."""


def located(name: str, input_key: str, bucket: str) -> Located:
    """The object that `s3://bucket/key` names, or a path from the folder of the job's file on. Raises NameFault."""
    if name.startswith(SCHEME):
        found = Located(*name.removeprefix(SCHEME).partition("/")[::2])
    else:
        found = Located(bucket, INBOX + "/".join(filter(None, (folder_of(input_key), name))))
    if not found.bucket or any(part in _UP_OR_HERE for part in found.key.split("/")) or not _fits(found.key):
        raise NameFault(name)
    return found


def is_odd(name: str) -> bool:
    """Whether somebody may have meant another object than the one whose key it is: as in an address, of a version, hidden signs.

    There are such keys: people put `100%.pdf` into a bucket, and macOS writes a narrow no-break space into names.
    """
    first = name.removeprefix(SCHEME).partition("/")[0]
    return any(sign in name for sign in "?%\\") or ":" in first or not name.isprintable()


def may_name(file: Located, input_key: str, bucket: str, sources: Mapping[str, Sequence[str]]) -> bool:
    """Whether a job of that file may name an object: one of its team's inbox, or of a prefix that its folder was given.

    `sources`: prefixes such as `s3://archive/invoices/` by folder below the inbox. Of the stack's bucket nothing but the inbox is
    ever read, whatever they say.
    """
    if file.bucket == bucket:
        if not file.key.startswith(INBOX):
            return False
        if team_of(file.key) == team_of(input_key):
            return True
    address = f"{SCHEME}{file.bucket}/{file.key}"
    return any(
        address.startswith(prefix)
        for folder, prefixes in sources.items()
        if input_key.startswith(f"{INBOX}{folder}/")
        for prefix in prefixes
    )


def _fits(key: str) -> bool:
    try:
        return len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:  # half a surrogate pair
        return False
