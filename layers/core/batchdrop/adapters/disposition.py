"""What a browser does with an object of the outbox, and the name under which it saves it: `Content-Disposition`."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from batchdrop.domain import keys

# S3 takes 2 KB of such headers in all (Amazon S3 user guide, "Object metadata"), file systems 255 bytes of a name.
_MAX_BYTES = 180
_SHOWN = (".html",)
# Quotes and backslashes end a quoted string for some readers, and a percent sign begins a byte for others (RFC 6266, appendix D).
_NOT_QUOTED = re.compile(r'["\\%]')
# Attribute characters beside letters and digits (RFC 8187, 3.2.1).
_AS_THEY_ARE = "!#$&+-.^_`|~"


def content_disposition(key: str) -> str:
    """ASCII on one line, below 1 KB. Empty: it is saved as its key says."""
    stem, name = keys.saved_as(key)
    if not name:
        return ""
    saved = f"{_cut(_harmless(stem))}.{name}"
    plain = _NOT_QUOTED.sub("_", saved.encode("ascii", "replace").decode().replace("?", "_"))
    how = "inline" if name.endswith(_SHOWN) else "attachment"
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(saved, safe=_AS_THEY_ARE, errors='replace')}"


def _harmless(stem: str) -> str:
    """Without what breaks a line, hides, or turns the direction of what follows: it would show another ending than there is."""
    return " ".join("".join("_" if unicodedata.category(char).startswith("C") else char for char in stem).split())


def _cut(stem: str) -> str:
    return stem.encode(errors="replace")[:_MAX_BYTES].decode(errors="ignore")
