"""The least that a plain loop does on the same files and servers: `python -m bench.floors S3_URL INPUT`.

plan: count the newlines. submit: put our id in place of the user's at a fixed place of each line, copy to disk, send. collect:
receive, copy to disk, parse each line. Plain sockets, no checks, no order, no checksums, no retries.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec

from bench.process import cpu_seconds
from local.claude.client import Control

_CHUNK = 1 << 18
_HEADERS = {"Authorization": "Bearer sk-ant-bench", "anthropic-version": "2026-10-21", "Content-Type": "application/json"}
_BATCHES = "/v1/messages/batches"


def _measured(step: Callable[[], str]) -> tuple[dict[str, float], str]:
    wall, cpu = time.perf_counter(), cpu_seconds()
    answer = step()
    return {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}, answer


def _answer(address: str, method: str, path: str, body: Path | None = None) -> Iterator[bytes]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, blocksize=_CHUNK)
    headers = {**_HEADERS, "Content-Length": str(body.stat().st_size if body else 0)}
    if body:
        with body.open("rb", buffering=0) as file:
            connection.request(method, path, file, headers)
    else:
        connection.request(method, path, headers=headers)
    response = connection.getresponse()
    while chunk := response.read(_CHUNK):
        yield chunk
    connection.close()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def count(s3: str, path: str) -> str:
    return str(sum(chunk.count(b"\n") for chunk in _answer(s3, "GET", path)))


def send(s3: str, path: str, claude: str, body: Path) -> str:
    with body.open("wb", buffering=1 << 20) as out:
        out.write(b'{"requests":[')
        for number, line in enumerate(_lines(_answer(s3, "GET", path))):
            # {"custom_id":"review 00000001","params":
            out.write(b'%b{"custom_id":"line-%d%b' % (b"," if number else b"", number, line[29:]))
        out.write(b"]}")
    batch: str = json.loads(b"".join(_answer(claude, "POST", _BATCHES, body)))["id"]
    return batch


def receive(claude: str, batch: str, copy: Path) -> str:
    decode = msgspec.json.decode
    with copy.open("wb", buffering=1 << 20) as out:
        for line in _lines(_answer(claude, "GET", f"{_BATCHES}/{batch}/results")):
            decode(line)
            out.write(line)
    return ""


def main(s3: str, path: str) -> None:
    claude = os.environ["ANTHROPIC_BASE_URL"]
    with TemporaryDirectory() as folder:
        plan, _ = _measured(lambda: count(s3, path))
        submit, batch = _measured(lambda: send(s3, path, claude, Path(folder) / "body"))
        Control(claude).advance(3600)
        collect, _ = _measured(lambda: receive(claude, batch, Path(folder) / "copy"))
    print(json.dumps({"plan": plan, "submit": submit, "collect": collect}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
