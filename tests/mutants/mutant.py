"""A breakage of the code, and the test that notices it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Stale(Exception):
    """The code has changed, and a mutant no longer says how to break it."""


class Mutant(NamedTuple):
    undoes: str
    """The promise that is broken, as a person would say it."""
    file: str
    """From the top of the project."""
    was: str
    """Text that stands in the file exactly once."""
    becomes: str
    noticed_by: str
    """The test that fails: `tests/unit/test_retries.py::test_name`."""

    def mutated(self, source: str) -> str:
        """Raises Stale."""
        found = source.count(self.was)
        if found != 1:
            raise Stale(f"{self.file} has {found} times {self.was!r}")
        return source.replace(self.was, self.becomes)

    def check(self, root: Path = ROOT) -> None:
        """Whether it can be applied, still is Python, and names a test that exists. Raises Stale."""
        source = (root / self.file).read_text()
        ast.parse(self.mutated(source))
        path, _, name = self.noticed_by.partition("::")
        tests = ast.parse((root / path).read_text())
        if name not in {node.name for node in tests.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}:
            raise Stale(f"{path} has no {name}")
