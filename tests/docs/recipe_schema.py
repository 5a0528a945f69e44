"""`docs/recipe.schema.json`, by which an editor knows the fields of a recipe. `make recipe-schema` writes it; a test compares."""

from __future__ import annotations

from batchdrop.recipes.editor_schema import editor_schema
from tests.docs.pages import ROOT

FILE = ROOT / "docs" / "recipe.schema.json"


if __name__ == "__main__":
    FILE.write_text(editor_schema())
