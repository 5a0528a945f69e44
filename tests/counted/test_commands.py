"""What a command loads before it has something to do: help and completion are there at once."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from batchdrop_cli.main import batchdrop
from local.paths import ROOT

SLOW = {"anthropic", "boto3", "botocore", "msgspec", "rich"}
_CODE = """\
import atexit, sys
from batchdrop_cli.main import batchdrop
atexit.register(lambda: print("loaded", *({names!r} & sys.modules.keys()), file=sys.stderr))
batchdrop({arguments!r}, prog_name="batchdrop")
"""


def loaded(*arguments: str, **variables: str) -> tuple[str, set[str]]:
    """What it prints, and which of those it has loaded."""
    code = _CODE.format(names=SLOW, arguments=list(arguments))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'core'}", **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout, set(done.stderr.strip().splitlines()[-1].split()[1:])


@pytest.mark.parametrize("command", ["", *batchdrop.list_commands(click.Context(batchdrop))])
def test_help(command: str) -> None:
    said, found = loaded(*filter(None, [command]), "--help")
    assert f"Usage: batchdrop {command}".rstrip() in said
    assert found == set()


def test_a_command_loads_no_other() -> None:
    code = "import sys; from batchdrop_cli.main import batchdrop; batchdrop(['status', '--help'], standalone_mode=False);"
    code += "print(*(name for name in sys.modules if name.endswith('command') and name.startswith('batchdrop_cli.')))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'core'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "batchdrop_cli.following.status_command"


def test_completion() -> None:
    said, found = loaded(_BATCHDROP_COMPLETE="bash_complete", COMP_WORDS="batchdrop dr", COMP_CWORD="1")
    assert said == "plain,drop\n"
    assert found == set()


def test_the_module_loads_the_sdk_with_its_first_name_and_not_before() -> None:
    code = "import sys, batchdrop_client; print('boto3' in sys.modules); batchdrop_client.Stack; print('boto3' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'core'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        __import__("batchdrop_client").Nothing  # noqa: B018
