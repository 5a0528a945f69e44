"""Removes from the dependencies layer what no function can reach: half its size, and time at every cold start.

botocore carries a description of every AWS service; the functions speak to the few in `SERVICES`. A client for another one
fails with `UnknownServiceError`, at once and by name.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

SERVICES = frozenset({"dynamodb", "events", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts"})


def unused(folder: Path) -> list[Path]:
    services = [path for path in (folder / "botocore" / "data").iterdir() if path.is_dir() and path.name not in SERVICES]
    tests = [path for path in folder.rglob("tests") if path.is_dir()]
    return [*services, *tests, folder / "bin", folder / "boto3" / "examples"]


def main(folder: Path) -> None:
    for path in unused(folder):
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
