"""Files that cost more than may be spent unasked: rows are tried, `status.json` asks, and a folder in the console answers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchdrop_cli.exit_codes import WAITS
from tests.e2e.laptop import Job, Laptop

# A long answer is 3,000 tokens at $12.50 a million, as a batch: 20 rows fit into the dollar of a team's day, and few more.
RECIPE = b"""\
model: claude-opus-5
max_tokens: 3500
prompt: "Tell a long story: {{ text }}"
"""
ANSWER_BYTES = 12_000
INPUT, OUTPUT = Decimal("2.50") / 1_000_000, Decimal("12.50") / 1_000_000
TRIED = 20


@pytest.fixture(autouse=True)
def _long_answers(laptop: Laptop) -> Iterator[None]:
    laptop.claude.settings(answer_bytes=ANSWER_BYTES)
    yield
    laptop.claude.settings(answer_bytes=0)


def drop(laptop: Laptop, key: str, rows: int) -> Job:
    """Each row of the file names the file, so that it is known wherever it was sent."""
    return laptop.drop(key, body_of(key.rpartition("/")[2].removesuffix(".csv"), rows).encode())


def body_of(name: str, rows: int) -> str:
    return "\n".join(["id,text", *(f"{number},{name} row {number}." for number in range(1, rows + 1)), ""])


def sent(laptop: Laptop, name: str) -> Counter[int]:
    """How often Claude was sent each row of a file."""
    bodies = [laptop.claude.body(batch["id"]) for batch in laptop.claude.batches()]
    return Counter(int(number) for body in bodies for number in re.findall(rf"{name} row (\d+)\.".encode(), body))


def table(job: Job, name: str) -> list[dict[str, str]]:
    text = job.read(name).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def check_cost(job: Job, rows: int) -> None:
    """What the manifest and the rows say that it cost is usage times price."""
    manifest = json.loads(job.read("manifest.json"), parse_float=Decimal)
    usage = manifest["usage"]["claude-opus-5"]
    assert (usage["requests"], usage["output_tokens"]) == (rows, rows * ANSWER_BYTES // 4)
    cost = usage["input_tokens"] * INPUT + usage["output_tokens"] * OUTPUT
    assert manifest["cost"]["usd"] == cost
    assert sum(Decimal(row["batchdrop_usd"]) for row in table(job, "results.csv") if row["batchdrop_usd"]) == cost
    status = json.loads(job.read("status.json"), parse_float=Decimal)
    assert 0 <= status["cost"]["usd"] - cost <= len(manifest["batches"]) * Decimal("0.000001")
    assert status["cost"]["reserved_usd"] == 0


def test_a_file_is_tried_asks_and_goes_on_when_a_folder_is_created(laptop: Laptop) -> None:
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/dear/recipe.yaml", Body=RECIPE)
    job = drop(laptop, "inbox/dear/eu/approved.csv", 60)
    status = job.asked()
    question = status["question"]
    assert (status["state"], status["needs"], question["rows"]) == ("held", "approval", 40)
    assert status["message"].startswith(f"{TRIED} of 60 rows were tried for $0.75. The other 40 will cost $1.")
    assert status["message"].endswith(f"Look at report.html. To go on, approve with the code {question['code']}.")
    assert status["estimate"]["known_by"] == f"{TRIED} rows of this file that were tried"
    assert status["estimate"]["low"] <= 60 * 0.0375 <= status["estimate"]["high"]
    tried = table(job, "tried.csv")
    places = [int(row["id"]) for row in tried]
    assert places == sorted(sent(laptop, "approved").elements())
    assert len(set(places)) == TRIED
    assert {row["batchdrop_status"] for row in tried} == {"succeeded"}

    marker = f"control/approve/dear/eu/{job.id}-{question['code']}"
    version = laptop.create_folder(marker)
    job.wait().wait_for("done")
    results = table(job, "results.csv")
    assert [int(row["id"]) for row in results] == list(range(1, 61))
    assert [results[place - 1] for place in places] == tried
    assert {row["batchdrop_status"] for row in results} == {"succeeded"}
    assert sent(laptop, "approved") == Counter(range(1, 61))
    check_cost(job, 60)
    (approval,) = job.manifest()["approvals"]
    assert (approval["key"], approval["version_id"], approval["code"]) == (f"{marker}/", version, question["code"])
    assert approval["amount_usd"] == question["high_usd"]
    assert approval["source_ip"] == "127.0.0.1"
    assert job.status()["question"] is None
    assert job.audit() == []


def test_a_file_that_nobody_approves_ends_with_what_was_tried(laptop: Laptop) -> None:
    """A stack's clock cannot be turned by 7 days, after which this happens by itself: it is canceled instead."""
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/refused/recipe.yaml", Body=RECIPE)
    job = drop(laptop, "inbox/refused/unapproved.csv", 60)
    status = job.asked()
    laptop.create_folder(f"control/approve/another/{job.id}-{status['question']['code']}")  # of another folder: no answer
    laptop.create_folder(f"control/cancel/{job.id}")
    job.wait().wait_for("canceled")
    tried = table(job, "tried.csv")
    places = {int(row["id"]) for row in tried}
    assert sent(laptop, "unapproved") == Counter(places)
    results = table(job, "results.csv")
    assert [row for row in results if row["batchdrop_status"] == "succeeded"] == tried
    unsent = [row for row in results if row["batchdrop_status"] == "canceled"]
    assert [int(row["id"]) for row in unsent] == [number for number in range(1, 61) if number not in places]
    assert {row["batchdrop_usd"] for row in unsent} <= {"", "0"}
    assert len(table(job, "failed.csv")) == 60 - TRIED
    check_cost(job, TRIED)
    assert job.manifest()["approvals"] == []
    assert job.audit() == []


