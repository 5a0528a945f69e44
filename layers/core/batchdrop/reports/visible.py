"""Text of strangers, made harmless to the eye: on a page, in a mail."""

from __future__ import annotations

import re

# Control characters, and those that turn the direction of what follows them.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)


def visible(text: str) -> str:
    """Hidden characters as signs; tab and newline stay."""
    return _HIDDEN.sub(lambda found: _sign(ord(found[0])), text)


def unlinked(text: str) -> str:
    """On one line, and so that no mail program makes a link of any part of it."""
    return _LINKS.sub(" ", " ".join(visible(text).split()))


def _sign(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"
