"""Find the recipe of a file: the nearest one in its folder or above, as it is now."""

from __future__ import annotations

import msgspec

from batchdrop.domain import keys
from batchdrop.domain.errors import Forbidden, ObjectGone, Waits
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import Objects
from batchdrop.reports import sentences


class FindRecipe(msgspec.Struct, frozen=True, kw_only=True):
    objects: Objects

    def __call__(self, input_key: str) -> ObjectRef | None:
        """Its newest version; None if there is none. At most 32 HEAD requests. Raises Waits if S3 does not hand it out."""
        for key in keys.recipe_keys(input_key):
            try:
                return self.objects.head(key).ref
            except ObjectGone:
                continue
            except Forbidden as refusal:
                raise Waits(sentences.recipe_unreadable(key, refusal.code)) from refusal
        return None
