"""Why a comparison ends without a table."""

from __future__ import annotations


class Ends(Exception):
    """The message says why, and `code` how the command ends."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
