"""Each function in Lambda's image, on an event of a laptop system: what the page shows is what happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from local.stages import STAGES
from tests.e2e.laptop import ROOT, Laptop, home, running
from tests.local.invoked import compared, shown

pytestmark = pytest.mark.engine
_ASK = "from local import containers; containers.address()"


@pytest.fixture(scope="module")
def laptop() -> Iterator[Laptop]:
    # In a process of its own: the client leaves a socket open if nobody answers.
    asked = subprocess.run([sys.executable, "-c", _ASK], cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode:
        pytest.skip(asked.stderr.splitlines()[-1])
    with running(home("invoked")) as system:
        yield system


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_does_what_the_page_shows(laptop: Laptop, stage: str) -> None:
    done = laptop.invoke(stage)
    assert done.returncode == 0, done.stderr
    assert compared(done.stdout) == compared(shown(stage))
    laptop.wait(lambda: _is_quiet(laptop), "the deployed functions to do the rest")


def test_the_event_once_more_changes_nothing_whatever_the_shell_exports(laptop: Laptop) -> None:
    folder = laptop.home / "invoke"
    assert laptop.invoke("plan").returncode == 0
    laptop.wait(lambda: _is_quiet(laptop), "the deployed functions to do the rest")
    settings = ["--template-file", folder / "template.json", "--env-vars", folder / "variables.json"]
    others = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "BATCHDROP_TABLE": "another"}
    account = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_SESSION_TOKEN": "mine"}
    before = _state(laptop)
    done = subprocess.run(
        [
            ".venv/bin/sam",
            "local",
            "invoke",
            "PlanFunction",
            "--config-env",
            "local",
            *map(str, settings),
            "--event",
            folder / "plan.json",
        ],
        cwd=ROOT,
        env={**os.environ, **others, **account},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"batchItemFailures": []}, done.stderr
    assert "mine" not in (folder / "variables.json").read_text()
    assert _state(laptop) == before


def _is_quiet(laptop: Laptop) -> bool:
    """Nothing is open work."""
    return not any("shelf" in item for item in _items(laptop))


def _items(laptop: Laptop) -> list[dict[str, Any]]:
    pages = laptop.client("dynamodb").get_paginator("scan").paginate(TableName=laptop.env["BATCHDROP_TABLE"])
    return [item for page in pages for item in page["Items"]]


def _state(laptop: Laptop) -> tuple[list[Any], list[Any]]:
    """Jobs and batches, and every version of every object."""
    versions = laptop.s3.list_object_versions(Bucket=laptop.bucket)["Versions"]
    items = [item for item in _items(laptop) if "state" in item]
    return sorted(items, key=str), sorted((one["Key"], one["VersionId"]) for one in versions)
