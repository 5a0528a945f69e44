"""What the documents name exists: links, make targets, files, modules, parameters."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import batchdrop_client
from tests.docs.pages import METRICS, PAGES, ROOT, anchors, code, commands, links, name_of
from tests.template import facts

_TEMPLATE = facts.source()
_TARGETS = frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
_OWN_FOLDERS = ("docs/", "examples/", "functions/", "layers/", "local/", "requirements/", "tests/")
_MADE = re.compile(r"[<>*{]|\.\.\.")
_PARAMETER = re.compile(r"(?:[A-Z][a-z0-9]+){2,}(?:MiB|Arn)?")
_each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@_each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@_each_page
def test_make_targets_exist(page: Path) -> None:
    said = "\n".join([*commands(page), *code(page)])
    named = set(re.findall(r"(?:^|&& |[A-Z_]+=\S+ )make ([a-z]+)", said, re.MULTILINE))
    assert named <= _TARGETS


@_each_page
def test_files_exist(page: Path) -> None:
    said = [*code(page), *(word for line in commands(page) for word in line.split("#")[0].split())]
    named = {
        text.partition("::")[0].rstrip("/")
        for text in said
        if text.startswith(_OWN_FOLDERS) and " " not in text and not _MADE.search(text)
    }
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@_each_page
def test_modules_exist(page: Path) -> None:
    named = set(re.findall(r"python -m ((?:local|tests)[\w.]*)", "\n".join([*commands(page), *code(page)])))
    assert sorted(name for name in named if find_spec(name) is None) == []


@_each_page
def test_nothing_of_one_machine_or_one_index(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"/(?:root|home|tmp/|work/main)|pyp[i]\.org|pythonhoste[d]", text.replace("`/tmp`", ""))


@_each_page
def test_names_in_the_template_exist(page: Path) -> None:
    """Words such as `MaxAttempts`, `UploadsQueue` and `HeartbeatAlarm`."""
    known = {*_TEMPLATE["Parameters"], *_TEMPLATE["Resources"], *_TEMPLATE["Outputs"], *METRICS, *_WORDS_OF_OTHERS, *_GRANTED}
    named = {text for text in code(page) if _PARAMETER.fullmatch(text)}
    assert sorted(named - known - _OF_THE_CLIENT) == []


# What the roles may do at Claude Platform on AWS.
_GRANTED = {
    action.partition(":")[2]
    for statement in facts.statements(_TEMPLATE["Resources"], facts.KEYLESS)
    for action in statement.actions
    if action.startswith("aws-external-anthropic:")
}
_OF_THE_CLIENT = set(batchdrop_client.__all__)
# AWS's, and the package's own exceptions.
_WORDS_OF_OTHERS = {
    "AccessDenied",
    "AutoPublishAlias",
    "AutoPublishCodeSha256",
    "ConditionCheckItem",
    "CountTokens",
    "CreateInference",
    "DependsOn",
    "ExpiredToken",
    "FilterLogEvents",
    "GetItem",
    "InvalidAction",
    "InvalidObjectState",
    "MaximumConcurrency",
    "ObjectGone",
    "OutOfDisk",
    "PutItem",
    "SqsManagedSseEnabled",
    "StartMessageMoveTask",
    "UpdateItem",
}


def test_every_target_of_make_is_explained() -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert explained == _TARGETS


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith("https://"))
        ahead += [target for target in targets if target.suffix == ".md"]
    assert sorted(name_of(page) for page in set(PAGES) - seen) == []
