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
        mutated = self.mutated((root / self.file).read_text())
        if self.file.endswith(".py"):
            ast.parse(mutated)
        path, *names = self.noticed_by.partition("[")[0].split("::")
        scope: ast.AST | None = ast.parse((root / path).read_text())
        for name in names:
            scope = _defined_in(scope, name)
        if scope is None or not names:
            raise Stale(f"there is no {self.noticed_by}")


def _defined_in(scope: ast.AST | None, name: str) -> ast.AST | None:
    if not isinstance(scope, ast.Module | ast.ClassDef):
        return None
    named = (node for node in scope.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    return next((node for node in named if node.name == name), None)
