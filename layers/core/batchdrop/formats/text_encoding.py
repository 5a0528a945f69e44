"""Which encodings a table may be in, and what says so in its first bytes."""

from __future__ import annotations

import codecs
import difflib
import re

from batchdrop.formats.invalid_line import shown
from batchdrop.formats.table_fault import TableFault

# Codecs of text in which the bytes CR and LF mean nothing else, by Python's name. The others of Python's list are no text (zlib),
# run code of their own (idna), keep a state from line to line (iso2022_jp, utf-7), or have their line ends elsewhere (EBCDIC).
_CODECS = frozenset(
    [
        *("utf-8", "utf-16-le", "utf-16-be", "ascii", "big5", "big5hkscs", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk"),
        *("koi8-r", "koi8-u", "mac-cyrillic", "mac-roman", "shift_jis", "tis-620"),
        *(f"cp{number}" for number in (437, 850, 852, 858, 866, 874, 932, 949, 950, *range(1250, 1259))),
        *(f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))),
    ]
)
_OTHER_NAMES = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}
_SUGGESTED = (*sorted(_CODECS), *_OTHER_NAMES, "windows-1250", "windows-1251", "windows-1252", "latin-1", "iso-8859-1")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def codec_of(name: str) -> str:
    """Python's name of an encoding that a recipe names (`windows-1252` -> `cp1252`). Raises TableFault."""
    try:
        found = codecs.lookup(name).name if _NAME.fullmatch(name) else ""
    except (LookupError, ValueError):
        found = ""
    found = _OTHER_NAMES.get(found, found)
    if found in _CODECS:
        return found
    if name.lower() == "ansi":  # what editors of Windows call its code page, most often this one
        raise TableFault(
            '"ansi" is not an encoding that a table can have. Write windows-1252 for what Windows calls ANSI in western Europe.'
        )
    nearest = difflib.get_close_matches(name.lower(), _SUGGESTED, 1)
    hint = f"Did you mean {nearest[0]}?" if nearest else "Leave `encoding:` out for UTF-8, or write windows-1252."
    raise TableFault(f'"{shown(name)}" is not an encoding that a table can have. {hint}')


def byte_order_mark(head: bytes) -> tuple[str, int] | None:
    """The codec that the first bytes of a file name, and how many bytes do."""
    return next(((codec, len(bom)) for bom, codec in _BOMS if head.startswith(bom)), None)


def is_wide(codec: str) -> bool:
    """Whether a character takes at least two bytes."""
    return codec.startswith("utf-16")
