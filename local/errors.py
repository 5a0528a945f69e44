"""What the laptop system reports when it cannot continue: a sentence for people, never a stack trace."""

from __future__ import annotations


class CannotRun(Exception):
    """Something is missing or ended early. The message says what, and where to look."""
