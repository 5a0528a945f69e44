"""Bring a file into the bucket, and know which version of the object it became: the name of its job is made of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from batchdrop.adapters.part_plan import MAX_PARTS, MIB
from batchdrop.adapters.s3 import PART_BYTES
from batchdrop_client.bucket import Bucket
from batchdrop_client.errors import StackError
from batchdrop_client.plain_text import plain

_CONNECTIONS = 4
# S3 refuses parts whose checksum differs in kind from what the upload announced.
_CHECKSUM: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"}


class Upload(NamedTuple):
    bucket: Bucket
    key: str
    metadata: Mapping[str, str]
    sent: Callable[[int], object]
    """Told how many bytes more are there, from several threads."""

    def __call__(self, path: Path) -> str | None:
        """The version id of the object; None in a bucket without versions. Raises StackError, OSError, and what boto3 raises.

        What was begun is given up after an exception, Ctrl-C included.
        """
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            size = before.st_size
            made = self._whole(file.read()) if size <= PART_BYTES else self._in_parts(file, size)
            after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (size, before.st_mtime_ns):
            raise StackError(f"{plain(path.name)} was changed while it was read: what was dropped may be half of either.")
        return _version(made)

    def marker(self) -> str | None:
        """An empty object."""
        return _version(self._whole(b""))

    def _whole(self, body: bytes) -> Any:  # noqa: ANN401 - boto3's answer
        made = self.bucket.client.put_object(**self._address(), Body=body, Metadata=dict(self.metadata), **_CHECKSUM)
        self.sent(len(body))
        return made

    def _in_parts(self, file: io.BufferedReader, size: int) -> Any:  # noqa: ANN401 - boto3's answer
        client = self.bucket.client
        part_bytes = max(PART_BYTES, -(-size // MAX_PARTS // MIB) * MIB)
        begun = client.create_multipart_upload(**self._address(), Metadata=dict(self.metadata), **_CHECKSUM)
        upload: dict[str, Any] = {**self._address(), "UploadId": begun["UploadId"]}

        def put(number: int) -> Any:  # noqa: ANN401 - boto3's answer
            body = os.pread(file.fileno(), part_bytes, (number - 1) * part_bytes)
            made = client.upload_part(**upload, PartNumber=number, Body=body, **_CHECKSUM)
            self.sent(len(body))
            known = {name: made[name] for name in ("ETag", "ChecksumCRC32") if name in made}
            return {**known, "PartNumber": number}

        pool = ThreadPoolExecutor(_CONNECTIONS)
        try:
            parts = list(pool.map(put, range(1, -(-size // part_bytes) + 1)))
            return client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            pool.shutdown(cancel_futures=True)
            # The bucket's lifecycle rule ends what cannot be ended from here.
            with suppress(ClientError, BotoCoreError):
                client.abort_multipart_upload(**upload)
            raise
        finally:
            pool.shutdown(wait=False)

    def _address(self) -> Any:  # noqa: ANN401 - boto3's arguments
        return {"Bucket": self.bucket.name, "Key": self.key}


def _version(made: Any) -> str | None:  # noqa: ANN401 - boto3's answer
    """S3 calls the version of an object without one `null`."""
    version = made.get("VersionId")
    return None if version == "null" else version
