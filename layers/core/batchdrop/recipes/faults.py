"""What can be wrong with a recipe, and with one row under it."""

from __future__ import annotations

from batchdrop.domain.errors import BatchdropError


class RecipeFault(BatchdropError):
    """The recipe cannot be used. The message is one sentence for the person who wrote it: what is wrong, and what to do.

    `field` is the path to what is wrong (`("output", "label", 2)`), as far as it is known; whoever has the text of the recipe
    turns it into a line. `line` counts from 1, and is set where the place is known without a path.
    """

    def __init__(self, message: str, *, field: tuple[str | int, ...] = (), line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.line = line


class RowFault(BatchdropError):
    """One row cannot become a request. `type` in snake_case, the message a sentence without text of the row."""

    def __init__(self, type: str, message: str) -> None:  # noqa: A002 - the word used for every error of a row
        super().__init__(message)
        self.type = type
        self.message = message
