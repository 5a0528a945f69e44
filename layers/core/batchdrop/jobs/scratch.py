"""The disk of an invocation: what a killed one has left behind must not fill it for the next."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"batchdrop-(\d+)-")
# Folders in use by this process. In a new process that has the number of a killed one, nothing is.
_in_use: set[Path] = set()


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder in the function's ephemeral storage, removed at the end.

    Lambda ends a function that runs out of time or memory without a word, and gives its storage to the next invocation.
    """
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=f"batchdrop-{os.getpid()}-"))
    _in_use.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _in_use.discard(folder)


def _remove_leftovers() -> None:
    for folder in Path(tempfile.gettempdir()).glob("batchdrop-*-*"):
        found = _NAME.match(folder.name)
        if found and folder not in _in_use and (int(found[1]) == os.getpid() or not _is_alive(int(found[1]))):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
