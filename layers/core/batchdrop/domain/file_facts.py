"""What is known of a file that a request names, once it was looked at."""

from __future__ import annotations

from batchdrop.domain.record import Record


class FileFacts(Record, frozen=True, kw_only=True):
    media_type: str = ""
    """By its content."""
    pages: int = 0
    """Of a PDF."""
    width: int = 0
    height: int = 0
    """Of an image, in pixels."""
    escaped: int = 0
    """Of a text: bytes as a JSON string, without the quotes."""
    fault: str = ""
    """Why it cannot be sent, as an error type; the rest says nothing then."""
    message: str = ""
    """The rest of a sentence about the file: what is wrong with it, and what to do."""


UNREADABLE = FileFacts(fault="unreadable_file", message="cannot be read, or takes too long to: it may be damaged. Save it anew.")
