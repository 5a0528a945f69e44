"""A release has one number: pyproject.toml, CHANGELOG.md and the tag."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from local.paths import ROOT

_CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-01-31\n\n### Added\n\n- A thing.\n\n## [1.1.0] - 2025-12-01\n"
_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@example.com" for who in ("AUTHOR", "COMMITTER")},
}


class Checkout:
    """A repository with version 1.2.0, whose check passes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")
        self.commit(
            {
                "pyproject.toml": '[project]\nversion = "1.2.0"\n',
                "CHANGELOG.md": _CHANGELOG,
                "Makefile": "check:\n\t@echo checked\n",
            }
        )

    def commit(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change")

    def git(self, *arguments: str) -> str:
        return self._run("git", *arguments, check=True).stdout.strip()

    def release(self) -> subprocess.CompletedProcess[str]:
        return self._run(str(ROOT / ".ci" / "release"))

    def _run(self, *command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.folder, env=_ENVIRONMENT, text=True, capture_output=True, check=check)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def refused(checkout: Checkout) -> str:
    """Why nothing was tagged."""
    before = checkout.git("tag")
    done = checkout.release()
    assert done.returncode != 0
    assert checkout.git("tag") == before
    return done.stderr.strip()


def test_the_version_here_is_the_newest_in_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == version
    assert "Unreleased" not in headings[1:]


def test_a_release_is_checked_and_gets_an_annotated_tag(checkout: Checkout) -> None:
    done = checkout.release()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("checked\n")
    assert checkout.git("tag") == "v1.2.0"
    assert checkout.git("cat-file", "-t", "v1.2.0") == "tag"
    assert checkout.git("rev-list", "-n1", "v1.2.0") == checkout.git("rev-parse", "HEAD")


def test_two_versions_are_no_release(checkout: Checkout) -> None:
    checkout.commit({"pyproject.toml": '[project]\nversion = "1.3.0"\n'})
    assert refused(checkout) == "pyproject.toml has version 1.3.0, but the newest version in CHANGELOG.md is 1.2.0."


def test_entries_that_no_version_holds_are_no_release(checkout: Checkout) -> None:
    checkout.commit({"CHANGELOG.md": _CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- Another thing.\n")})
    assert "under Unreleased" in refused(checkout)


def test_a_version_without_a_date_is_no_release(checkout: Checkout) -> None:
    checkout.commit({"CHANGELOG.md": _CHANGELOG.replace("2026-01-31", "unreleased")})
    assert "no date for 1.2.0" in refused(checkout)


@pytest.mark.parametrize("name", ["CHANGELOG.md", "new.txt"])
def test_a_tree_with_changes_is_no_release(name: str, checkout: Checkout) -> None:
    with (checkout.folder / name).open("a") as file:
        file.write("\n")
    assert refused(checkout) == "The working tree has changes: commit them first."


def test_a_version_is_released_once(checkout: Checkout) -> None:
    checkout.git("tag", "v1.2.0")
    assert refused(checkout) == "The tag v1.2.0 exists."


def test_what_fails_its_check_is_no_release(checkout: Checkout) -> None:
    checkout.commit({"Makefile": "check:\n\t@echo broken >&2; exit 1\n"})
    assert refused(checkout).startswith("broken\n")
