"""The files of a job that has ended, brought here: whole or not at all, and never in the place of another."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from batchdrop.domain.records import ObjectRef
from batchdrop.formats.checksums import Crc64
from batchdrop_client.bucket import Bucket, aws_said
from batchdrop_client.errors import FileThere
from batchdrop_client.progress import Progress

OUTPUTS = (
    "results.csv",
    "results.jsonl",
    "failed.csv",
    "failed.jsonl",
    "complete.csv",
    "complete.jsonl",
    "tried.csv",
    "tried.jsonl",
    "documents.jsonl",
    "recipe.yaml",
    "report.html",
    "status.json",
    "manifest.json",
)
"""All that a job may leave, by names of our own: no name that stands in the bucket becomes one here."""
STARTER = ("recipe.yaml", "recipe.schema.json")
"""What lies beside the status of a job that waits for a recipe."""
_BUFFER = 1 << 20


def download(bucket: Bucket, ref: ObjectRef, path: Path, *, replace: bool = False, come: Progress = lambda _: None) -> None:
    """`come`: told how many bytes more are here. Raises FileThere, StackError, OSError.

    Whoever is killed leaves the file away, and beside it at most a hidden one that ends in `.part`.
    """
    with written(path, replace=replace) as file, aws_said(bucket.name), bucket.objects.read(ref) as stream:
        while chunk := stream.read(_BUFFER):
            file.write(chunk)
            come(len(chunk))


@contextmanager
def written(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """A file that gets its name when it is whole. Raises FileThere, OSError."""
    if os.path.lexists(path) and not replace:
        raise FileThere(path)
    part = path.with_name(f".batchdrop-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _place(part, path, replace=replace)
    finally:
        part.unlink(missing_ok=True)


def _place(part: Path, path: Path, *, replace: bool) -> None:
    if replace:
        part.replace(path)
        return
    try:
        os.link(part, path, follow_symlinks=False)
    except FileExistsError:
        raise FileThere(path) from None
    except OSError:
        # A file system without hard links.
        if os.path.lexists(path):
            raise FileThere(path) from None
        part.replace(path)


def check_free(paths: Iterable[Path]) -> None:
    """Raises FileThere for the first that is there."""
    for path in paths:
        if os.path.lexists(path):
            raise FileThere(path)


def is_copy(bucket: Bucket, ref: ObjectRef, path: Path) -> bool:
    """Whether a file here is that object, byte for byte. Raises StackError, OSError."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file, aws_said(bucket.name), bucket.objects.read(ref) as stream:
        while chunk := stream.read(_BUFFER):
            if file.read(len(chunk)) != chunk:
                return False
        return not file.read(1)


def is_same(path: Path, size: int, checksum: str) -> bool:
    """Whether a file here is that output. `checksum`: as the manifest has it. Raises OSError."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
        return False
    kind, _, digest = checksum.partition(":")
    with path.open("rb") as file:
        if kind == "sha256":
            return file_digest(file, "sha256").hexdigest() == digest
        crc = Crc64()
        while chunk := file.read(_BUFFER):
            crc.update(chunk)
        return kind == "crc64nvme" and crc.hex() == digest
