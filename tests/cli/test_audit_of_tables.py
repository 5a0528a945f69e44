"""The audit reads the tables of a job with a recipe, and speaks when somebody has tampered with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.test_job_audit import change_job, rewrite
from tests.stack import Stack
from tests.stages.row_jobs import RECIPE, label, prompt_of, run, said, stack_of


def finished(recipe: bytes = RECIPE, separator: str = ";") -> Stack:
    stack = stack_of(lambda custom_id, params: said("no") if "Odd" in prompt_of(params) else label(custom_id, params))
    rows = ["id;text", '1;"Good\nnews"', "2;Odd", "3;", "4;Good", ""]
    run(stack, "a.csv", "\n".join(rows).replace(";", separator).encode(), recipe)
    return stack


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_a_table_as_it_was_written_is_no_finding(separator: str) -> None:
    assert finished(separator=separator).audit() == []


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-2], lines[-1], lines[-2]]


TAMPERED: dict[str, tuple[str, Callable[[list[bytes]], list[bytes]], str]] = {
    "a row is gone": ("results.csv", lambda lines: lines[:-1], "lacks the row"),
    "a row of two lines is gone": ("results.csv", lambda lines: [lines[0], *lines[3:]], "where row 2"),
    "a row is there twice": ("results.csv", lambda lines: [*lines, lines[-1]], "there should be none"),
    "two rows have changed places": ("results.csv", _swapped, "where row 4"),
    "another status": ("results.csv", lambda lines: [line.replace(b"invalid", b"succeeded") for line in lines], "where row 4"),
    "a cell too many": ("results.csv", lambda lines: [*lines[:-1], lines[-1] + b";x"], "cells under"),
    "no header": ("results.csv", lambda lines: lines[1:], "header"),
    "a quote": ("results.csv", lambda lines: [*lines, b'"'], "no table"),
    "a failure is gone": ("failed.csv", lambda lines: lines[:-1], "lacks the row"),
    "a failure too many": ("failed.csv", lambda lines: [*lines, lines[-1]], "there should be none"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_it_speaks_of_a_table_that_was_tampered_with(what: str) -> None:
    stack = finished()
    name, change, says = TAMPERED[what]
    lines = stack.document("manifest.json")["files"][name]["lines"]
    rewrite(stack, name, change, lines=lines)
    found = stack.audit()
    assert [finding.kind for finding in found] == ["table"], found
    assert says in found[0].sentence


def test_it_speaks_of_a_table_that_is_not_there() -> None:
    for name in ("results.csv", "failed.csv"):
        stack = finished()
        rewrite(stack, name, lambda lines: lines, lines=None)
        assert [finding.kind for finding in stack.audit()] == ["table"]


def test_a_row_paid_for_twice_is_a_finding_unless_the_recipe_asks_for_it() -> None:
    stack = finished(RECIPE + b"retry: [not_json]\n")
    assert len(stack.claude.custom_ids()) == 3 + 2
    assert stack.audit() == []
    change_job(stack, recipe=stack.objects.drop("inbox/marketing/recipe.yaml", RECIPE))
    assert [finding.kind for finding in stack.audit()] == ["answered_twice"]
