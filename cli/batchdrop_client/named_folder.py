"""A folder of a stack, in any of the ways that people name one."""

from __future__ import annotations

from batchdrop.domain.keys import INBOX, OUTBOX


def named_folder(name: str) -> str:
    """`inbox/a/b/`, `outbox/a/b`, `/a/b` -> `a/b`, which lies below either; empty for all of them."""
    path = f"{name.strip().strip('/')}/"
    top = next((one for one in (INBOX, OUTBOX) if path.startswith(one)), "")
    return path.removeprefix(top).strip("/")
