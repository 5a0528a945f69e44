"""The documents and images that rows of a file on this machine name: paths from the folder of that file on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchdrop.adapters.inspector import ChildInspector
from batchdrop.domain.file_names import SCHEME, Located
from batchdrop.jobs.scratch import scratch
from batchdrop.stages.plan.name_files import FileFault, JobFiles
from batchdrop_cli.opening.local_files import LOCAL_FILES

ELSEWHERE = (
    "is in a bucket, and only files of this machine can be tried here. Name it by its path from the folder of the file on."
)
_NOT_THERE = "is not there. Name it by its path from the folder of the file on."


@contextmanager
def named_files(folder: Path) -> Iterator[JobFiles]:
    def find(name: str) -> Located:
        if name.startswith(SCHEME):
            raise FileFault("file_not_found", ELSEWHERE)
        try:
            path = (folder / name).resolve()
            there = path.is_relative_to(folder.resolve()) and path.is_file()
        except (OSError, ValueError):  # no file system takes such a name
            there = False
        if not there:
            raise FileFault("file_not_found", _NOT_THERE)
        try:
            path.open("rb").close()
        except OSError as error:
            raise FileFault("file_not_found", f"cannot be read here: {error.strerror}.") from None
        return Located("", path.as_posix())

    inspect = ChildInspector()
    with scratch() as scratched:
        try:
            yield JobFiles(LOCAL_FILES, inspect, find, scratched / "file", lambda: True)
        finally:
            inspect.close()