def test_files_of_a_folder_ask_together_and_one_answer_lets_them_go(laptop: Laptop) -> None:
    laptop.s3.put_object(Bucket=laptop.bucket, Key="inbox/together/recipe.yaml", Body=RECIPE)
    jobs = [drop(laptop, "inbox/together/eu/first.csv", 40), drop(laptop, "inbox/together/eu/second.csv", 30)]

    def both() -> list[dict[str, Any]]:
        """Questions about two files."""
        questions = [job.status().get("question") or {} for job in jobs]
        return [question["together"] for question in questions if "together" in question]

    laptop.wait(lambda: bool(both()), "two files to ask together")
    (together,) = both()
    tried = sum(sent(laptop, name).total() for name in ("first", "second"))
    assert (together["files"], together["rows"]) == (2, 70 - tried)
    assert tried == TRIED
    version = laptop.create_folder(together["answer"])
    for job, rows in zip(jobs, (40, 30), strict=True):
        job.wait().wait_for("done")
        assert [int(row["id"]) for row in table(job, "results.csv")] == list(range(1, rows + 1))
        assert sent(laptop, job.key.rpartition("/")[2].removesuffix(".csv")) == Counter(range(1, rows + 1))
        check_cost(job, rows)
        (approval,) = job.manifest()["approvals"]
        assert (approval["key"], approval["version_id"]) == (f"{together['answer']}/", version)
        assert job.audit() == []


def test_a_demo_asks_or_is_told_how_much(laptop: Laptop, tmp_path: Path) -> None:
    """There is no terminal: what is asked is told and the job canceled, unless `APPROVE` says yes."""
    (tmp_path / "recipe.yaml").write_bytes(RECIPE)
    (tmp_path / "demo.csv").write_text(body_of("demo", 60))
    asked = laptop.demo(str(tmp_path / "demo.csv"))
    assert asked.returncode == WAITS
    assert "20 of 60 rows were tried for $0.75. The other 40 will cost $1." in asked.stderr, asked.stderr
    assert "First rows of tried.csv:" in asked.stderr
    assert "canceled: 60 rows: 20 succeeded, 40 canceled" in asked.stderr
    (would,) = re.findall(r"APPROVE=(\S+) would have", asked.stderr)
    assert 2.25 <= float(would) <= 3.50
    assert sent(laptop, "demo").total() == TRIED
    again = laptop.demo("--approve", "100", str(tmp_path / "demo.csv"))
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "done: 60 rows: 60 succeeded")
    assert "Approved by APPROVE=100" in again.stderr
    assert sent(laptop, "demo").total() == TRIED + 60


def test_nothing_was_refused_and_nothing_went_wrong(laptop: Laptop) -> None:
    """Last of this file: no function has met a door that its role does not open, for anything above."""
    logged = [line for line in laptop.logs().splitlines() if '"job_id":"probe"' not in line]
    assert [line for line in logged if '"level":"ERROR"' in line or "AccessDenied" in line] == []
