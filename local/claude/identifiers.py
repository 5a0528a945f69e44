"""Identifiers in the API's style: a prefix and letters and digits that mean nothing."""

from __future__ import annotations

import hashlib
import itertools
import os

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Identifiers:
    """Draws identifiers that never repeat; with a seed, the same ones in every run.

    Without a seed two runs must not draw the same ids: a caller that remembers a batch of an earlier run would take
    a new one for it.
    """

    def __init__(self, seed: str | None = None) -> None:
        self._seed = seed.encode() if seed is not None else os.urandom(16)
        self._counter = itertools.count()

    def draw(self, prefix: str) -> str:
        """A new identifier such as ``msgbatch_01...``."""
        return derived(prefix, self._seed, str(next(self._counter)).encode())


def derived(prefix: str, *parts: bytes) -> str:
    """The identifier that belongs to these parts, always the same one."""
    digest = hashlib.blake2b(b"\0".join(parts), digest_size=20).digest()
    number = int.from_bytes(digest)
    characters = []
    for _ in range(22):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return f"{prefix}_01{''.join(characters)}"
