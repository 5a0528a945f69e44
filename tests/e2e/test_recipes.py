"""People with a table and no code: they put files into the bucket, read `status.json`, and take their table back."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.e2e.laptop import ROOT, Job, Laptop
from tests.named_files import pdf, png
from tests.workbooks import row as sheet_row
from tests.workbooks import workbook

RECIPE = """\
model: claude-haiku-4-5
prompt: |
  Label this review: {{ text }}
output:
  label: [positive, negative, neutral]
"""
_HEADER = ["nummer", "text", "betrag", "label", "batchdrop_row", "batchdrop_status", "batchdrop_error", "batchdrop_usd"]


def put(laptop: Laptop, key: str, text: str) -> None:
    laptop.s3.put_object(Bucket=laptop.bucket, Key=key, Body=text.encode())


def table(job: Job, name: str = "results.csv", separator: str = ",") -> list[list[str]]:
    text = job.read(name).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))


def columns(job: Job, *names: str) -> list[list[str]]:
    header, *rows = table(job)
    return [[row[header.index(name)] for name in names] for row in rows]


def test_a_table_from_excel_and_the_remedy_that_its_status_names(laptop: Laptop) -> None:
    """Windows-1252 and semicolons, as Excel saves them in much of Europe; recipe and table arrive together."""
    body = (
        "nummer;text;betrag\r\n"
        '007;"Großartig; wirklich ""gut""";-12,5\r\n'
        '008;"zwei\r\nZeilen, schön";0\r\n'
        "12345678901234567;;1.000\r\n"
        "010;Schlecht [[truncate]];=1+1\r\n"
    )
    put(laptop, "inbox/kunden/recipe.yaml", RECIPE)
    job = laptop.drop("inbox/kunden/my.csv", body.encode("cp1252"))
    # The recipe's own event may come late, and then the file is looked at again.
    laptop.wait(lambda: "cannot be read" in job.status().get("message", ""), "the file to be read")
    said = job.status()["message"]
    assert said.startswith("my.csv cannot be read as a table. Byte 0xDF at row 2 (offset 28) is not UTF-8.")
    assert "put `encoding: windows-1252` in the recipe" in said
    assert "Nothing was sent or paid." in said
    put(laptop, "inbox/kunden/recipe.yaml", RECIPE + "encoding: windows-1252\n")
    job.wait().wait_for("done")
    header, *rows = table(job, separator=";")
    assert header == _HEADER
    assert [row[:3] for row in rows] == [
        ["007", 'Großartig; wirklich "gut"', "-12,5"],
        ["008", "zwei\r\nZeilen, schön", "0"],
        ["12345678901234567", "", "1.000"],
        ["010", "Schlecht [[truncate]]", "'=1+1"],
    ]
    assert [row[4:6] for row in rows] == [["2", "succeeded"], ["3", "succeeded"], ["4", "invalid"], ["5", "errored"]]
    assert [row[3] in ("positive", "negative", "neutral") for row in rows] == [True, True, False, False]
    assert rows[2][6] == "column text is empty: fill it in"
    assert "Raise `max_tokens`." in rows[3][6]
    failed = table(job, "failed.csv", separator=";")
    assert [row[:3] for row in failed] == [["nummer", "text", "betrag"], rows[2][:3], rows[3][:3]]
    assert job.read("recipe.yaml").decode() == RECIPE + "encoding: windows-1252\n"
    assert job.audit() == []


def test_a_table_gets_a_starter_with_its_columns(laptop: Laptop) -> None:
    job = laptop.drop("inbox/shop/new.csv", b"sku,product text\nA-1,A warm blanket of wool\nA-2,A blanket that scratches\n")
    job.wait_for("held")
    assert "Columns of the file: sku, product text." in job.status()["message"]
    starter = job.read("recipe.yaml").decode()
    assert '{{ row["product text"] }}' in starter
    put(laptop, "inbox/shop/recipe.yaml", starter.replace("Say in one sentence what this is about.", "Name the material."))
    job.wait().wait_for("done")
    assert columns(job, "sku", "product text", "batchdrop_status") == [
        ["A-1", "A warm blanket of wool", "succeeded"],
        ["A-2", "A blanket that scratches", "succeeded"],
    ]
    assert all(answer for (answer,) in columns(job, "answer"))


def test_a_workbook_comes_back_as_csv_and_what_it_asks_twice_is_paid_once(laptop: Laptop) -> None:
    put(laptop, "inbox/desk/recipe.yaml", RECIPE + "dedupe: true\n")
    cells = ((17, "The zipper broke"), (18, "Great"), (19, "The zipper broke"))
    body = workbook(sheet_row(1, "id", "text"), *(sheet_row(number, *row) for number, row in enumerate(cells, 2)))
    job = laptop.drop("inbox/desk/tickets.xlsx", body).wait().wait_for("done")
    assert columns(job, "id", "text", "batchdrop_status") == [
        ["17", "The zipper broke", "succeeded"],
        ["18", "Great", "succeeded"],
        ["19", "The zipper broke", "succeeded"],
    ]
    assert job.folder.startswith("outbox/desk/tickets/")
    assert [cost != "0" for (cost,) in columns(job, "batchdrop_usd")] == [True, True, False]
    assert [batch["requests"] for batch in job.manifest()["batches"]] == [2]
    assert job.manifest()["rows_copied"] == job.status()["rows_copied"] == 1
    assert job.audit() == []


