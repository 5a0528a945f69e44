"""What holds for all tests."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")
_ENOUGH = 4_000_000_000  # bytes; a container may have 64 MB of it


def pytest_configure() -> None:
    # Who is started in the background of a shell ignores interrupts, and so do the programs that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Who ends a run (`timeout`, a canceled CI job) ends the systems with it that fixtures have started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def quick_disk() -> Iterator[Path]:
    """A folder in memory, where the machine has room: the in-memory stack makes and removes one for each delivery, which costs
    a disk milliseconds and a half of the test's time."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ENOUGH
    with tempfile.TemporaryDirectory(prefix="batchdrop-tests-", dir=_MEMORY if roomy else None) as folder:
        yield Path(folder)
