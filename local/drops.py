"""What a demonstration drops: a file of one's own, or an example with its recipes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from batchdrop.domain import keys
from local.errors import CannotRun
from local.paths import ROOT

EXAMPLES = ROOT / "examples"
# What lies in the folder of an example and is no input of it.
_ABOUT = (".md", ".py")


class Drop(NamedTuple):
    """One file, and the recipe that is put into its folder first."""

    path: Path
    key: str
    recipe: Path | None

    @property
    def recipe_key(self) -> str:
        return f"{self.key.rpartition('/')[0]}/{keys.RECIPES[0]}"


def names() -> list[str]:
    """Of all examples."""
    return sorted({recipe.relative_to(EXAMPLES).parts[0] for recipe in EXAMPLES.rglob(keys.RECIPES[0])})


def of_example(name: str) -> list[Drop]:
    """Its file with each of its recipes, in a folder for each. Raises CannotRun if there is no such example."""
    if name not in names():
        raise CannotRun(f"There is no example {name}: choose one of {', '.join(names())}.")
    folder = EXAMPLES / name
    (path,) = (
        path for path in folder.iterdir() if path.is_file() and path.suffix not in _ABOUT and path.name not in keys.RECIPES
    )
    recipes = sorted(folder.rglob(keys.RECIPES[0]))
    return [Drop(path, f"{keys.INBOX}{recipe.parent.relative_to(EXAMPLES)}/{path.name}", recipe) for recipe in recipes]


def of_file(path: Path) -> Drop:
    """`inbox/<name>`; with a recipe beside it, `inbox/<its folder>/<name>`, where no other file meets that recipe.

    Raises CannotRun if it is no file.
    """
    if not path.is_file():
        raise CannotRun(f"{path} is not a file.")
    recipe = next((beside for name in keys.RECIPES if (beside := path.resolve().parent / name).is_file()), None)
    folder = f"{recipe.parent.name}/" if recipe else ""
    return Drop(path, f"{keys.INBOX}{folder}{path.name}", recipe)
