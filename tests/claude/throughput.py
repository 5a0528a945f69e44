"""How fast the emulator is: ``python -m tests.claude.throughput``. It must never be what a measurement measures.

Plain sockets on both ends, so that no client library is in the way: a batch of 100,000 requests of 1 KB is created, its
results are rendered, and 1 GB of results is read.
"""

from __future__ import annotations

import json
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from local.claude.client import Control, start
from tests.claude.helpers import BATCHES, HEADERS, params

ROWS = 100_000
RESULTS_BYTES = 1_000_000_000
TEXT = "This lamp is good, but its cable is too short for a large desk. "


def write_body(file: Path) -> int:
    """Writes a create body of 100,000 requests of about 1 KB and returns its size."""
    prompt = f"Classify this review as positive, negative or neutral.\nReview: {TEXT * 14}"
    request = json.dumps(params(prompt)).encode()
    with file.open("wb") as body:
        body.write(b'{"requests":[')
        body.writelines(b'%s{"custom_id":"row-%d","params":%s}' % (b"," if row else b"", row, request) for row in range(ROWS))
        body.write(b"]}")
    return file.stat().st_size


def exchange(control: Control, method: str, path: str, body: Path | None = None) -> tuple[int, bytes]:
    """One call on a connection of its own; returns how many bytes came back, and the last few thousand of them."""
    address = urlsplit(control.base_url)
    fields = {"host": "localhost", "connection": "close", "content-length": str(body.stat().st_size if body else 0), **HEADERS}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    received, end, buffer = 0, b"", bytearray(1 << 20)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        if body:
            with body.open("rb") as file:
                connection.sendfile(file)
        while count := connection.recv_into(buffer):
            received += count
            end = (end + buffer[max(0, count - 4096) : count])[-4096:]
    return received, end


def main() -> None:
    """Measures and prints one line a figure."""
    with tempfile.TemporaryDirectory() as folder, start("--clock", "manual") as control:
        body = Path(folder) / "body.json"
        size = write_body(body)
        batch_id = ""
        for filler in (0, RESULTS_BYTES):
            control.settings(results_bytes=filler)
            began = time.perf_counter()
            batch_id = json.loads(exchange(control, "POST", BATCHES, body)[1].split(b"\r\n\r\n")[1])["id"]
            created = time.perf_counter()
            control.advance(10)
            rendered = time.perf_counter()
            received, _ = exchange(control, "GET", f"{BATCHES}/{batch_id}/results")
            read = time.perf_counter()
            for label, amount, seconds in (
                ("create", size, created - began),
                ("render", received, rendered - created),
                ("results", received, read - rendered),
            ):
                print(f"{label:8}{amount / 1e6:8.0f} MB {seconds:8.2f} s {amount / 1e6 / seconds:8.0f} MB/s")


if __name__ == "__main__":
    main()
