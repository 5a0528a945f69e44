"""The pages of Batchdrop: files that load nothing and run nothing.

The policy in the head of each allows its own style and nothing else. Data stands in the text of elements only, escaped by the
template's name, its hidden characters as signs.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

import minijinja

from batchdrop.reports.visible import visible

_HERE = Path(__file__).parent
_NAME_CHARS = 80


def rendered(name: str, context: Mapping[str, object]) -> bytes:
    """HTML in UTF-8. `name`: of the template. Raises minijinja.TemplateError for what the template does not expect."""
    css = _read("report.css")
    style = f"sha256-{b64encode(sha256(css.encode()).digest()).decode()}"
    return _environment(name).render_template(name, css=css, style=style, **_seen(context)).encode()


@cache
def _environment(name: str) -> minijinja.Environment:
    """It escapes what it prints, because the template's name ends so."""
    return minijinja.Environment(templates={name: _read(name)}, undefined_behavior="strict")


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _seen(context: Mapping[str, object]) -> dict[str, object]:
    return {name: _seen_value(value) for name, value in context.items()}


def _seen_value(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return _seen(value)
    return [_seen_value(each) for each in value] if isinstance(value, list) else value


def middle(name: str) -> str:
    """A name that is too long, without its middle: beginning and ending tell it apart."""
    return name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS // 2]}...{name[-_NAME_CHARS // 2 + 3 :]}"
