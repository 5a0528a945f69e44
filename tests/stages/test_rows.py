"""Rows in, columns out: a table and a recipe go in, and the table comes back with answers."""

from __future__ import annotations

from tests import workbooks
from tests.stages.row_jobs import RECIPE, TABLE, label, run, stack_of, table


def test_a_table_comes_back_with_answers() -> None:
    stack = stack_of()
    run(stack, "reviews.csv", TABLE.encode())
    assert table(stack) == [
        ["id", "text", "stars", "label", "explanation", "batchdrop_row", "batchdrop_status", "batchdrop_error"],
        ["1", "Good, really", "5", "positive", "because", "2", "succeeded", ""],
        ["2", "Bad", "1", "negative", "because", "3", "succeeded", ""],
        ["0007", "two\nlines", "3", "negative", "because", "4", "succeeded", ""],
    ]
    first = stack.lines("results.jsonl")[0]
    assert list(first) == ["custom_id", "line", "attempts", "row", "output", "cost_usd", "result"]
    assert first["row"] == {"id": "1", "text": "Good, really", "stars": "5"}
    assert first["output"] == {"label": "positive", "explanation": "because"}
    assert first["result"] == label("", {"messages": [{"content": "Good"}]})
    assert stack.output("recipe.yaml") == RECIPE
    manifest = stack.document("manifest.json")
    assert manifest["recipe"]["key"] == "inbox/marketing/recipe.yaml"
    assert list(manifest["files"]) == ["results.jsonl", "results.csv"]


def test_a_workbook_comes_back_with_every_row() -> None:
    stack = stack_of()
    rows = [workbooks.row(number, number - 1, "Good" if number % 2 else "Bad") for number in range(2, 6)]
    run(stack, "reviews.xlsx", workbooks.workbook(workbooks.row(1, "id", "text"), *rows))
    assert [(row[0], row[2], row[4]) for row in table(stack)[1:]] == [
        ("1", "negative", "2"),
        ("2", "positive", "3"),
        ("3", "negative", "4"),
        ("4", "positive", "5"),
    ]


def test_formulas_that_nobody_has_computed_are_told() -> None:
    stack = stack_of()
    rows = f'<row r="2"><c r="A2"><f>1+1</f><v/></c>{workbooks.row(2, "Good", first="B")[11:]}'
    run(stack, "reviews.xlsx", workbooks.workbook(workbooks.row(1, "id", "text"), rows))
    assert "1 formula of the sheet has no stored value, so its cell is empty" in stack.document("status.json")["message"]
    assert table(stack)[1][:3] == ["", "Good", "positive"]
