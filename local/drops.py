"""What a demonstration drops: a file or a folder of documents of one's own, or an example with its recipes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from batchdrop.domain import keys
from batchdrop_client.documents import DOCUMENTS, is_document
from batchdrop_client.left_out import folders_with_documents, left_out
from local.errors import CannotRun
from local.paths import ROOT

EXAMPLES = ROOT / "examples"
# What lies in the folder of an example and is no input of it.
_ABOUT = (".md", ".py")


class Drop(NamedTuple):
    """One file, or a folder whose documents are started, and what is put into the bucket first."""

    path: Path
    key: str
    recipe: Path | None
    documents: tuple[Path, ...] = ()

    @property
    def before(self) -> dict[str, Path]:
        """By key: the recipe, then the documents."""
        folder, root = self.key.rpartition("/")[0], self.path if self.starts else self.path.parent
        recipe = {f"{folder}/{keys.RECIPES[0]}": self.recipe} if self.recipe else {}
        return recipe | {f"{folder}/{path.relative_to(root).as_posix()}": path for path in self.documents}

    @property
    def starts(self) -> bool:
        """An empty object is dropped, which makes a job of the documents."""
        return self.path.is_dir()

    def left_out(self) -> list[str]:
        """What of a folder does not become a row, with the reason."""
        return left_out(self.path, self.recipe.read_bytes() if self.recipe else None) if self.starts else []

    def read(self) -> bytes:
        return b"" if self.starts else self.path.read_bytes()


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
    named = tuple(path for below in sorted(folder.iterdir()) if below.is_dir() for path in _documents_in(below))
    recipes = sorted(folder.rglob(keys.RECIPES[0]))
    return [Drop(path, f"{keys.INBOX}{recipe.parent.relative_to(EXAMPLES)}/{path.name}", recipe, named) for recipe in recipes]


def of_file(path: Path) -> Drop:
    """`inbox/<name>`; with a recipe beside it, `inbox/<its folder>/<name>`, where no other file meets that recipe.

    Raises CannotRun if it is no file.
    """
    if not path.is_file():
        raise CannotRun(f"{path} is not a file.")
    recipe = _recipe_in(path.resolve().parent)
    folder = f"{recipe.parent.name}/" if recipe else ""
    return Drop(path, f"{keys.INBOX}{folder}{path.name}", recipe)


def of_path(path: Path) -> Drop:
    """Of a file, or of a folder: `inbox/<its name>/start`, with the recipe in it, else the one beside it.

    Raises CannotRun if it is neither, or a folder without documents.
    """
    if not path.is_dir():
        return of_file(path)
    folder = path.resolve()
    documents = tuple(_documents_in(folder))
    if not documents:
        if below := ", ".join(folders_with_documents(folder)):
            raise CannotRun(f"{path} holds no documents but in its folders. Name one of them: {below}.")
        raise CannotRun(
            f"{path} holds no documents: their names end in {', '.join(DOCUMENTS)}. To run a table or requests, name the file."
        )
    recipe = _recipe_in(folder) or _recipe_in(folder.parent)
    return Drop(folder, f"{keys.INBOX}{folder.name}/{keys.START}", recipe, documents)


def _documents_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_document(path.name) and path.is_file())


def _recipe_in(folder: Path) -> Path | None:
    return next((path for name in keys.RECIPES if (path := folder / name).is_file()), None)
