"""Faults on demand: a hook runs before and after every call of a fake, and may raise.

Raising before a call is a call that never happened; raising after it is an answer that was lost. Names are
`<fake>.<method>`, such as `ledger.commit.admitted` or `objects.writer.close`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, Protocol

from batchdrop.domain.errors import LostRace


def _nothing(name: str) -> None:
    """The usual hook."""


class Hooks:
    """Shared by all fakes of a test, so that one hook sees every call in its order."""

    def __init__(self) -> None:
        self.before: Callable[[str], None] = _nothing
        self.after: Callable[[str], None] = _nothing
        self.calls: list[str] = []

    def clear(self) -> None:
        self.before = self.after = _nothing
        self.calls.clear()


class Hooked(Protocol):
    name: str
    hooks: Hooks


@contextmanager
def calling(fake: Hooked, method: str) -> Iterator[None]:
    name = f"{fake.name}.{method}"
    fake.hooks.calls.append(name)
    fake.hooks.before(name)
    try:
        yield
    except LostRace:
        # An answer like any other: it may be lost on its way.
        fake.hooks.after(name)
        raise
    fake.hooks.after(name)


def hooked[T: Hooked, **P, R](method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    @wraps(method)
    def call(fake: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with calling(fake, method.__name__):
            return method(fake, *args, **kwargs)

    return call
