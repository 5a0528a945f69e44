"""A job's report, brought here and shown."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from tempfile import mkdtemp

from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED
from batchdrop_cli.terminal import out, say
from batchdrop_client.plain_text import plain
from batchdrop_client.stack import Stack


def show_report(bucket: str | None, name: str, folder: str, *, only_print: bool) -> int:
    """The exit code. Raises StackError."""
    job = Stack(bucket, folder=folder).job(name)
    try:
        # Its owner's alone. It stays: a browser reads the page some time after this command has ended.
        path = job.report(Path(mkdtemp(prefix="batchdrop-"), f"{job.id}.html"))
    except OSError as error:
        raise CannotUse(f"The report cannot be written: {plain(str(error))}.") from None
    out(str(path))
    if not only_print and not (_has_display() and _opened(path)):
        say("There is no browser to show it: open this file in one.", ANSWERED)
    return ANSWERED


def _has_display() -> bool:
    """Without one, only browsers for a terminal are found, which would take this one over."""
    return sys.platform in {"darwin", "win32"} or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _opened(path: Path) -> bool:
    try:
        return webbrowser.open(path.as_uri())
    except (OSError, webbrowser.Error):
        return False
