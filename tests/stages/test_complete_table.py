"""A file of failed rows that is dropped again gives the whole table back: old answers and new, each row once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from batchdrop.domain import keys
from batchdrop.domain.errors import Incomplete
from batchdrop.domain.records import Job, JobState, ObjectRef
from batchdrop.reports import sentences
from batchdrop.stages.finish.complete_table import Completed, CompleteTable, Completing, NotYet
from tests.faults.scenarios import EXPIRED
from tests.stack import Killed, Stack, row
from tests.stages.row_jobs import RECIPE, prompt_of, said, stack_of, table

FOLDER = "inbox/marketing/"
HEADER = ["id", "text", "label", "explanation", "batchdrop_row", "batchdrop_status", "batchdrop_error", "batchdrop_usd"]
_POSITIVE = said('{"label": "positive", "explanation": "x"}')
_NEGATIVE = said('{"label": "negative", "explanation": "x"}')


def picky(_: str, params: dict[str, Any]) -> Mapping[str, object]:
    """What is bad stays without an answer until somebody has corrected it."""
    prompt = prompt_of(params)
    if "bad" in prompt:
        return said("no answer of use")
    word = "positive" if "good" in prompt else "negative"
    return said(json.dumps({"label": word, "explanation": prompt.split(": ")[-1].strip()}))


def rows_of(*texts: str) -> bytes:
    return b"id,text\n" + b"".join(f"{number},{text}\n".encode() for number, text in enumerate(texts, 1))


def first(stack: Stack, body: bytes, name: str = "reviews.csv", recipe: bytes = RECIPE) -> Job:
    stack.drop(f"{FOLDER}recipe.yaml", recipe)
    return dropped(stack, name, body)


def dropped(stack: Stack, name: str, body: bytes, folder: str = FOLDER) -> Job:
    """The job of that file, once it has ended."""
    before = {job.id for job in stack.jobs()}
    stack.drop(folder + name, body)
    return ended(stack, before)


def ended(stack: Stack, before: set[str]) -> Job:
    stack.run()
    (job,) = [job for job in stack.jobs() if job.id not in before]
    assert job.state in (JobState.done, JobState.canceled), job.reason
    assert stack.audit() == []
    return job


def retried(stack: Stack, job: Job) -> Job:
    before = {job.id for job in stack.jobs()}
    stack.command("retry", job.id)
    key = keys.retried_input(job.input.key, job.id)
    stack.drop(key, stack.objects.body(key))
    return ended(stack, before)


def corrected(stack: Stack, job: Job, *changes: tuple[str, str]) -> bytes:
    body = stack.output("failed.csv", job)
    for old, new in changes:
        body = body.replace(old.encode(), new.encode())
    return body


def whole(stack: Stack, job: Job) -> list[list[str]]:
    """The whole table without its costs."""
    found = table(stack, "complete.csv", job)
    return [cells[:-1] for cells in found]


def labels(stack: Stack, job: Job) -> dict[str, str]:
    header, *found = whole(stack, job)
    return {cells[header.index("id")]: cells[header.index("label")] for cells in found}


def names(stack: Stack, job: Job) -> set[str]:
    folder = keys.outbox_folder(job.input.key, job.id)
    return {key.removeprefix(folder) for key in stack.objects.keys(folder)}


class TestACorrectedTable:
    def test_gives_the_whole_table_back(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("good one", "bad one", "a third", "bad too"))
        again = dropped(stack, "failed.csv", corrected(stack, job, ("bad one", "good now")))
        assert whole(stack, again) == [
            HEADER[:-1],
            ["1", "good one", "positive", "good one", "2", "succeeded", ""],
            ["2", "good now", "positive", "good now", "3", "succeeded", ""],
            ["3", "a third", "negative", "a third", "4", "succeeded", ""],
            ["4", "bad too", "", "", "5", "errored", whole(stack, again)[4][-1]],
        ]
        # The job's own rows stay its own.
        assert [cells[0] for cells in table(stack, "results.csv", again)[1:]] == ["2", "4"]
        assert again.counts.total == 2
        manifest = stack.document("manifest.json", again)
        found = manifest["complete"]
        assert (found["rows"], found["answered"], found["jobs"]) == (4, 3, [job.id, again.id])
        assert "3 of 4 rows have an answer" in stack.document("status.json", again)["message"]
        assert {"complete.csv", "complete.jsonl"} <= manifest["files"].keys()

    def test_has_no_row_more_than_the_table_had(self) -> None:
        """Somebody has typed the number of the header."""
        stack = stack_of(picky)
        job = first(stack, rows_of("good one", "bad one"))
        body = corrected(stack, job, ("bad one", "good now"), (f"{job.id},3", f"{job.id},1"))
        again = dropped(stack, "again.csv", body)
        assert [line["line"] for line in stack.lines("complete.jsonl", again)] == [2, 3]
        assert "1 row has a number that no row of the earlier job has" in stack.document("status.json", again)["message"]
        assert len(table(stack, "results.csv", again)) == 2

    def test_has_each_row_as_json_too(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("good one", "bad one", "bad too"))
        again = dropped(stack, "failed.csv", corrected(stack, job, ("bad one", "good now")))
        lines = stack.lines("complete.jsonl", again)
        assert [line["line"] for line in lines] == [2, 3, 4]
        assert [line["row"]["text"] for line in lines] == ["good one", "good now", "bad too"]
        assert [line["output"] and line["output"]["label"] for line in lines] == ["positive", "positive", None]
        assert [line.get("job_id") for line in lines] == [None, again.id, again.id]
        assert lines[1]["result"]["type"] == "succeeded"
        assert (lines[2]["status"], lines[2]["error"]["type"]) == ("errored", "not_json")

    def test_in_any_order(self) -> None:
        """People sort a table before they drop it again."""
        stack = stack_of(picky)
        job = first(stack, rows_of(*(f"bad {number}" for number in range(9)), "good"))
        header, *lines = corrected(stack, job, ("bad", "good")).splitlines(keepends=True)
        again = dropped(stack, "failed.csv", header + b"".join(sorted(lines, reverse=True)))
        assert [cells[0] for cells in whole(stack, again)[1:]] == [str(number) for number in range(1, 11)]
        assert set(labels(stack, again).values()) == {"positive"}

    def test_a_row_that_is_named_twice_counts_as_it_came_last(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "fine"))
        header, line = stack.output("failed.csv", job).splitlines(keepends=True)
        body = header + line.replace(b"bad one", b"good") + line.replace(b"bad one", b"poor")
        again = dropped(stack, "failed.csv", body)
        assert labels(stack, again) == {"1": "negative", "2": "negative"}
        assert (
            "1 row of the earlier job is in the file more than once: the last answer counts."
            in (stack.document("manifest.json", again)["complete"]["note"])
        )
        assert again.counts.total == 2

    def test_of_a_row_that_is_named_twice_an_answer_counts_more_than_none(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "fine"))
        header, line = stack.output("failed.csv", job).splitlines(keepends=True)
        again = dropped(stack, "failed.csv", header + line.replace(b"bad one", b"good") + line.replace(b"one", b"still"))
        assert (again.counts.total, again.counts.succeeded) == (2, 1)
        assert labels(stack, again) == {"1": "positive", "2": "negative"}

    def test_an_answer_is_worth_more_than_none(self) -> None:
        """Somebody asks again about a row that has an answer, and gets none."""
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        header, line = stack.output("failed.csv", job).splitlines(keepends=True)
        again = dropped(stack, "failed.csv", header + line.replace(b",2,", b",3,") + line.replace(b"bad", b"good"))
        assert labels(stack, again) == {"1": "positive", "2": "positive"}

    def test_of_another_recipe_has_the_columns_of_both(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("good", "bad"))
        stack.claude.answer = lambda _, params: said('{"label": "negative", "topic": "price"}')
        stack.drop(f"{FOLDER}recipe.yaml", RECIPE.replace(b"explanation: string", b"topic: string"))
        again = dropped(stack, "failed.csv", stack.output("failed.csv", job))
        assert [cells[:6] for cells in whole(stack, again)] == [
            ["id", "text", "label", "explanation", "topic", "batchdrop_row"],
            ["1", "good", "positive", "good", "", "2"],
            ["2", "bad", "negative", "", "price", "3"],
        ]

    def test_keeps_separator_and_line_ends_of_the_first(self) -> None:
        """In its own tables too, and in those of what is asked a third time."""
        stack = stack_of(picky)
        job = first(stack, b"id;text\r\n1;good\r\n2;bad\r\n3;bad\r\n")
        lines = stack.output("failed.jsonl", job).replace(b'"3", "text": "bad"', b'"3", "text": "good"')
        again = dropped(stack, "again.jsonl", lines.replace(b'"text":"bad"', b'"text":"good"', 1))
        third = retried_as_jsonl(stack, again)
        for name, one in (("complete.csv", again), ("results.csv", again), ("results.csv", third), ("complete.csv", third)):
            assert stack.output(name, one).startswith(b"\xef\xbb\xbfid;text;label;explanation;batchdrop_row;"), name
        assert stack.output("complete.csv", again).count(b"\r\n") == 4
        assert stack.output("results.csv", third).count(b"\r\n") == 2

    def test_of_another_team_is_written_as_by_itself(self) -> None:
        stack = stack_of(picky)
        job = first(stack, b"id;text\r\n1;good\r\n2;bad\r\n")
        stack.drop("inbox/other/recipe.yaml", RECIPE)
        lines = stack.output("failed.jsonl", job).replace(b"bad", b"good")
        again = dropped(stack, "again.jsonl", lines, folder="inbox/other/")
        assert stack.output("results.csv", again).startswith(b"\xef\xbb\xbfid,text,label,")

    def test_guards_against_formulas_once(self) -> None:
        stack = stack_of(picky)
        job = first(stack, b"id,text,=sum\n1,bad,=1+1\n2,good,'=x\n")
        again = dropped(stack, "failed.csv", corrected(stack, job, ("bad", "good")))
        assert [cells[2] for cells in whole(stack, again)] == ["'=sum", "'=1+1", "''=x"]


def retried_as_jsonl(stack: Stack, job: Job) -> Job:
    lines = stack.output("failed.jsonl", job).replace(b"bad", b"good")
    return dropped(stack, "again.jsonl", lines)


class TestARetry:
    def test_of_a_table(self) -> None:
        stack = stack_of(
            lambda _, params: (
                said('{"label": "positive", "explanation": "x"}') if "one" in prompt_of(params) else {"type": "expired"}
            ),
            max_attempts=1,
        )
        job = first(stack, rows_of("one", "two", "three"))
        stack.claude.answer = lambda *_: _NEGATIVE
        again = retried(stack, job)
        assert labels(stack, again) == {"1": "positive", "2": "negative", "3": "negative"}
        assert stack.document("manifest.json", again)["complete"]["answered"] == 3

    def test_of_requests(self) -> None:
        stack = Stack(max_attempts=1)
        stack.claude.answer = lambda _, params: EXPIRED if "late" in prompt_of(params) else said("yes")
        stack.drop(
            "inbox/a.jsonl", b"\n".join([row("a", "now"), row(None, "late"), b"broken", row("d", "late"), row("e", "now")])
        )
        stack.run()
        job = stack.job()
        stack.claude.answer = lambda *_: said("at last")
        again = retried(stack, job)
        lines = stack.lines("complete.jsonl", again)
        assert [(line.get("custom_id"), line["line"]) for line in lines] == [
            ("a", 1), ("line-2", 2), (None, 3), ("d", 4), ("e", 5),
        ]  # fmt: skip
        assert [line.get("status", "succeeded") for line in lines] == [
            "succeeded",
            "succeeded",
            "invalid",
            "succeeded",
            "succeeded",
        ]
        assert lines[2]["raw"] == "broken"
        assert "complete.csv" not in names(stack, again)
        assert stack.document("manifest.json", again)["complete"] | {"note": ""} == {
            "rows": 5, "answered": 4, "jobs": [job.id, again.id], "parts": [], "note": "",
        }  # fmt: skip

    def test_of_a_retry(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("good", "bad one", "bad two", "bad three"))
        second = dropped(stack, "failed.csv", corrected(stack, job, ("bad one", "good")))
        # Its rows are still those of the first file.
        assert [cells[2:4] for cells in table(stack, "failed.csv", second)[1:]] == [[job.id, "4"], [job.id, "5"]]
        third = dropped(stack, "failed.csv", corrected(stack, second, ("bad two", "poor")))
        assert labels(stack, third) == {"1": "positive", "2": "positive", "3": "negative", "4": ""}
        assert stack.document("manifest.json", third)["complete"]["jobs"] == [job.id, second.id, third.id]
        assert stack.document("manifest.json", third)["complete"]["answered"] == 3

    def test_and_another_of_the_same_job(self) -> None:
        """Some rows are corrected first, others later, from the same file: the second table has the answers of both."""
        stack = stack_of(picky)
        job = first(stack, rows_of("good", "bad one", "bad two"))
        header, one, two = stack.output("failed.csv", job).splitlines(keepends=True)
        dropped(stack, "some.csv", header + one.replace(b"bad one", b"good"))
        last = dropped(stack, "others.csv", header + two.replace(b"bad two", b"poor"))
        assert labels(stack, last) == {"1": "positive", "2": "positive", "3": "negative"}

    def test_of_a_retry_without_a_recipe_in_its_folder_has_the_recipe_of_the_retry(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("good", "bad one", "bad two"))
        stack.drop(f"{FOLDER}recipe.yaml", RECIPE.replace(b"Label", b"Judge"))
        second = dropped(stack, "failed.csv", corrected(stack, job, ("bad one", "good")))
        stack.objects.delete(f"{FOLDER}recipe.yaml")
        third = dropped(stack, "failed.csv", corrected(stack, second, ("bad two", "poor")))
        assert b"Judge" in stack.output("recipe.yaml", third)
        assert labels(stack, third) == {"1": "positive", "2": "positive", "3": "negative"}

    def test_of_rows_that_were_canceled(self) -> None:
        stack = stack_of(picky)
        stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
        stack.drop(f"{FOLDER}reviews.csv", rows_of("good", "poor"))
        stack.command("cancel", stack.jobs()[0].id)
        stack.run()
        job = stack.job()
        assert job.state is JobState.canceled
        again = retried(stack, job)
        assert labels(stack, again) == {"1": "positive", "2": "negative"}

    def test_that_is_canceled_leaves_the_old_answers(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("good", "bad"))
        stack.drop(f"{FOLDER}failed.csv", corrected(stack, job, ("bad", "good")))
        again = next(one for one in stack.jobs() if one.id != job.id)
        stack.command("cancel", again.id)
        stack.run()
        again = next(one for one in stack.jobs() if one.id != job.id)
        assert again.state is JobState.canceled
        assert labels(stack, again) == {"1": "positive", "2": ""}
        assert stack.audit() == []


class TestNoWholeTable:
    def check(self, stack: Stack, job: Job, sentence: str) -> None:
        assert not {"complete.csv", "complete.jsonl"} & names(stack, job)
        assert sentence in stack.document("status.json", job)["message"]

    def test_of_several_jobs(self) -> None:
        stack = stack_of(picky)
        one = first(stack, rows_of("bad one", "good"))
        other = dropped(stack, "other.csv", rows_of("bad other"))
        header, line = stack.output("failed.csv", one).splitlines(keepends=True)
        _, more = stack.output("failed.csv", other).splitlines(keepends=True)
        mixed = dropped(stack, "mixed.csv", header + line + more)
        self.check(stack, mixed, sentences.SEVERAL_TABLES)
        # It is a table of its own from now on.
        assert [cells[2:4] for cells in table(stack, "failed.csv", mixed)[1:]] == [[mixed.id, "2"], [mixed.id, "3"]]
        last = dropped(stack, "failed.csv", corrected(stack, mixed, ("bad", "good")))
        assert stack.document("manifest.json", last)["complete"]["jobs"] == [mixed.id, last.id]

    def test_where_some_rows_name_none(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        again = dropped(stack, "failed.csv", stack.output("failed.csv", job) + b"9,new,,,,,\r\n")
        self.check(stack, again, sentences.ROWS_OF_NO_TABLE)

    def test_of_a_job_in_another_folder(self) -> None:
        """Whoever may drop a file into one folder may not read the answers of another."""
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "a secret"))
        stack.drop("inbox/other/recipe.yaml", RECIPE)
        again = dropped(stack, "failed.csv", stack.output("failed.csv", job), folder="inbox/other/")
        self.check(stack, again, sentences.NO_SUCH_TABLE)
        assert b"secret" not in b"".join(stack.objects.body(key) for key in stack.objects.keys("outbox/other/"))

    @pytest.mark.parametrize("row", ["4", "999999999999"])
    def test_of_a_row_that_the_job_does_not_have(self, row: str) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        body = stack.output("failed.csv", job).replace(b",2,", f",{row},".encode())
        self.check(stack, dropped(stack, "failed.csv", body), sentences.NO_SUCH_TABLE)

    @pytest.mark.parametrize("row", ["", "0", "-2", "2.5", "x", "\u0662", "9" * 50])
    def test_of_a_row_without_a_number(self, row: str) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        body = stack.output("failed.csv", job).replace(b",2,", f",{row},".encode())
        again = dropped(stack, "failed.csv", body)
        assert not again.completes
        assert "complete.csv" not in names(stack, again)

    def test_of_a_job_that_nobody_knows(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        body = stack.output("failed.csv", job).replace(job.id.encode(), b"20200101T000000Z-aaaaaaaaaaaaaaaa")
        self.check(stack, dropped(stack, "failed.csv", body), sentences.NO_SUCH_TABLE)

    def test_once_the_first_table_is_gone(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        body = stack.output("failed.csv", job)
        for name in ("results.jsonl", "failed.jsonl"):
            stack.objects.purge(keys.outbox_folder(job.input.key, job.id) + name)
        before = {one.id for one in stack.jobs()}
        stack.drop(f"{FOLDER}failed.csv", body)
        stack.run()
        (again,) = [one for one in stack.jobs() if one.id not in before]
        assert again.state is JobState.done
        self.check(stack, again, sentences.TABLE_GONE)

    def test_where_it_would_be_too_large(self) -> None:
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "good"))
        limited(stack, max_bytes=500)
        again = dropped(stack, "failed.csv", corrected(stack, job, ("bad", "good")))
        self.check(stack, again, "complete.parts")
        old, new = (keys.outbox_folder(one.input.key, one.id) for one in (job, again))
        assert stack.document("manifest.json", again)["complete"]["parts"] == [
            f"{new}results.jsonl", f"{old}results.jsonl", f"{old}failed.jsonl",
        ]  # fmt: skip

    def test_behind_a_job_that_has_none(self) -> None:
        """A short one would fit again, and would lack the answers of the one in between."""
        stack = stack_of(picky)
        job = first(stack, rows_of("bad one", "bad two", "good"))
        header, *lines = corrected(stack, job, ("bad", "good")).splitlines(keepends=True)
        most = stack.finish.complete_table.max_bytes
        limited(stack, max_bytes=500)
        between = dropped(stack, "failed.csv", header + lines[0])
        limited(stack, max_bytes=most)
        last = dropped(stack, "failed.csv", header + lines[1])
        self.check(stack, last, sentences.table_behind(between.id))
        folders = [keys.outbox_folder(one.input.key, one.id) for one in (last, between, job)]
        told = stack.document("manifest.json", last)["complete"]
        assert told["parts"] == [*(f"{folder}results.jsonl" for folder in folders), f"{folders[-1]}failed.jsonl"]
        assert told["jobs"] == [job.id, between.id, last.id]


class _Hurried(NamedTuple):
    """Every invocation is out of time as soon as it has done anything."""

    table: CompleteTable

    def __call__(self, job: Job, go_on: Callable[[], bool]) -> Completed | Completing:
        return self.table(job, lambda: False)


def _long(stack: Stack, rows: int = 600) -> tuple[Job, bytes]:
    """A job with answers of 2 KB, a third of which can be corrected, and the rows to do it."""
    stack.claude.answer = lambda _, params: said("" if "bad" in prompt_of(params) else prompt_of(params) + 2_000 * "x")
    texts = [f"bad {number}" if number % 3 == 0 else f"good {number}" for number in range(rows)]
    job = first(stack, rows_of(*texts), recipe=b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    header, *lines = corrected(stack, job, ("bad", "better")).splitlines(keepends=True)
    # In an order that no run has by itself.
    return job, header + b"".join(lines[::2] + lines[-1 - len(lines) % 2 :: -2])


def _long_stack(*, hurried: bool = False) -> tuple[Stack, Job, bytes]:
    stack = stack_of(picky)
    stack.objects.part_bytes = 100_000
    job, body = _long(stack)
    limited(stack, run_rows=70)
    if hurried:
        stack.finish = replace(stack.finish, complete_table=_Hurried(stack.finish.complete_table))
    return stack, job, body


class TestALongTable:
    def test_of_many_runs_is_that_of_one(self) -> None:
        stack, _, body = _long_stack()
        again = dropped(stack, "failed.csv", body)
        lines = stack.lines("complete.jsonl", again)
        assert [line["line"] for line in lines] == list(range(2, 602))
        assert [line["output"]["answer"].split("x")[0] for line in lines] == [
            f"better {number}" if number % 3 == 0 else f"good {number}" for number in range(600)
        ]
        assert [cells[2][:8] for cells in whole(stack, again)[1:]] == [line["output"]["answer"][:8] for line in lines]

    def test_takes_many_invocations_if_it_must(self) -> None:
        stack, _, body = _long_stack(hurried=True)
        before = stack.invocations
        again = dropped(stack, "failed.csv", body)
        assert stack.invocations - before > 20
        assert len(whole(stack, again)) == 601
        plain, _, body = _long_stack()
        same = dropped(plain, "failed.csv", body)
        for name in ("complete.csv", "complete.jsonl"):
            assert stack.output(name, again) == plain.output(name, same)

    @pytest.mark.parametrize("hurried", [False, True])
    @pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
    def test_is_the_same_after_a_kill(self, share: float, hurried: bool) -> None:
        """After a kill nothing is written twice, and no more than a part is made again."""
        stack, _, body = _long_stack(hurried=hurried)
        stack.drop(f"{FOLDER}failed.csv", body)
        calls = _calls_of_finish(hurried=hurried)
        kill = Killing(stack, round(share * calls))
        again = ended(stack, {stack.jobs()[0].id})
        assert kill.done
        assert len(whole(stack, again)) == 601
        assert [line["line"] for line in stack.lines("complete.jsonl", again)] == list(range(2, 602))

    def test_little_is_made_again_after_a_kill(self) -> None:
        """Once half of the table is there, the next invocation reads less than three quarters of what it is made of."""
        stack, _, body = _long_stack()
        stack.drop(f"{FOLDER}failed.csv", body)
        Killing(stack, 10, call="objects.add_part")
        reads = _Offsets(stack, "/results.jsonl")
        ended(stack, {stack.jobs()[0].id})
        assert len(reads.begun) == 2
        assert reads.begun[1] > 300_000

    def test_goes_on_behind_the_parts_that_s3_has(self) -> None:
        stack, _, body = _long_stack()
        stack.drop(f"{FOLDER}failed.csv", body)
        kill = Killing(stack, 7, call="objects.add_part")
        ended(stack, {stack.jobs()[0].id})
        assert kill.done
        # Of each file each part went to S3 once, and the one whose invocation was killed before it was there.
        assert kill.made == kill.kept


class _Offsets:
    """Where reading of the first job's file begins, each time that the table as it was is read."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.begun: list[int] = []
        read, folder = stack.objects.read, keys.outbox_folder(stack.jobs()[0].input.key, stack.jobs()[0].id)

        def watched(ref: ObjectRef, start: int = 0, end: int | None = None) -> Any:
            if ref.key == folder.removesuffix("/") + name and stack.at_work == "finish":
                self.begun.append(start)
            return read(ref, start, end)

        stack.objects.read = watched  # type: ignore[method-assign]


