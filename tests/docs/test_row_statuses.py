"""A new row status touches four places: where it is declared, where a result gets it, its remedy, and README's sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from batchdrop.domain.records import RowStatus
from local.paths import ROOT

_LAYER = ROOT / "layers" / "core" / "batchdrop"
_DECLARED = "domain/records.py"
_ROUTED = "stages/collect/route.py"
_REMEDIES = "reports/remedies.py"
_SENTENCE = re.compile(r"^Every row ends as exactly one of (.+?)\. ", re.MULTILINE | re.DOTALL)
# The API itself has four of them: a file that names one of ours besides counts rows by status.
_STATUSES = {status.value for status in RowStatus}
_TOO_MANY = len(_STATUSES) - 1


def _words(tree: ast.AST) -> Iterator[str]:
    """Names of fields, attributes and keyword arguments, and whole strings."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=word) | ast.keyword(arg=str(word)) | ast.Name(id=word) | ast.Constant(value=str(word)):
                yield word


def _lists(path: Path) -> bool:
    return len(_STATUSES & set(_words(ast.parse(path.read_text())))) >= _TOO_MANY


def test_a_row_status_is_named_where_it_is_declared_and_where_it_is_given() -> None:
    found = {str(path.relative_to(_LAYER)) for path in _LAYER.rglob("*.py") if _lists(path)}
    assert found <= {_DECLARED, _ROUTED, _REMEDIES}
    assert _DECLARED in found


def test_the_readme_names_every_row_status() -> None:
    told = _SENTENCE.search((ROOT / "README.md").read_text())
    assert told
    assert set(re.findall(r"`(\w+)`", told[1])) == _STATUSES