def test_a_corrected_table_of_failures_is_dropped_again(laptop: Laptop) -> None:
    """It knows its job, and so its recipe: its new folder needs none."""
    put(laptop, "inbox/again/one/recipe.yaml", RECIPE)
    first = laptop.drop("inbox/again/one/part.csv", b"id,text\n1,Great\n2,\n").wait()
    failed = first.read("failed.csv").decode("utf-8-sig").replace("2,,", "2,Awful,")
    again = laptop.drop("inbox/again/two/failed.csv", failed.encode()).wait().wait_for("done")
    assert columns(again, "id", "text", "batchdrop_status") == [["2", "Awful", "succeeded"]]


def test_an_answer_above_what_a_model_writes_otherwise(laptop: Laptop) -> None:
    """One row has to be sent again: the API sees the beta on both creates."""
    creates = laptop.claude.count("create")
    recipe = (
        "model: claude-haiku-5-5\nlong_output: true\nmax_tokens: 200000\nthinking: off\n"
        "limits: {ask_above_usd: 100}\nprompt: Write about {{ text }}\n"
    )
    put(laptop, "inbox/novel/recipe.yaml", recipe)
    rows = b"id,text\n1,the sea [[long]]\n2,the wind [[error:api_error:1]]\n"
    job = laptop.drop("inbox/novel/chapters.csv", rows).wait().wait_for("done")
    assert job.manifest()["counts"]["succeeded"] == 2
    assert len(job.lines("results.jsonl")[0]["output"]["answer"]) == 800_000
    assert job.manifest()["usage"]["claude-haiku-5-5"]["output_tokens"] > 200_000
    assert [call["betas"] for call in laptop.claude.log("create")[creates:]] == [["output-300k-2026-03-24"]] * 2
    assert job.audit() == []


@pytest.mark.parametrize(
    ("model", "successor"),
    [("claude-sonnet-4-20250514", "claude-sonnet-5-5"), ("claude-haiku-3-5-20241022", "claude-haiku-5-5")],
)
def test_a_retired_model_is_told_before_it_is_sent(laptop: Laptop, model: str, successor: str) -> None:
    creates = laptop.claude.count("create")
    job = laptop.drop(f"inbox/course/{model}.jsonl", _request(model)).wait()
    assert laptop.claude.count("create") == creates
    (failed,) = job.lines("failed.jsonl")
    assert failed["_batchdrop"]["error"]["type"] == "retired_model"
    assert successor in failed["_batchdrop"]["error"]["message"]
    again = laptop.drop(f"inbox/course/{model}.jsonl", _request(successor)).wait()
    assert again.manifest()["counts"]["succeeded"] == 1


def test_an_older_model_is_sent_as_it_is(laptop: Laptop) -> None:
    job = laptop.drop("inbox/course/older.jsonl", _request("claude-sonnet-4-6")).wait()
    assert job.manifest()["counts"]["succeeded"] == 1


def test_nothing_was_refused_and_nothing_went_wrong(laptop: Laptop) -> None:
    """Last of this file: no function has met a door that its role does not open, for anything above."""
    # The probes of test_permissions name jobs that there are none of; the stack is the same.
    logged = [line for line in laptop.logs().splitlines() if '"job_id":"probe"' not in line]
    assert [line for line in logged if '"level":"ERROR"' in line or "AccessDenied" in line] == []


def _request(model: str) -> bytes:
    messages = [{"role": "user", "content": "Classify as positive or negative: Great."}]
    return json.dumps({"custom_id": "a", "params": {"model": model, "max_tokens": 2000, "messages": messages}}).encode()