class Killing:
    """Kills `finish` of the second job before its call of that number; a process that was killed does nothing any more."""

    def __init__(self, stack: Stack, number: int, call: str = "") -> None:
        self._stack, self._number, self._call = stack, number, call
        self._dead: int | None = None
        self.seen = 0
        self.done = False
        stack.hooks.before = self._before

    @property
    def made(self) -> int:
        return self.seen - 1

    @property
    def kept(self) -> int:
        sizes = [len(self._stack.objects.body(key)) for key in self._stack.objects.keys("outbox/") if "/complete." in key]
        return sum(-(-size // self._stack.objects.part_bytes) for size in sizes)

    def _before(self, name: str) -> None:
        if self._stack.at_work != "finish":
            return
        if self._dead == self._stack.invocations:
            raise Killed
        if self._call in ("", name):
            self.seen += 1
            if self.seen == self._number:
                self.done, self._dead = True, self._stack.invocations
                raise Killed


@cache
def _calls_of_finish(*, hurried: bool) -> int:
    stack, _, body = _long_stack(hurried=hurried)
    kill = Killing(stack, 0)
    dropped(stack, "failed.csv", body)
    return kill.seen


class TestTwoRetriesAtOnce:
    def _two(self, stack: Stack) -> tuple[Job, Job]:
        job = first(stack, rows_of("good", "bad one", "bad two"))
        header, one, two = stack.output("failed.csv", job).splitlines(keepends=True)
        stack.drop(f"{FOLDER}one.csv", header + one.replace(b"bad one", b"good"))
        stack.drop(f"{FOLDER}two.csv", header + two.replace(b"bad two", b"poor"))
        stack.run()
        assert stack.audit() == []
        _, *both = stack.jobs()
        last = next(each for each in both if stack.ledger.jobs[job.id].completed_by == each.id)
        other = next(each for each in both if each != last)
        return other, last

    def test_lose_no_answer(self) -> None:
        stack = stack_of(picky)
        _, last = self._two(stack)
        assert labels(stack, last) == {"1": "positive", "2": "positive", "3": "negative"}

    def test_the_second_waits_for_the_table_of_the_first(self) -> None:
        stack = stack_of(picky)
        slow = _Slow(stack)
        other, last = self._two(stack)
        assert (slow.first, slow.waited) == (other.id, True)
        assert labels(stack, last) == {"1": "positive", "2": "positive", "3": "negative"}
        assert {type(error) for _, error in stack.failures} == {NotYet, Incomplete}


class _Slow:
    """Whoever comes first takes its place in the chain, and has no table until somebody else has waited for it."""

    def __init__(self, stack: Stack) -> None:
        self._table = stack.finish.complete_table
        self.first = ""
        self.waited = False
        stack.finish = replace(stack.finish, complete_table=self)

    def __call__(self, job: Job, go_on: Callable[[], bool]) -> Completed | Completing:
        self.first = self.first or job.id
        if job.id == self.first and not self.waited:
            self._table._based(job)
            raise Incomplete("slow")
        try:
            return self._table(job, go_on)
        except NotYet:
            self.waited = True
            raise


def limited(stack: Stack, **changes: Any) -> None:
    table = stack.finish.complete_table
    sort = {name: changes.pop(name) for name in ("run_bytes", "run_rows") if name in changes}
    changes |= {"sort_rows": replace(table.sort_rows, **sort)} if sort else {}
    stack.finish = replace(stack.finish, complete_table=replace(table, **changes))
