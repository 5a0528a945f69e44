"""Two invocations that take turns: one waits in the middle of a call while the other goes on. Only one is ever at work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.stack import Invocation


class _Aside:
    """An invocation in a thread of its own, that can be made to wait before one of its calls."""

    def __init__(self, work: Callable[[], None], calls: int, beside: int) -> None:
        self.beside = beside
        """The number of the invocation that goes on meanwhile."""
        self._calls = calls
        self._work = work
        self._waits_or_ended = threading.Event()
        self._go_on = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Returns once it waits, or has ended."""
        self.thread.start()
        self._waits_or_ended.wait()

    def pause(self) -> None:
        """Called before each of its calls."""
        self._calls -= 1
        if self._calls == -1:
            self._waits_or_ended.set()
            self._go_on.wait()

    def finish(self) -> None:
        self._go_on.set()
        self.thread.join()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._waits_or_ended.set()


class Asides:
    def __init__(self) -> None:
        self._aside: _Aside | None = None

    def start(self, work: Callable[[], None], calls: int, beside: Invocation) -> None:
        """Lets another invocation make so many calls; it makes the rest when the one that is under way has ended."""
        self._aside = _Aside(work, calls, beside.number)
        self._aside.start()

    @property
    def under_way(self) -> bool:
        return self._aside is not None

    def pause(self) -> None:
        aside = self._aside
        if aside is not None and threading.current_thread() is aside.thread:
            aside.pause()

    def go_on_after(self, ended: Invocation) -> None:
        if self._aside is not None and self._aside.beside == ended.number:
            self.finish()

    def finish(self) -> None:
        if self._aside is not None:
            self._aside.finish()
            self._aside = None
