"""Text from elsewhere, made safe to be shown."""

from __future__ import annotations

import re

# What a terminal obeys instead of showing it: C0 and C1, and what turns the direction of text or is not seen.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def plain(text: str) -> str:
    """One line without anything that a terminal obeys."""
    return " ".join(OBEYED.sub(" ", text).split())
