"""What people put in that is neither rows nor a document that is read: known by its content, never by its name."""

from __future__ import annotations

import re
from collections.abc import Collection

_HEIC = re.compile(rb"(?s).{4}ftyp(?:hei[cfmsx]|hev[cx]|mif1|msf1)")
_AS_PDF, _AS_IMAGE = "Save it as PDF.", "Save it as PNG or PDF."
_NAMED = "Name it so that it ends in {}, put it into a folder of documents, and create the folder start there."
_HEADS = {
    b"%PDF-": ("a PDF", _NAMED.format(".pdf")),
    b"\x89PNG\r\n\x1a\n": ("a PNG image", _NAMED.format(".png")),
    b"\xff\xd8\xff": ("a JPEG image", _NAMED.format(".jpg")),
    b"GIF8": ("a GIF image", _NAMED.format(".gif")),
    b"II*\0": ("a TIFF image", _AS_IMAGE),
    b"MM\0*": ("a TIFF image", _AS_IMAGE),
    b"{\\rtf": ("an RTF document", _AS_PDF),
}
# By a part that an archive has.
_ARCHIVES = {
    "word/document.xml": ("a Word document", _AS_PDF),
    "ppt/presentation.xml": ("a PowerPoint presentation", _AS_PDF),
    "content.xml": ("an OpenDocument file", "Save it as PDF, a spreadsheet as .xlsx."),
    "meta-inf/container.xml": ("an e-book (EPUB)", _AS_PDF),
}
_OF_WORKBOOKS = ("_rels/", "xl/")
# By the name of a stream in an old file of Office, as its directory writes it.
_STREAMS = {
    "WordDocument": ("a Word document in the old format", _AS_PDF),
    "PowerPoint Document": ("a PowerPoint presentation in the old format", _AS_PDF),
    "__properties_version1.0": ("a mail of Outlook", _AS_PDF),
}


def foreign_kind(head: bytes) -> str | None:
    """Two sentences, `This is a TIFF image, which is not read. Save it as PNG or PDF.`, or None. `head`: the first bytes.

    An archive, and an old file of Office, may be a workbook: whoever opens it asks the others.
    """
    if (found := next((what for start, what in _HEADS.items() if head.startswith(start)), None)) is not None:
        return _said(*found)
    if _HEIC.match(head):
        return _said("a HEIC image", _AS_IMAGE)
    # Its size stands behind its mark, and two reserved fields of 0 behind that.
    if head.startswith(b"BM") and head[6:10] == b"\0" * 4:
        return _said("a BMP image", _AS_IMAGE)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _said("a WebP image", _NAMED.format(".webp"))
    return None


def foreign_archive(parts: Collection[str]) -> str | None:
    """Of a ZIP file, unless it may be a workbook. `parts`: its names in lower case."""
    if (what := next((what for part, what in _ARCHIVES.items() if part in parts), None)) is not None:
        return _said(*what)
    may_be_one = any(part.startswith(_OF_WORKBOOKS) for part in parts)
    return None if may_be_one else _said("a ZIP file", "Unpack it, and put in the files.")


def foreign_stream(data: bytes) -> str | None:
    """Of a piece of an old file of Office."""
    return next((_said(*what) for name, what in _STREAMS.items() if name.encode("utf-16-le") in data), None)


def _said(what: str, do: str) -> str:
    return f"This is {what}, which is not read{' as rows' if do.startswith('Name') else ''}. {do}"