def test_documents_and_images_that_rows_name(laptop: Laptop) -> None:
    """By a path from the folder on, and by their address; one that cannot be sent costs its row alone."""
    for name, body in (("a.pdf", pdf(3)), ("scans/b.png", png(280, 280)), ("locked.pdf", pdf(encrypted=True))):
        laptop.s3.put_object(Bucket=laptop.bucket, Key=f"inbox/bills/{name}", Body=body)
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/other/secret.pdf", Body=pdf())
    recipe = (
        'model: claude-haiku-4-5\ndocuments: ["{{ bill }}"]\nimages: ["{{ scan }}"]\nprompt: What is the total of {{ id }}?\n'
    )
    put(laptop, "inbox/bills/recipe.yaml", recipe)
    rows = "id,bill,scan\n1,a.pdf,\n2,,scans/b.png\n3,locked.pdf,\n4,../other/secret.pdf,\n5,s3://{b}/inbox/other/secret.pdf,\n"
    rows += "6,s3://{b}/inbox/bills/a.pdf,scans/b.png\n"
    job = laptop.drop("inbox/bills/bills.csv", rows.format(b=laptop.bucket).encode()).wait().wait_for("done")
    assert [status for _, status in columns(job, "id", "batchdrop_status")] == [
        *("succeeded", "succeeded", "invalid", "invalid", "invalid", "succeeded")
    ]
    errors = [line["_batchdrop"]["error"]["type"] for line in job.lines("failed.jsonl")]
    assert errors == ["encrypted_file", "invalid_file_name", "file_not_found"]
    tokens = [line["result"]["message"]["usage"]["input_tokens"] for line in job.lines("results.jsonl")]
    assert tokens[0] > 3 * 3_500
    assert tokens[1] < 200 < 3 * 3_500 + 100 < tokens[2]
    manifest = job.manifest()
    estimate = manifest["cost"]["estimate_usd"]
    assert estimate["low"] <= manifest["cost"]["usd"] <= estimate["high"]
    assert job.audit() == []


def test_the_documents_of_a_folder_are_started_without_a_terminal(laptop: Laptop) -> None:
    """PUTs and "Create folder", nothing else: each document is a row, and a second start takes the new one alone."""
    for name in ("b.pdf", "a.pdf", "2026/c.pdf"):
        laptop.s3.put_object(Bucket=laptop.bucket, Key=f"inbox/post/{name}", Body=pdf(2))
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/post/note.txt", Body=b"Please call back.")
    hint = "outbox/post/how-to-start.txt"
    laptop.wait(lambda: laptop.exists(hint), "the hint")
    put(laptop, "inbox/post/recipe.yaml", 'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: What is it?\n')
    job = laptop.drop("inbox/post/start/", b"").wait().wait_for("done")
    assert columns(job, "path", "batchdrop_status") == [
        [name, "succeeded"] for name in ("2026/c.pdf", "a.pdf", "b.pdf", "note.txt")
    ]
    assert job.audit() == []
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/post/d.pdf", Body=pdf(1))
    again = laptop.drop("inbox/post/start/", b"").wait().wait_for("done")
    assert columns(again, "path") == [["d.pdf"]]


def test_a_request_that_names_a_file(laptop: Laptop) -> None:
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/letters/a.pdf", Body=pdf(2))
    source = f"s3://{laptop.bucket}/inbox/letters/a.pdf"
    blocks = [{"type": "document", "source": source}, {"type": "text", "text": "Who wrote it?"}]
    params = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": blocks}]}
    gone = json.dumps({"params": params}).replace("a.pdf", "b.pdf")
    job = laptop.drop("inbox/letters/x.jsonl", f"{json.dumps({'params': params})}\n{gone}\n".encode()).wait().wait_for("done")
    assert job.lines("results.jsonl")[0]["result"]["message"]["usage"]["input_tokens"] > 2 * 3_500
    (failed,) = job.lines("failed.jsonl")
    assert failed["params"] == json.loads(gone)["params"]
    assert failed["_batchdrop"]["error"]["type"] == "file_not_found"
    assert job.audit() == []


def test_files_that_are_replaced_or_deleted_while_their_job_runs(laptop: Laptop) -> None:
    """What was planned is sent; what is gone for good costs its row, and no other."""
    bills = ROOT / "examples" / "invoices" / "bills"
    keys = {name: f"inbox/changing/{name}.pdf" for name in ("replaced", "purged", "deleted")}

    def put_bill(name: str, bill: str) -> str:
        body = (bills / bill).read_bytes()
        return str(laptop.s3.put_object(Bucket=laptop.bucket, Key=keys[name], Body=body)["VersionId"])

    first = zip(keys, ("en-quill.pdf", "de-verlag.pdf", "fr-presse.pdf"), strict=True)
    versions = {name: put_bill(name, bill) for name, bill in first}
    recipe = 'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: Read it.\noutput: {invoice_number: string}\n'
    put(laptop, "inbox/changing/recipe.yaml", recipe)
    laptop.switch("pause")
    try:
        table = "path\n" + "".join(f"{name}.pdf\n" for name in keys)
        job = laptop.drop("inbox/changing/bills.csv", table.encode()).wait_for("running")
        put_bill("replaced", "en-harbour.pdf")
        laptop.s3.delete_object(Bucket=laptop.bucket, Key=keys["purged"], VersionId=versions["purged"])
        laptop.s3.delete_object(Bucket=laptop.bucket, Key=keys["deleted"])
    finally:
        laptop.switch("run")
    job.wait().wait_for("done")
    assert columns(job, "path", "invoice_number", "batchdrop_status") == [
        ["replaced.pdf", "Q-77120", "succeeded"],
        ["purged.pdf", "", "invalid"],
        ["deleted.pdf", "AB-90017", "succeeded"],
    ]
    (failed,) = job.lines("failed.jsonl")
    assert failed["_batchdrop"]["error"]["type"] == "file_gone"
    assert job.audit() == []
