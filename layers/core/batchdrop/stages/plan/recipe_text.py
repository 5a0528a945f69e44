"""Read the text of a recipe, and what it says."""

from __future__ import annotations

from batchdrop.domain.errors import ObjectGone, Waits
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import Objects
from batchdrop.recipes.faults import RecipeFault
from batchdrop.recipes.reading import MAX_BYTES, read_recipe
from batchdrop.recipes.recipe import Recipe
from batchdrop.reports import sentences


def recipe_text(objects: Objects, ref: ObjectRef) -> bytes:
    """Raises Waits if it is gone, Forbidden."""
    try:
        with objects.read(ref) as stream:
            # One more than it may have: reading it says so.
            return stream.read(MAX_BYTES + 1)
    except ObjectGone:
        raise Waits(sentences.recipe_gone(ref.key)) from None


def recipe_of(objects: Objects, ref: ObjectRef) -> tuple[bytes, Recipe]:
    """Its text, and what it says, by itself. Raises Waits for a faulty one, Forbidden."""
    text = recipe_text(objects, ref)
    try:
        return text, read_recipe(text, ref.key.rsplit("/", 1)[-1]).recipe
    except RecipeFault as fault:
        raise Waits(sentences.faulty_recipe(fault.message)) from fault
