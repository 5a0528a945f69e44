"""What `batchdrop drop ... --wait` writes, of the last line the path, when it is piped."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from click.testing import CliRunner

from batchdrop_cli.main import batchdrop
from local.drops import EXAMPLES
from tests.docs.job_files import JOB
from tests.handlers.conftest import BUCKET, Cloud

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectVersionTypeDef

_A_JOB = re.compile(r"\d{8}T\d{6}Z-[a-z2-7]{16}")
_A_DURATION = re.compile(r"(?<=answer\. )\d+ minutes?(?=, \$)")
"""Of a machine that was busy with something else."""
_A_TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


def waited_for(cloud: Cloud, arguments: Sequence[str], example: str, home: Path) -> str:
    """In a folder that has the example and nothing else when it begins. Its times are a minute apart."""
    heard: set[str] = set()

    def pass_time(_: float) -> None:
        # What the functions write goes to their logs.
        with contextlib.redirect_stdout(io.StringIO()):
            new = [one for one in versions() if one["VersionId"] not in heard]
            for one in new:
                heard.add(one["VersionId"])
                cloud.invoke("plan", cloud.uploaded(one["Key"], one["VersionId"], one["Size"]))
            if not new:
                cloud.claude.advance(10)
                cloud.invoke("poll", cloud.event("poll-tick"))
            cloud.drain()

    def versions() -> list[ObjectVersionTypeDef]:
        return cloud.s3.list_object_versions(Bucket=BUCKET, Prefix=f"inbox/{arguments[3]}/").get("Versions", [])

    with contextlib.chdir(home), patch.object(time, "sleep", pass_time):
        shutil.copytree(EXAMPLES / example, home / "examples" / example)
        environment = {"COLUMNS": "100", "HOME": str(home), "BATCHDROP_FOLDER": None}
        done = CliRunner(mix_stderr=False).invoke(batchdrop, [*arguments], env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        said = (done.stderr + done.stdout).replace(f"{os.path.realpath(home)}/", "").replace(f"{home}/", "")
    said = _A_DURATION.sub("Less than a minute", said)
    minutes = count(31)
    return _A_TIME.sub(lambda _: f"08:{next(minutes)}:02 ", _A_JOB.sub(JOB, said)).rstrip()
