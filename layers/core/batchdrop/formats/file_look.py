"""What a file is and holds, by its content. Whoever wrote the file may have meant harm.

As a program (`python -m batchdrop.formats.file_look`) it reads a path a line, and writes what it found as JSON, within bounds on
its memory: the parsers then run in a process of their own, which has no credentials and whose end harms nobody.
"""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchdrop.domain.file_facts import UNREADABLE, FileFacts
from batchdrop.formats.file_source import PDF, TEXT
from batchdrop.formats.foreign_file import foreign_kind

if TYPE_CHECKING:
    import pypdfium2

MEMORY_BYTES = 1 << 29
"""Of the process, its libraries included: a PDF of 600 pages takes a tenth of it."""
_CHUNK = 1 << 20
# The header of a PDF may stand anywhere in its first kilobyte (Adobe, "PDF Reference", implementation note 13).
_HEAD = 1024
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF87a": "image/gif", b"GIF89a": "image/gif"}
_UNSUPPORTED = "is no PDF, PNG, JPEG, GIF, WebP or text in UTF-8. Convert it to one of these."


def look_at_file(path: Path) -> FileFacts:
    """Never raises for what is in the file, short of MemoryError."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return FileFacts(fault="empty_file", message="is empty. Upload it again.")
    if b"%PDF-" in head:
        return _pdf(path)
    media_type = next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        media_type = "image/webp"
    if media_type is not None:
        return _image(path, media_type)
    if (foreign := foreign_kind(head)) is not None:
        return FileFacts(fault="unsupported_file", message=foreign.removeprefix("This "))
    return _text(path)


def escaped(text: str) -> bytes:
    """As it stands in a JSON string."""
    return _encode(text)[1:-1]


_encode = msgspec.json.Encoder().encode


def _pdf(path: Path) -> FileFacts:
    import pypdfium2  # noqa: PLC0415 - native code for PDFs alone

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        return _LOCKED if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD else UNREADABLE
    try:
        if _is_encrypted(document):
            return _LOCKED
        return FileFacts(media_type=PDF, pages=pages) if (pages := len(document)) > 0 else UNREADABLE
    finally:
        document.close()


def _is_encrypted(document: pypdfium2.PdfDocument) -> bool:
    """With a password to open it or without one: the API takes neither."""
    import pypdfium2.raw  # noqa: PLC0415 - as above

    revision: int = pypdfium2.raw.FPDF_GetSecurityHandlerRevision(document)
    return revision != -1


_LOCKED = FileFacts(
    fault="encrypted_file", message="is a PDF with a password or with restrictions, which the API refuses. Save it without them."
)


def _image(path: Path, media_type: str) -> FileFacts:
    import imagesize  # noqa: PLC0415 - for images alone

    try:
        width, height = imagesize.get(path)
    except Exception:
        return UNREADABLE
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        return UNREADABLE
    return FileFacts(media_type=media_type, width=width, height=height)


def _text(path: Path) -> FileFacts:
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    size = 0
    blank = True
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            try:
                text = decode(chunk)
            except UnicodeDecodeError:
                return FileFacts(fault="unsupported_file", message=_UNSUPPORTED)
            if "\0" in text:
                return FileFacts(fault="unsupported_file", message=_UNSUPPORTED)
            blank = blank and (not text or text.isspace())
            size += len(escaped(text))
    try:
        decode(b"", final=True)
    except UnicodeDecodeError:
        return FileFacts(fault="unsupported_file", message=_UNSUPPORTED)
    if blank:
        return FileFacts(fault="empty_file", message="holds no text. Upload it again.")
    return FileFacts(media_type=TEXT, escaped=size)


def _bound() -> None:
    import resource  # noqa: PLC0415 - of the program alone

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    _bound()
    for line in sys.stdin:
        try:
            found = look_at_file(Path(line.rstrip("\n")))
        except (MemoryError, OSError):
            found = UNREADABLE
        sys.stdout.buffer.write(_encode(found) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
