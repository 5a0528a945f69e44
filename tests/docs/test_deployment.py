"""What the page on deployment passes to the template of a release, that template takes, and what it reads, that template has."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT
from tests.template import facts

_PAGE = (ROOT / "docs" / "deployment.md").read_text()
_TEMPLATE = facts.source()


def test_parameters_of_the_examples_exist() -> None:
    shell = re.findall(r"ParameterKey=(\w+)", _PAGE) + re.findall(r"--parameter-overrides (\w+)=", _PAGE)
    (terraform,) = re.findall(r"parameters = \{(.*?)\}", _PAGE, re.DOTALL)
    (cdk,) = re.findall(r"parameters=\{(.*?)\}", _PAGE)
    for named in (shell, re.findall(r"(\w+) *=", terraform), re.findall(r'"(\w+)":', cdk)):
        assert named
        assert set(named) <= set(_TEMPLATE["Parameters"])


def test_outputs_of_the_examples_exist() -> None:
    named = re.findall(r'outputs\["(\w+)"\]', _PAGE) + re.findall(r'"Outputs\.(\w+)"', _PAGE)
    assert len(named) == 2
    assert set(named) <= set(_TEMPLATE["Outputs"])


def test_the_name_of_the_schedule_is_as_long_as_it_says() -> None:
    assert _TEMPLATE["Resources"]["PollSchedule"]["Properties"]["Name"] == {"Fn::Sub": "${AWS::StackName}-poll"}
