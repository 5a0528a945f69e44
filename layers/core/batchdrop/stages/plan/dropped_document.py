"""Leave documents alone that are dropped: they are no work by themselves. The first one in a folder leaves a hint."""

from __future__ import annotations

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import Waits
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import Objects
from batchdrop.reports import sentences
from batchdrop.stages.plan.find_recipe import FindRecipe


class DroppedDocument(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects
    find_recipe: FindRecipe

    def __call__(self, key: str) -> bool:
        """Whether the object is a document. A text is one if the recipe of its folder reads documents; else it has rows."""
        if not keys.is_document(key) and not (keys.is_document(key, texts=True) and self._reads_texts(key)):
            return False
        folder = keys.folder_of(key)
        if (hint_key := keys.how_to_start(folder)) is not None:
            hint = sentences.how_to_start(folder).encode()
            self.objects.put(hint_key, hint, content_type="text/plain; charset=utf-8", once=True)
        return True

    def _reads_texts(self, key: str) -> bool:
        try:
            recipe = self.find_recipe.nearest(key)
            return recipe is not None and self.reads_documents(recipe)
        except Waits:
            return False

    def reads_documents(self, recipe: ObjectRef) -> bool:
        """Raises Waits if it cannot be read."""
        from batchdrop.stages.plan.recipe_text import recipe_of  # noqa: PLC0415 - YAML, which files of requests do without

        return bool(recipe_of(self.objects, recipe)[1].documents)
