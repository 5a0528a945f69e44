"""Which files are documents: by what their names end in."""

from __future__ import annotations

DOCUMENTS = (".pdf", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".txt", ".md")


def is_document(name: str) -> bool:
    return name.lower().endswith(DOCUMENTS) and not name.startswith((".", "~$"))
