"""As much of S3 as Batchdrop uses, from files on disk, in a process of its own: `python -m bench.standin FOLDER`.

It is here to cost nothing: an object is a list of pieces of files, so a server-side copy moves no byte, a body goes from the
socket to disk and from disk to the socket, and an ETag is a number. It checks conditions, ranges and versions, and no signature.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

FILE_HEADER = "x-standin-file"
"""A PUT with this header takes the file it names as the object, and has no body."""
_BUFFER = 1 << 20
_PAGE = 1_000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PART = re.compile(rb"<PartNumber>(\d+)</PartNumber>")
_VERSION = re.compile(r"<Key>([^<]*)</Key><VersionId>([^<]*)</VersionId>")


class Piece(NamedTuple):
    path: str
    start: int
    size: int


class Stored(NamedTuple):
    pieces: tuple[Piece, ...]
    etag: str
    written_at: str
    metadata: Mapping[str, str] = MappingProxyType({})
    """Headers, as they came."""

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    def cut(self, start: int, end: int) -> Iterable[Piece]:
        """The pieces that hold bytes [start, end)."""
        offset = 0
        for piece in self.pieces:
            first, last = max(start - offset, 0), min(end - offset, piece.size)
            if first < last:
                yield Piece(piece.path, piece.start + first, last - first)
            offset += piece.size


class Upload(NamedTuple):
    key: str
    begun_at: str
    metadata: Mapping[str, str]
    parts: dict[int, Stored]


class Store:
    """One bucket. Versions are kept while the process runs; the version id of an object is its ETag."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._newest: dict[str, str] = {}
        self._versions: dict[tuple[str, str], Stored] = {}
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def fresh_file(self) -> Path:
        return self._folder / f"{self.number():08d}"

    def number(self) -> int:
        return next(self._numbers)

    def stored(self, pieces: Iterable[Piece]) -> Stored:
        return Stored(tuple(pieces), f"{self.number():032x}", formatdate(usegmt=True))

    def find(self, key: str, version: str | None) -> Stored | None:
        return self._versions.get((key, version or self._newest.get(key, "")))

    def keep(self, key: str, stored: Stored, *, once: bool, over: str | None = None) -> bool:
        """False: there is an object, and it is kept."""
        with self._lock:
            if (once and key in self._newest) or (over is not None and self._newest.get(key) != over):
                return False
            self._versions[key, stored.etag] = stored
            self._newest[key] = stored.etag
            return True

    def begin(self, key: str, metadata: Mapping[str, str]) -> str:
        upload = f"upload-{self.number():08d}"
        self._uploads[upload] = Upload(key, datetime.now(UTC).isoformat(), metadata, {})
        return upload

    def uploads(self, prefix: str) -> list[tuple[str, Upload]]:
        with self._lock:
            return sorted((name, upload) for name, upload in self._uploads.items() if upload.key.startswith(prefix))

    def upload(self, name: str) -> Upload | None:
        return self._uploads.get(name)

    def join(self, upload: Upload, numbers: Iterable[int]) -> Stored:
        joined = self.stored(piece for number in numbers for piece in upload.parts[number].pieces)
        return joined._replace(metadata=upload.metadata)

    def drop(self, upload: str) -> None:
        self._uploads.pop(upload, None)

    def forget(self, key: str) -> None:
        self._newest.pop(key, None)

    def folders(self, prefix: str, after: str, limit: int) -> list[str]:
        behind = (key.removeprefix(prefix) for key in self._newest if key.startswith(prefix) and key > after)
        return sorted({f"{prefix}{rest.split('/')[0]}/" for rest in behind if "/" in rest})[:limit]

    def keys(self, prefix: str, after: str, limit: int) -> list[str]:
        return sorted(key for key in self._newest if key.startswith(prefix) and key > after)[:limit]

    def versions(self, prefix: str, after: str, limit: int) -> list[tuple[str, Stored, bool]]:
        """Key, version, and whether it is the newest of its key."""
        found = sorted(one for one in self._versions if one[0].startswith(prefix) and one[0] > after)[:limit]
        return [(key, self._versions[key, version], self._newest.get(key) == version) for key, version in found]

    def remove(self, key: str, version: str) -> None:
        del self._versions[key, version]
        if self._newest.get(key) == version:
            self.forget(key)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Server

    def handle_expect_100(self) -> bool:
        """The client waits for this line before it sends a body."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    # ---------------------------------------------------------------- objects

    def do_HEAD(self) -> None:
        key, query = self._target()
        stored = self.server.store.find(key, query.get("versionId"))
        if stored is None:
            self._answer(404, {"Content-Length": "0"})
            return
        self._answer(200, {**_described(stored), "Content-Length": str(stored.size)})

    def do_GET(self) -> None:
        key, query = self._target()
        if "uploads" in query:
            self._list_uploads(query.get("prefix", ""))
            return
        if "uploadId" in query:
            self._list_parts(query["uploadId"], int(query.get("part-number-marker", 0)))
            return
        if not key:
            self._list(query)
            return
        stored = self.server.store.find(key, query.get("versionId"))
        if stored is None:
            self._refuse(404, "NoSuchKey")
        elif self.headers.get("If-Match", stored.etag).strip('"') != stored.etag:
            self._refuse(412, "PreconditionFailed")
        else:
            self._send(stored)

    def _list(self, query: dict[str, str]) -> None:
        """All versions below a prefix, the folders right below it, or one page of its keys: nothing else is asked for."""
        store, prefix, limit = self.server.store, query["prefix"], int(query.get("max-keys", _PAGE))
        if "versions" in query:
            found = store.versions(prefix, query.get("key-marker", ""), limit)
            text = "".join(
                f"<Version><Key>{quote(key)}</Key><VersionId>{stored.etag}</VersionId><IsLatest>{str(newest).lower()}</IsLatest>"
                f'<ETag>"{stored.etag}"</ETag><Size>{stored.size}</Size></Version>'
                for key, stored, newest in found
            )
            self._answer_xml(f"<ListVersionsResult><EncodingType>url</EncodingType>{text}</ListVersionsResult>")
            return
        if "delimiter" not in query:
            keys = store.keys(prefix, query.get("start-after", ""), limit)
            text = "".join(f"<Contents><Key>{quote(key)}</Key></Contents>" for key in keys)
            self._answer_xml(f"<ListBucketResult><EncodingType>url</EncodingType>{text}</ListBucketResult>")
            return
        names = store.folders(prefix, query.get("start-after", ""), limit)
        text = "".join(f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>" for name in names)
        self._answer_xml(f"<ListBucketResult><EncodingType>url</EncodingType>{text}</ListBucketResult>")

    def _send(self, stored: Stored) -> None:
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start, end = 0, stored.size
        if asked is not None:
            start, end = int(asked[1]), min(int(asked[2]) + 1, stored.size) if asked[2] else stored.size
            if start >= stored.size:
                self._refuse(416, "InvalidRange")
                return
        headers = {**_described(stored), "Content-Length": str(end - start)}
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
        self._answer(200 if asked is None else 206, headers)
        self.wfile.flush()
        for piece in stored.cut(start, end):
            self._send_piece(piece)

    def _send_piece(self, piece: Piece) -> None:
        with open(piece.path, "rb", buffering=0) as file:
            self.connection.sendfile(file, piece.start, piece.size)

    def _list_uploads(self, prefix: str) -> None:
        """All of them on one page."""
        found = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{name}</UploadId><Initiated>{upload.begun_at}</Initiated></Upload>"
            for name, upload in self.server.store.uploads(prefix)
        )
        self._answer_xml(f"<ListMultipartUploadsResult>{found}</ListMultipartUploadsResult>")

    def _list_parts(self, name: str, marker: int) -> None:
        upload = self.server.store.upload(name)
        if upload is None:
            self._refuse(404, "NoSuchUpload")
            return
        numbers = sorted(number for number in upload.parts if number > marker)
        page = numbers[:_PAGE]
        found = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{upload.parts[number].etag}"</ETag>'
            f"<Size>{upload.parts[number].size}</Size></Part>"
            for number in page
        )
        more = (
            f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" if numbers[_PAGE:] else ""
        )
        self._answer_xml(f"<ListPartsResult>{more}{found}</ListPartsResult>")

    def do_PUT(self) -> None:
        key, query = self._target()
        stored = self._copied(self.headers["x-amz-copy-source"]) if "x-amz-copy-source" in self.headers else self._received()
        if stored is None:
            self._refuse(404, "NoSuchKey")
        elif "partNumber" in query:
            upload = self.server.store.upload(query["uploadId"])
            if upload is None:
                self._refuse(404, "NoSuchUpload")
                return
            upload.parts[int(query["partNumber"])] = stored
            self._answer_part(stored, is_copy="x-amz-copy-source" in self.headers)
        elif self.server.store.keep(key, stored._replace(metadata=self._metadata()), once=self._once(), over=self._over()):
            self._answer(200, {"ETag": f'"{stored.etag}"', "x-amz-version-id": stored.etag, "Content-Length": "0"})
        else:
            self._refuse(412, "PreconditionFailed")

    def _answer_part(self, stored: Stored, *, is_copy: bool) -> None:
        if is_copy:
            self._answer_xml(f'<CopyPartResult><ETag>"{stored.etag}"</ETag></CopyPartResult>')
        else:
            self._answer(200, {"ETag": f'"{stored.etag}"', "Content-Length": "0"})

    def _received(self) -> Stored:
        if FILE_HEADER in self.headers:
            path = self.headers[FILE_HEADER]
            return self.server.store.stored([Piece(path, 0, os.path.getsize(path))])
        path = str(self.server.store.fresh_file())
        left = size = int(self.headers["Content-Length"])
        buffer = memoryview(bytearray(min(_BUFFER, max(left, 1))))
        with open(path, "wb", buffering=0) as file:
            while left:
                count = self.rfile.readinto(buffer[:left])
                if not count:
                    raise ConnectionError("the body ended early")
                file.write(buffer[:count])
                left -= count
        return self.server.store.stored([Piece(path, 0, size)])

    def _copied(self, source: str) -> Stored | None:
        place = urlsplit(source)
        key = unquote(place.path.lstrip("/").partition("/")[2])
        found = self.server.store.find(key, parse_qs(place.query).get("versionId", [None])[0])
        asked = _RANGE.fullmatch(self.headers.get("x-amz-copy-source-range", ""))
        if found is None or asked is None:
            return None
        return self.server.store.stored(found.cut(int(asked[1]), int(asked[2]) + 1))

    def do_DELETE(self) -> None:
        key, query = self._target()
        if "uploadId" in query:
            self.server.store.drop(query["uploadId"])
        else:
            self.server.store.forget(key)
        self._answer(204, {})

    def do_POST(self) -> None:
        key, query = self._target()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in query:
            name = self.server.store.begin(key, self._metadata())
            self._answer_xml(f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>")
            return
        if "delete" in query:
            for name, version in _VERSION.findall(body.decode()):
                self.server.store.remove(unescape(name), version)
            self._answer_xml("<DeleteResult></DeleteResult>")
            return
        upload = self.server.store.upload(query["uploadId"])
        if upload is None:
            self._refuse(404, "NoSuchUpload")
            return
        stored = self.server.store.join(upload, map(int, _PART.findall(body)))
        if self.server.store.keep(key, stored, once=self._once()):
            self.server.store.drop(query["uploadId"])
            self._answer_xml(f'<CompleteMultipartUploadResult><ETag>"{stored.etag}"</ETag></CompleteMultipartUploadResult>')
        else:
            self._refuse(412, "PreconditionFailed")

    # ---------------------------------------------------------------- answers

    def _target(self) -> tuple[str, dict[str, str]]:
        place = urlsplit(self.path)
        key = unquote(place.path.lstrip("/").partition("/")[2])
        return key, {name: values[0] for name, values in parse_qs(place.query, keep_blank_values=True).items()}

    def _metadata(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}

    def _once(self) -> bool:
        return self.headers.get("If-None-Match") == "*"

    def _over(self) -> str | None:
        etag = self.headers.get("If-Match")
        return None if etag is None else etag.strip('"')

    def _answer_xml(self, text: str) -> None:
        body = text.encode()
        self._answer(200, {"Content-Type": "application/xml", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self._answer(status, {"Content-Type": "application/xml", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the base class's signature
        """Nothing is logged."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: Store) -> None:
        self.store = store
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


def _described(stored: Stored) -> dict[str, str]:
    return {
        "ETag": f'"{stored.etag}"',
        "Last-Modified": stored.written_at,
        "x-amz-version-id": stored.etag,
        "Accept-Ranges": "bytes",
        **stored.metadata,
    }


def main(folder: Path, ready: Callable[[str], None] = print) -> None:
    server = Server(Store(folder))
    ready(f"http://127.0.0.1:{server.server_address[1]}")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
