"""What of a folder does not become a row of its job, and why: whoever drops it is told before it is uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from batchdrop.domain import keys
from batchdrop.recipes.faults import RecipeFault
from batchdrop_client.documents import is_document
from batchdrop_client.plain_text import plain

_SHOWN = 5
_ROWS = (".jsonl", ".csv", ".tsv", ".xlsx", ".gz")


def left_out(folder: Path, recipe: bytes | None) -> list[str]:
    """`a.docx, b.tiff (not a kind that can be read: save as PDF)`: an entry for each reason. Raises OSError.

    `recipe`: None if nobody knows it here. A faulty one is the stack's to tell of.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not _is_litter(path.name))
    folders = sorted(f"{path.name}/" for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    misnamed = [name for name in names if name.lower().removesuffix(".txt") in keys.RECIPES]
    names = [name for name in names if name not in misnamed]
    others = [name for name in names if not is_document(name)]
    documents = [name for name in names if is_document(name)]
    found = {
        f"call it {keys.RECIPES[0]} if it is the recipe": misnamed,
        "not a kind that can be read: save as PDF": [name for name in others if not _holds_rows(name)],
        "no documents, but rows: drop by themselves": [name for name in others if _holds_rows(name)],
        "folders inside are not uploaded: drop them by themselves": folders,
        **_not_read(documents, recipe),
    }
    return [f"{_several(names)} ({why})" for why, names in found.items() if names]


def folders_with_documents(folder: Path) -> Iterator[str]:
    """Of those in it, not deeper. Raises OSError."""
    for below in sorted(folder.iterdir()):
        if below.is_dir() and not below.name.startswith(".") and any(is_document(path.name) for path in below.iterdir()):
            yield below.name


def _not_read(documents: Sequence[str], recipe: bytes | None) -> dict[str, list[str]]:
    """By why a recipe leaves them alone."""
    reads = None if recipe is None else _read_by(recipe)
    if reads is None or not any(reads):
        return {}
    images = [name for name in documents if name.lower().endswith(keys.IMAGES)]
    texts = [name for name in documents if name not in images]
    return {
        "the recipe has no images": [] if reads.images else images,
        "the recipe has no documents": [] if reads.documents else texts,
    }


class _Reads(NamedTuple):
    documents: bool
    images: bool


def _read_by(recipe: bytes) -> _Reads | None:
    from batchdrop.recipes.reading import read_recipe  # noqa: PLC0415 - YAML, which most commands do without

    try:
        found = read_recipe(recipe, keys.RECIPES[0]).recipe
    except RecipeFault:
        return None
    return _Reads(bool(found.documents), bool(found.images))


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if names[_SHOWN:] else ""
    return plain(", ".join(names[:_SHOWN])) + more


def _holds_rows(name: str) -> bool:
    return name.lower().endswith(_ROWS)


def _is_litter(name: str) -> bool:
    """Hidden files, and what nobody means by the documents of a folder."""
    return name.startswith(".") or keys.is_litter(name) or name in keys.RECIPES
