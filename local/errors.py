"""What the laptop system reports when it cannot continue: a sentence for people, never a stack trace."""

from __future__ import annotations

from batchdrop_cli.exit_codes import FAILED, STOPPED, WAITS


class CannotRun(Exception):
    """Something is missing or ended early. The message says what, and where to look."""

    code = FAILED
    """How the command ends."""


class NobodySaidYes(CannotRun):
    """A job asked, and was canceled without an answer."""

    code = WAITS


class SaidNo(CannotRun):
    """A job asked, and was canceled because somebody said no."""

    code = STOPPED
