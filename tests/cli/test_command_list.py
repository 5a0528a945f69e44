"""The list of commands: their order in the help, and how a shell completes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from batchdrop_cli.main import batchdrop
from tests.docs.pages import ROOT

_MORE = ["switch", "doctor", "compare", "audit"]


def test_commands_stand_in_the_order_in_which_people_meet_them() -> None:
    printed = CliRunner().invoke(batchdrop, ["--help"]).stdout
    first, more = printed.partition("\nCommands:\n")[2].split("\n\nMore:\n")
    named = [re.findall(r"^  (\w+)", part, re.MULTILINE) for part in (first, more)]
    assert named == [["try", "drop", "jobs", "status", "fetch", "open", "approve", "cancel", "retry", "estimate"], _MORE]
    assert [line for line in f"{first}\n{more}".splitlines() if len(line) > 80 or line.endswith("...")] == []


def test_no_command_is_left_out_of_the_list() -> None:
    context = click.Context(batchdrop)
    found = {name: batchdrop.get_command(context, name) for name in batchdrop.list_commands(context)}
    modules = {command.callback.__module__ for command in found.values() if command and command.callback}
    folder = ROOT / "cli"
    files = {".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*command.py")}
    assert modules == files
    assert {name: command and command.name for name, command in found.items()} == {name: name for name in found}


def test_a_name_that_is_none_is_refused() -> None:
    said = CliRunner().invoke(batchdrop, ["stats"])
    assert (said.exit_code, "No such command 'stats'" in said.output) == (2, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    assert set(_completed(shell, "batchdrop s")) == {"status", "switch"}
    assert "--watch" in _completed(shell, "batchdrop status --w")


def _completed(shell: str, line: str) -> list[str]:
    """What click answers to a shell that completes the last word of a line."""
    words = line.split()
    asked = {"COMP_WORDS": line, "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "batchdrop_cli"],
        env={**os.environ, **asked, "_BATCHDROP_COMPLETE": f"{shell}_complete", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    # Zsh: kind, word and help, a line each. The others: kind and word, and for fish the help behind a tab.
    return lines[1::3] if shell == "zsh" else [line.partition(",")[2].partition("\t")[0] for line in lines]
