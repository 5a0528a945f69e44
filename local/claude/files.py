"""Documents and images of a request: what the API refuses of them, and how many tokens they count for.

Source: Claude API documentation, "PDF support", "Vision" and "Request size limits", August 2026. The texts follow what
callers have reported; the limits are the documented ones.
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import imagesize
import pypdfium2

if TYPE_CHECKING:
    from local.claude.params import Block, Source, Turn

MAX_REQUEST_BYTES = 32_000_000
_MAX_IMAGE_BASE64 = 10_000_000
_MAX_PIXELS = 8_000
_MAX_PIXELS_OF_MANY = 2_000
_MANY = 20
_SMALL_WINDOW = re.compile(r"claude-(?:haiku|sonnet|opus)-4-5\b")
_OLDER = re.compile(r"claude-(?:haiku|sonnet|opus)-4-[56]\b")
_SQUARE = 28
_READ = 20_000  # characters of a document that an answer is made of
_TEXT_OF_A_PAGE = 2_000  # documented as 1,500 to 3,000
_PAGE = (1_240, 1_754)  # pixels, as a page is shown to the model: not documented
_MAGIC = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


class _Fault(Exception):
    pass


class _Image(NamedTuple):
    width: int
    height: int


class _Models(NamedTuple):
    """What depends on the model."""

    most: int
    """Pages, and images, of a request."""
    edge: int
    most_tokens: int


def _of(model: str) -> _Models:
    most = 100 if _SMALL_WINDOW.match(model) else 600
    return _Models(most, 1_568, 1_568) if _OLDER.match(model) else _Models(most, 2_576, 4_784)


def fault(turns: list[Turn], model: str) -> str | None:
    """Why the API refuses a file of these messages, or None. Each block of a file then knows its tokens."""
    of = _of(model)
    pages = 0
    images: list[_Image] = []
    try:
        for place, block in _blocks(turns):
            if block.source is None:
                return f"{place}.{block.type}.source: Field required"
            if block.type == "image":
                images.append(_image(block.source, place))
                block.tokens = _tokens(*images[-1], of)
            else:
                pages += _document(block, block.source, place, of)
    except _Fault as found:
        return str(found)
    if pages > of.most:
        return f"A maximum of {of.most} PDF pages may be provided."
    if len(images) > of.most:
        return f"messages: at most {of.most} images may be provided"
    if len(images) > _MANY and any(max(image) > _MAX_PIXELS_OF_MANY for image in images):
        return (
            "messages: At least one of the image dimensions exceed max allowed size for many-image requests: "
            f"{_MAX_PIXELS_OF_MANY} pixels"
        )
    return None


def _blocks(turns: list[Turn]) -> Iterator[tuple[str, Block]]:
    for number, turn in enumerate(turns):
        yield from _files(f"messages.{number}.content", turn.content)


def _files(place: str, content: str | list[Block] | None) -> Iterator[tuple[str, Block]]:
    for number, block in enumerate(content if isinstance(content, list) else ()):
        if block.type in ("image", "document"):
            yield f"{place}.{number}", block
        elif block.type == "tool_result":
            yield from _files(f"{place}.{number}.content", block.content)


def _image(source: Source, place: str) -> _Image:
    where = f"{place}.image.source"
    if source.type != "base64":
        return _Image(*_PAGE)  # by its address or from the Files API: nobody looks there
    if source.media_type not in _MAGIC:
        raise _Fault(f"{where}.base64.media_type: Input should be {', '.join(map(repr, _MAGIC))}")
    if len(source.data or "") > _MAX_IMAGE_BASE64:
        raise _Fault(f"{where}.base64: image exceeds 10 MB maximum: {len(source.data or '')} bytes > {_MAX_IMAGE_BASE64} bytes")
    data = _decoded(source, where)
    if not data.startswith(_MAGIC[source.media_type]):
        raise _Fault(f"{where}.base64: The image does not match the provided media type {source.media_type}")
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except (ValueError, OSError):
        width = height = -1
    if width <= 0 or height <= 0:
        raise _Fault("Could not process image")
    if max(width, height) > _MAX_PIXELS:
        raise _Fault(f"{where}.base64.data: At least one of the image dimensions exceed max allowed size: {_MAX_PIXELS} pixels")
    return _Image(int(width), int(height))


def _document(block: Block, source: Source, place: str, of: _Models) -> int:
    """Its pages."""
    where = f"{place}.document.source"
    if source.type == "text":
        if source.media_type != "text/plain" or not source.data:
            raise _Fault(f"{where}.text: Input should be plain text")
        block.tokens = ceil(len(source.data) / 4)
        block.document = source.data[:_READ]
        return 0
    if source.type not in ("base64", "url", "file", "content"):
        raise _Fault(f"{where}: Input tag '{source.type}' found using 'type' does not match any of the expected tags")
    pages = 1
    if source.type == "base64":
        if source.media_type != "application/pdf":
            raise _Fault(f"{where}.base64.media_type: Input should be 'application/pdf'")
        pages, block.document = _read(_decoded(source, where))
    block.tokens = pages * (_TEXT_OF_A_PAGE + _tokens(*_PAGE, of))
    return pages


def _read(data: bytes) -> tuple[int, str]:
    """The number of pages, and the text on the first."""
    if b"%PDF-" not in data[:1024]:
        raise _Fault("The PDF specified was not valid.")
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD
        raise _Fault("The PDF specified is password protected." if locked else "The PDF specified was not valid.") from None
    try:
        if pypdfium2.raw.FPDF_GetSecurityHandlerRevision(document) != -1:
            raise _Fault("The PDF specified is password protected.")
        return len(document), _first_text(document)
    finally:
        document.close()


def _first_text(document: pypdfium2.PdfDocument) -> str:
    try:
        text: str = document[0].get_textpage().get_text_bounded()
    except (pypdfium2.PdfiumError, IndexError):
        return ""  # a page that cannot be shown has a number all the same
    return text[:_READ].replace("\r\n", "\n")


def _decoded(source: Source, where: str) -> bytes:
    try:
        data = binascii.a2b_base64(source.data or "", strict_mode=True)
    except (binascii.Error, ValueError):
        raise _Fault(f"{where}.base64.data: Invalid base64 data") from None
    if not data:
        raise _Fault(f"{where}.base64.data: The file is empty")
    return data


def _tokens(width: int, height: int, of: _Models) -> int:
    """A token for each square of 28 pixels, after it was scaled down."""
    scale = min(1.0, of.edge / max(width, height))
    return min(of.most_tokens, ceil(width * scale / _SQUARE) * ceil(height * scale / _SQUARE))
