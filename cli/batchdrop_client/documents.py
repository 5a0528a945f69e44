"""Which files are documents: by what their names end in."""

from __future__ import annotations

from batchdrop.domain import keys

DOCUMENTS = (*keys.DOCUMENTS, *keys.IMAGES, *keys.TEXTS)


def is_document(name: str) -> bool:
    """As the stack takes it, but for what is hidden."""
    return keys.is_document(f"{keys.INBOX}{name}", texts=True) and not name.startswith(".")
