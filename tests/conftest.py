"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # Who is started in the background of a shell ignores interrupts, and so do the programs that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
