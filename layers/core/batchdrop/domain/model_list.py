"""The models that the API listed, and when: what a model's name in a recipe or a request is held against.

Anthropic, "List Models" (`GET /v1/models`, API version 2026-10-21): the function that holds the key stores it once a day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from batchdrop.domain.record import Record

# A model that came out since is not on the list. One day passes between two lists, and one may fail.
_TRUSTED_FOR = timedelta(days=2)


class ListedModel(Record, frozen=True, kw_only=True):
    """One model. None: the API did not say."""

    id: str
    lifecycle: str = "active"
    """`active`, `deprecated` or `retired`, or a word that did not exist when this was written. A past `retires_at` on a
    deprecated model means that its retirement is overdue, not that it is retired."""
    deprecated_at: datetime | None = None
    retires_at: datetime | None = None
    max_tokens: int | None = None
    """The most that a request's `max_tokens` may be."""
    batch: bool | None = None
    """Whether it can be used in batches."""
    structured_outputs: bool | None = None
    thinking: tuple[str, ...] | None = None
    """The words that `thinking.type` takes: `adaptive`, `between_tools`, `disabled`, `enabled`."""
    efforts: tuple[str, ...] | None = None
    """The words that `output_config.effort` takes; empty if it takes none."""


class ModelList(Record, frozen=True, kw_only=True):
    """All pages of one list call."""

    fetched_at: datetime
    models: tuple[ListedModel, ...] = ()
    tried_at: datetime | None = None
    """When the list was last asked for, whatever came of it."""
    official: bool = True
    """From Anthropic's own address. Behind another one a list may leave models out that a request can use."""

    def find(self, model: str) -> ListedModel | None:
        return next((listed for listed in self.models if listed.id == model), None)

    def refuses_unknown(self, now: datetime) -> bool:
        """Whether a model that is not on it is surely unknown: from Anthropic itself, not empty, and younger than two days."""
        return self.official and bool(self.models) and now - self.fetched_at < _TRUSTED_FOR
