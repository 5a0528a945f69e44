"""The template as CloudFormation gets it: after the SAM transform, with the default parameters."""

from __future__ import annotations

import pytest

from tests.template import facts
from tests.template.facts import ROOT, Resources, Template

__all__ = ["ROOT", "Resources", "Template"]


@pytest.fixture(scope="session")
def source() -> Template:
    return facts.source()


@pytest.fixture(scope="session")
def translated(source: Template) -> Template:
    return facts.translate(source)


@pytest.fixture(scope="session")
def resources(translated: Template) -> Resources:
    found: Resources = translated["Resources"]
    return found
