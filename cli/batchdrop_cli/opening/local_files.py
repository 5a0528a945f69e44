"""The part of the ports that opening a file needs, over this machine's files. A key is a path."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self, cast

from batchdrop.domain.errors import ObjectGone
from batchdrop.domain.records import ObjectRef
from batchdrop.ports import Ledger, ObjectInfo, Objects


def ref_of(path: Path) -> ObjectRef:
    return ObjectRef(bucket="", key=path.absolute().as_posix(), size=path.stat().st_size)


class _Files:
    @contextmanager
    def read(self, ref: ObjectRef, start: int = 0, end: int | None = None) -> Iterator[BinaryIO]:
        try:
            file = Path(ref.key).open("rb")  # noqa: SIM115 - closed below
        except FileNotFoundError:
            raise ObjectGone(ref.key) from None
        with file:
            file.seek(start)
            # Whoever names an end wants a small piece.
            yield file if end is None else io.BytesIO(file.read(end - start))

    def head(self, key: str, version_id: str | None = None, *, bucket: str) -> ObjectInfo:  # noqa: ARG002 - there is one
        try:
            return ObjectInfo(ref=ref_of(Path(key)), written_at=datetime.fromtimestamp(0, UTC))
        except OSError:
            raise ObjectGone(key) from None

    @contextmanager
    def resume(self, key: str) -> Iterator[_Copy]:
        with Path(key).open("wb") as file:
            yield _Copy(file)

    def writer(self, key: str) -> _Copy:
        return _Copy(Path(key).open("wb"))

    def delete(self, key: str) -> None:
        Path(key).unlink(missing_ok=True)


class _Copy:
    """A file that is written at one go."""

    stored = 0
    complete = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def close(self) -> bool:
        self._file.close()
        return True

    def abort(self) -> None:
        self._file.close()
        Path(self._file.name).unlink(missing_ok=True)


class _NoTable:
    """What a machine without a stack knows: of models what this version knows by itself, and no job."""

    def get_models(self) -> None:
        return None

    def get_job(self, job_id: str) -> None:  # noqa: ARG002 - none is known
        return None


# Of each port this is the part that has to do with files here; mypy holds nobody to more than that here.
LOCAL_FILES = cast("Objects", _Files())
NO_TABLE = cast("Ledger", _NoTable())
