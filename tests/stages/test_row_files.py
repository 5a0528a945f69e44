"""Files of rows as programs write them: every cell comes back as it was, with the number that its spreadsheet shows."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from batchdrop.domain.records import Job, JobState
from tests.stack import Stack
from tests.stages.row_jobs import RECIPE, prompt_of, run, said, stack_of, table
from tests.workbooks import packed, parts, row, sheet


def workbook(*rows: tuple[object, ...]) -> bytes:
    return packed(parts({"Sheet": sheet(*(row(number, *cells) for number, cells in enumerate(rows, 1) if cells))}))


ECHO = b'model: claude-haiku-4-5\nprompt: "{{ text }}"\n'


def echo(_: str, params: dict[str, Any]) -> dict[str, Any]:
    return said(prompt_of(params))


def echoed(name: str, body: bytes, recipe: bytes = ECHO) -> Stack:
    stack = stack_of(echo)
    run(stack, name, body, recipe)
    return stack


def rows_of(stack: Stack, separator: str = ",") -> list[list[str]]:
    return table(stack, separator=separator)[1:]


def prompts(stack: Stack) -> list[str]:
    return [prompt_of(request["params"]) for body in stack.claude.bodies for request in json.loads(body)["requests"]]


@pytest.mark.parametrize(
    ("name", "body", "separator", "recipe"),
    [
        ("a.csv", b"id;text\n1;one, two\n2;three\n", ";", ECHO),
        ("a.tsv", b"id\ttext\n1\tone, two\n2\tthree\n", "\t", ECHO),
        ("a.csv", b"sep=|\r\nid|text\r\n1|one, two\r\n2|three\r\n", "|", ECHO),
        ("a.csv", b'\xef\xbb\xbfid,text\n1,"one, two"\n2,three\n', ",", ECHO),
        ("a.csv", "id\ttext\r\n1\tone, two\r\n2\tthree\r\n".encode("utf-16"), "\t", ECHO),
        ("a.csv", 'id,text\r\n1,"one, two"\r\n2,three\r\n'.encode("utf-16-le"), ",", ECHO + b"encoding: utf-16-le\n"),
        ("a.csv", b"id#text\n1#one, two\n2#three\n", "#", ECHO + b'separator: "#"\n'),
    ],
)
def test_a_table_is_read_however_it_is_written(name: str, body: bytes, separator: str, recipe: bytes) -> None:
    stack = echoed(name, body, recipe)
    # Excel does not count a line `sep=`.
    assert rows_of(stack, separator) == [
        ["1", "one, two", "one, two", "2", "succeeded", ""],
        ["2", "three", "three", "3", "succeeded", ""],
    ]


def test_the_line_ends_of_the_file_are_kept() -> None:
    for newline in ("\n", "\r\n"):
        stack = echoed("a.csv", f"id,text{newline}1,one{newline}".encode())
        data = stack.output("results.csv").decode()
        assert data.count(newline) == 2
        assert data.count("\r") == (2 if newline == "\r\n" else 0)


def test_cells_come_back_as_they_were() -> None:
    cells = ["007", "12345678901234567", "-12.5", "1,5", '"quoted"', "two\nlines", " padded ", "{{ text }}", "schön", "null"]
    body = "id,text\n" + "".join('{},"{}"\n'.format(number, cell.replace('"', '""')) for number, cell in enumerate(cells))
    stack = echoed("a.csv", body.encode())
    assert [row[1] for row in rows_of(stack)] == cells
    assert prompts(stack) == cells


def test_rows_are_counted_as_the_spreadsheet_counts_them() -> None:
    """A row of several lines is one, a blank one counts and is no row of the job."""
    stack = echoed("a.csv", b'id,text\n1,"two\nlines"\n\n3,three\n,\n5,five\n')
    numbers = [row[-3] for row in rows_of(stack)]
    assert numbers == [str(line["line"]) for line in stack.lines("results.jsonl")] + numbers[len(stack.lines("results.jsonl")) :]
    assert [(row[0], row[-3], row[-2]) for row in rows_of(stack)] == [
        ("1", "2", "succeeded"),
        ("3", "4", "succeeded"),
        ("5", "6", "succeeded"),
    ]


def test_formulas_are_defused_in_own_cells_and_in_answers_and_numbers_are_not() -> None:
    stack = echoed("a.csv", b"id,text\n1,=1+1\n2,-5\n3,@x\n4,+49 30 1\n")
    assert [row[1:3] for row in rows_of(stack)] == [["'=1+1"] * 2, ["-5"] * 2, ["'@x"] * 2, ["'+49 30 1"] * 2]
    assert [line["row"]["text"] for line in stack.lines("results.jsonl")] == ["=1+1", "-5", "@x", "+49 30 1"]


def test_a_recipe_may_ask_for_raw_cells() -> None:
    stack = echoed("a.csv", b"id,text\n1,=1+1\n", ECHO + b"csv: raw\n")
    assert rows_of(stack)[0][1:3] == ["=1+1", "=1+1"]


def test_a_workbook_comes_back_as_a_table() -> None:
    stack = echoed("a.xlsx", workbook(("id", "text"), (1, "one"), (), (3, "=three")))
    assert rows_of(stack) == [["1", "one", "one", "2", "succeeded", ""], ["3", "'=three", "'=three", "4", "succeeded", ""]]


JSON_ROWS = [
    b'{"text": "one", "n": 12345678901234567890123, "f": 1.10, "deep": {"a": [1, null, true]}}',
    b"",
    b'{"text": "two", "extra": "=1"}',
    b"[1]",
    b"not json",
    b'{"text": ""}',
    b'{"n": 1, "half": "\\ud83d"}',
    b'{"text": "\\ud83d\\ude00", "params": 1, "row": 2, "invalid": 3}',
]


def test_lines_of_any_objects() -> None:
    stack = stack_of(echo)
    job = run(stack, "a.jsonl", b"\n".join(JSON_ROWS), ECHO)
    assert (job.counts.succeeded, job.counts.invalid) == (3, 4)
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 3, 8]
    results = stack.output("results.jsonl").splitlines()
    assert all(row in line for row, line in zip((JSON_ROWS[0], JSON_ROWS[2], JSON_ROWS[7]), results, strict=True))
    header, *rows = table(stack)
    assert header[:4] == ["text", "n", "f", "deep"]
    assert rows[0][:4] == ["one", "12345678901234567890123", "1.1", '{"a":[1,null,true]}']
    assert [row[header.index("batchdrop_row")] for row in rows] == ["1", "3", "4", "5", "6", "7", "8"]
    errors = {line["_batchdrop"]["line"]: line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")}
    assert errors == {4: "not_an_object", 5: "not_json", 6: "empty_row", 7: "lone_surrogate"}
    assert stack.lines("failed.jsonl")[1]["_batchdrop"]["raw"] == "not json"


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.csv"])
def test_packed_rows(name: str) -> None:
    body = b'{"text": "one"}\n{"text": "two"}\n' if "json" in name else b"text\none\ntwo\n"
    stack = echoed(name, gzip.compress(body))
    assert [row[0] for row in rows_of(stack)] == ["one", "two"]


def ended(name: str, body: bytes, recipe: bytes = RECIPE) -> tuple[Stack, Job]:
    stack = stack_of()
    stack.drop("inbox/marketing/recipe.yaml", recipe)
    stack.drop(f"inbox/marketing/{name}", body)
    stack.run(30)
    assert stack.audit() == []
    return stack, stack.job()


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "empty"),
        ("a.csv", b"\n\n", "no rows"),
        ("a.csv", b"id,text\n", "no row"),
        ("a.csv", b"\xef\xbb\xbfid,text\n\n\n", "no row"),
        ("a.csv.gz", gzip.compress(b"id,text\n" + b"1,one\n" * 10_000, mtime=0)[:-30], "damaged"),
        ("a.csv", b'id,text\n1,"never closed\n2,two\n', "quote"),
        ("a.xlsx", workbook(("id", "text")), "no row"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "one"}\n' * 10_000, mtime=0)[:-30], "damaged"),
    ],
)
def test_what_holds_no_rows_is_rejected_and_says_why(name: str, body: bytes, says: str) -> None:
    stack, job = ended(name, body)
    assert job.state is JobState.rejected, job.reason
    assert says in stack.document("status.json")["message"]
    assert stack.claude.bodies == []


def test_a_row_with_too_many_cells_is_invalid() -> None:
    stack, job = ended("a.csv", b"id,text\n1,one\n2,two,three\n3,\n4,four\n")
    assert (job.counts.succeeded, job.counts.invalid) == (2, 2)
    lines = {line["_batchdrop"]["line"]: line["_batchdrop"]["error"]["type"] for line in stack.lines("failed.jsonl")}
    assert lines == {3: "too_many_cells", 4: "empty_row"}
    assert [row[:2] for row in table(stack, "failed.csv")[1:]] == [["2", "two"], ["3", ""]]


def test_a_table_in_which_every_row_is_faulty_tells_them() -> None:
    stack, job = ended("a.csv", b"id,text\n1,one,x\n2,two,y\n", RECIPE + b'separator: ","\n')
    assert job.state is JobState.rejected
    assert job.counts.invalid == 2
    assert "Row 2 has 3 cells" in stack.lines("failed.jsonl")[0]["_batchdrop"]["error"]["message"]


def test_bytes_of_another_encoding_wait_and_the_recipe_names_it() -> None:
    """Nobody uploads twice."""
    stack = stack_of(echo)
    stack.drop("inbox/marketing/recipe.yaml", ECHO)
    stack.drop("inbox/marketing/a.csv", "id;text\n1;schön\n".encode("cp1252"))
    stack.run(5)
    job = stack.job()
    assert (job.state, job.needs) == (JobState.held, "recipe")
    assert "row 2" in job.reason
    assert "0xF6" in job.reason
    assert "`encoding: windows-1252`" in job.reason
    stack.drop("inbox/marketing/recipe.yaml", ECHO + b"encoding: windows-1252\n")
    stack.run()
    assert rows_of(stack, ";") == [["1", "schön", "schön", "2", "succeeded", ""]]
    assert stack.audit() == []


def test_names_of_rows_may_repeat_and_are_told() -> None:
    stack = stack_of()
    run(stack, "a.csv", b"id,text\nx,Good\nx,Bad\n,Bad\ny,Good\n", RECIPE + b"id: id\n")
    assert [line["custom_id"] for line in stack.lines("results.jsonl")] == ["x", "x", "line-4", "y"]
    assert stack.document("manifest.json")["repeated_ids"] == 1


def test_a_column_may_have_nearly_any_name() -> None:
    names = ["text", "params", "custom_id", "row", "raw", "=x"]
    stack, job = ended("a.csv", (",".join(names) + "\nGood,1,2,3,4,5\nBad,1,2,3,4,5\n,1,2,3,4,5\n").encode())
    assert (job.counts.succeeded, job.counts.invalid) == (2, 1)
    assert table(stack)[0][:6] == [*names[:-1], "'=x"]
    assert [row[:6] for row in table(stack)[1:]] == [[text, "1", "2", "3", "4", "5"] for text in ("Good", "Bad", "")]


def test_a_column_cannot_be_named_as_what_batchdrop_adds() -> None:
    stack, job = ended("a.csv", b"text,_batchdrop\nGood,1\n,2\n")
    assert job.state is JobState.rejected
    assert 'Column "_batchdrop"' in stack.document("status.json")["message"]


# ---------------------------------------------------------------- what rows may be called


@pytest.mark.parametrize("name", ["customer_id", "customer", "custom_field", "parameters", "parts", "param"])
@pytest.mark.parametrize("value", [b'"7"', b'{"a": 1}'])
def test_rows_with_a_field_that_is_called_nearly_like_one_of_a_request_are_rows(name: str, value: bytes) -> None:
    stack = echoed("a.jsonl", b'{"%b": %b, "text": "one"}\n' % (name.encode(), value))
    assert [row[1:] for row in rows_of(stack)] == [["one", "one", "1", "succeeded", ""]]


def test_a_misspelled_request_is_told_so() -> None:
    stack = stack_of(echo)
    stack.drop("inbox/marketing/a.jsonl", b'{"parms": {"model": "claude-haiku-4-5", "messages": []}}\n')
    stack.run()
    assert stack.job().state is JobState.rejected
    assert "Did you mean params?" in stack.lines("failed.jsonl")[0]["_batchdrop"]["error"]["message"]


def test_a_field_of_a_later_row_is_no_second_column_of_one_name() -> None:
    ours = b'{"text": "two", "answer": "own", "batchdrop_row": 7, "batchdrop_status": "x", "batchdrop_error": "y", "n": 1}'
    stack = echoed("a.jsonl", b'{"text": "one"}\n' + ours + b"\n")
    assert table(stack) == [
        ["text", "n", "answer", "batchdrop_row", "batchdrop_status", "batchdrop_error"],
        ["one", "", "one", "1", "succeeded", ""],
        ["two", "1", "two", "2", "succeeded", ""],
    ]
    assert stack.lines("results.jsonl")[1]["row"] == json.loads(ours)


def test_one_row_of_many_fields_does_not_widen_every_other() -> None:
    many = {"text": "one", **{f"f{number}": number for number in range(5_000)}}
    body = json.dumps(many).encode() + b'\n{"text": "two"}\n'
    stack = echoed("a.jsonl", body, b'model: claude-haiku-4-5\nprompt: "{{ text }}{{ f4999|default(0) }}"\n')
    assert {len(row) for row in table(stack)} == {1_000 + 4}
    assert prompts(stack) == ["one4999", "two0"]
    assert stack.lines("results.jsonl")[0]["row"] == many


def test_a_raw_table_that_is_dropped_again_keeps_its_apostrophes() -> None:
    stack = stack_of(lambda *_: said("x", stop="max_tokens"))
    run(stack, "a.csv", b"id,text\n1,'=x\n", ECHO + b"csv: raw\n")
    stack.drop("inbox/marketing/again.csv", stack.output("failed.csv"))
    stack.run()
    assert prompts(stack) == ["'=x", "'=x"]


def test_columns_that_are_one_without_their_guards_are_told() -> None:
    stack = stack_of(echo)
    stack.drop("inbox/marketing/recipe.yaml", ECHO)
    stack.drop("inbox/marketing/a.csv", b"text,'=a,=a,batchdrop_row\nx,1,2,3\n")
    stack.run(3)
    assert stack.job().state is JobState.rejected
    assert 'Column "=a" is in the header (row 1) more than once' in stack.job().reason


def test_a_table_with_the_line_ends_of_an_old_mac_is_sound() -> None:
    stack = echoed("a.csv", b'id,text\r1,a\r2,"b\rc"\r3,"d\r\ne"\r')
    assert stack.output("results.csv").count(b",succeeded,,") == 3
    assert stack.audit() == []


def test_a_row_that_names_a_field_twice_is_not_guessed_at() -> None:
    stack = stack_of(echo)
    run(stack, "a.jsonl", b'{"text":"a","text":"b"}\n{"text":"c"}\n', ECHO)
    assert prompts(stack) == ["c"]
    assert "The field text appears twice" in stack.lines("failed.jsonl")[0]["_batchdrop"]["error"]["message"]


def test_a_file_of_one_column_may_hold_any_character() -> None:
    stack = echoed("a.csv", b"text\na\x1fb\nc\n")
    assert [row[-2] for row in rows_of(stack)] == ["succeeded", "succeeded"]


def test_a_workbook_comes_back_with_the_separator_of_its_recipe() -> None:
    """A German Excel opens it by a double click then, and no other."""
    stack = stack_of()
    run(stack, "a.xlsx", workbook(("id", "text"), (1, "Good; really"), (2, "Bad")), RECIPE + b"separator: semicolon\n")
    head, *rows = table(stack, separator=";")
    assert head[:3] == ["id", "text", "label"]
    assert [row[1] for row in rows] == ["Good; really", "Bad"]
