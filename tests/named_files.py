"""Files that rows name: documents and images as small as they can be, or as large as they are wanted."""

from __future__ import annotations

import struct
import zlib


def pdf(pages: int = 1, size: int = 0, *, encrypted: bool = False) -> bytes:
    """`size`: bytes that it has at least."""
    kids = " ".join(f"{3 + number} 0 R" for number in range(pages))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {pages}/Kids[{kids}]>>".encode()]
    objects += [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>"] * pages
    if size:
        objects.append(b"<</Length %d>>\nstream\n%b\nendstream" % (size, b"\0" * size))
    if encrypted:
        secret = b"<%b>" % (b"00" * 32)
        objects.append(b"<</Filter/Standard/V 1/R 2/Length 40/P -4/O %b/U %b>>" % (secret, secret))
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    encrypt = b"/Encrypt %d 0 R/ID[<00><00>]" % len(objects) if encrypted else b""
    return bytes(out + b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, encrypt, start))


def png(width: int = 100, height: int = 50, size: int = 0) -> bytes:
    """White, and padded with a chunk of zeros."""
    pixels = zlib.compress(b"".join(b"\0" + b"\xff" * width for _ in range(height))) if width * height < 1_000_000 else b""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    padding = _chunk(b"teSt", b"\0" * size) if size else b""
    return b"\x89PNG\r\n\x1a\n" + head + padding + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def gif(width: int = 10, height: int = 10) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def jpeg(width: int = 10, height: int = 10) -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\1\x22\0\2\x11\1\3\x11\1"
    return b"\xff\xd8" + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + frame + b"\xff\xd9"


def webp(width: int = 10, height: int = 10) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
