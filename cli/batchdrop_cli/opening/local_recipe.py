"""Find the recipe of a file on this machine, as `plan` finds it in the inbox: the nearest one, in its folder or above."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from batchdrop.domain.keys import MAX_RECIPE_LEVELS, RECIPES


def recipe_for(file: Path, home: Path) -> Path | None:
    """The nearest one up to the root of the repository or the home folder. Outside both only one beside the file counts.

    Folders above those belong to other people or other projects, and a recipe decides what is sent in the owner's name.
    """
    folders = islice(_folders(file.absolute().parent, home), MAX_RECIPE_LEVELS)
    return next((path for folder in folders for name in RECIPES if (path := folder / name).is_file()), None)


def _folders(beside: Path, home: Path) -> Iterator[Path]:
    yield beside
    above = [beside, *beside.parents]
    end = next((place for place, folder in enumerate(above) if folder == home or (folder / ".git").exists()), 0)
    yield from above[1 : end + 1]
