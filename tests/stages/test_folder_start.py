"""A folder of documents becomes one job when its start is dropped: one row a document, and none twice for the same recipe."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from html import unescape
from itertools import count, groupby
from typing import Any

import pytest
from msgspec.structs import replace

from batchdrop.domain.keys import taken
from batchdrop.domain.records import Job, JobState, ObjectRef
from batchdrop.recipes.reading import read_recipe
from batchdrop.reports import sentences
from tests.fakes.claude import FakeClaude
from tests.named_files import jpeg, pdf, png
from tests.stack import Killed, Stack, once
from tests.stages.row_jobs import EXPIRED, table
from tests.stages.test_named_files import Api

RECIPE = b"""\
model: claude-haiku-4-5
documents: ["{{ path }}"]
prompt: What is the total?
"""
FOLDER = "inbox/bills/2026/"
START = f"{FOLDER}start/"
HINT = "outbox/bills/2026/how-to-start.txt"


@pytest.fixture
def api() -> Api:
    return Api()


def stack_of(api: Callable[..., Any], recipe: bytes = RECIPE, **more: Any) -> Stack:
    stack = Stack(api=lambda clock, hooks: FakeClaude(clock, hooks, answer=api), **more)
    if recipe:
        stack.drop(f"{FOLDER}recipe.yaml", recipe)
    return stack


def bills(*numbers: int) -> dict[str, bytes]:
    """Each of other bytes."""
    return {f"{number:02}.pdf": pdf(1) + b"\n" * number for number in numbers}


def put(stack: Stack, files: dict[str, bytes]) -> None:
    for name, body in files.items():
        stack.drop(f"{FOLDER}{name}", body)


def started(stack: Stack, key: str = START) -> Job:
    """The job of a start that is dropped now, once it has ended."""
    before = {job.id for job in stack.jobs()}
    stack.drop(key, b"")
    stack.run()
    (job,) = (job for job in stack.jobs() if job.id not in before)
    return job


def paths(stack: Stack, job: Job, column: str = "path") -> list[str]:
    head, *found = table(stack, "results.csv", job)
    return [row[head.index(column)] for row in found]


@pytest.mark.parametrize("key", [START, f"{FOLDER}start"])
def test_every_document_of_the_folder_is_a_row(api: Api, key: str) -> None:
    stack = stack_of(api)
    put(stack, {"b.pdf": pdf(1), "a.PDF": pdf(2), "sub/c.pdf": pdf(3), "notes.txt": b"The total is 3.", "x.png": png()})
    put(stack, {".DS_Store": b"x", "._b.pdf": b"x", "~$x.md": b"x"})
    for other in ("inbox/bills/other.pdf", "inbox/bills/20261.pdf", "inbox/bills/2026.pdf"):
        stack.drop(other, pdf(2))
    stack.run()
    assert stack.jobs() == []
    job = started(stack, key)
    assert job.state is JobState.done
    assert paths(stack, job) == ["a.PDF", "b.pdf", "notes.txt", "sub/c.pdf"]
    assert api.files == {pdf(1), pdf(2), pdf(3), b"The total is 3."}
    assert job.counts.succeeded == len(api.sent) == 4
    assert stack.objects.keys(f"outbox/bills/2026/start/{job.id}/results.csv")
    assert stack.audit() == []


def test_a_second_start_takes_what_is_new_or_replaced(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(1, 2, 3))
    started(stack)
    put(stack, {"02.pdf": pdf(7), **bills(4)})
    assert paths(stack, started(stack)) == ["02.pdf", "04.pdf"]
    assert len(api.sent) == 5
    assert started(stack).state is JobState.rejected


def test_a_start_that_comes_too_late_names_the_job_that_has_the_documents(api: Api) -> None:
    """Whoever is sent to start-all, or told to correct a file, pays for all of them twice."""
    stack = stack_of(api)
    put(stack, bills(1, 2))
    first = started(stack)
    status = stack.document("status.json", started(stack))
    assert f"all 2 documents of {FOLDER} are in job {first.id} (done)" in status["message"]
    assert f"outbox/bills/2026/start/{first.id}/status.json" in status["message"]
    put(stack, bills(3))
    second = started(stack)
    late = started(stack)
    message = stack.document("status.json", late)["message"]
    assert f"all 3 documents of {FOLDER} are in earlier jobs, the newest of which is {second.id} (done)" in message
    for said in (status, stack.document("status.json", late)):
        assert "start-all" not in said["message"]
        assert "Correct" not in said["next"]["text"] + said["message"]
    assert len(api.sent) == 3


def test_a_late_start_counts_all_documents_of_a_folder_of_several_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.plan.list_documents._PAGE", 2)
    stack = stack_of(api, timeout=60.0)
    put(stack, bills(1, 2, 3, 4, 5))
    first = started(stack)
    stack.hooks.before = lambda name: stack.clock.advance(50) if name == "objects.newest" else None
    message = stack.document("status.json", started(stack))["message"]
    assert f"all 5 documents of {FOLDER} are in job {first.id}" in message


def test_two_starts_that_waited_for_one_recipe_ask_about_each_document_once(api: Api) -> None:
    stack = stack_of(api, recipe=b"")
    put(stack, bills(1, 2))
    for key in (START, f"{FOLDER}start"):
        stack.drop(key, b"")
    stack.step()
    assert [job.state for job in stack.jobs()] == [JobState.held] * 2
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
    stack.run()
    assert len(api.sent) == 2
    done, late = sorted(stack.jobs(), key=lambda job: job.state)
    assert [done.state, late.state] == [JobState.done, JobState.rejected]
    assert done.id in stack.document("status.json", late)["message"]


def test_the_same_bytes_put_in_again_are_no_new_document(api: Api) -> None:
    """Copied once more, or the folder dragged into the console again: another version, and nothing else."""
    stack = stack_of(api)
    put(stack, bills(1, 2))
    started(stack)
    stack.objects.delete(f"{FOLDER}01.pdf")
    put(stack, bills(1, 2, 3))
    assert paths(stack, started(stack)) == ["03.pdf"]
    put(stack, {**bills(1, 2), "copy.pdf": bills(1)["01.pdf"]})
    assert paths(stack, started(stack)) == ["copy.pdf"]
    assert len(api.sent) == 4
    put(stack, {"01.pdf": pdf(5)})
    assert paths(stack, started(stack)) == ["01.pdf"]
    put(stack, bills(1))
    assert started(stack).state is JobState.rejected, "the first start has these bytes"
    assert len(api.sent) == 5


def test_an_upload_whose_etag_is_none_of_its_bytes_counts_as_replaced(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where KMS encrypts: nobody can tell without reading it."""
    stack = stack_of(api)
    put(stack, bills(1))
    started(stack)
    put(stack, bills(1))
    newest = stack.objects.newest

    def listed(prefix: str, **more: Any) -> list[ObjectRef]:
        return [replace(ref, etag=f"{ref.version_id}") for ref in newest(prefix, **more)]

    monkeypatch.setattr(stack.objects, "newest", listed)
    assert paths(stack, started(stack)) == ["01.pdf"]


def test_what_an_earlier_batchdrop_has_claimed_stays_taken(api: Api) -> None:
    """It claimed a version, not its bytes."""
    stack = stack_of(api)
    put(stack, bills(1, 2))
    first = started(stack)
    claims = stack.objects.keys("work/taken/")
    assert len(claims) == 2
    for key in claims:
        stack.objects.purge(key)
    for ref in stack.objects.newest(f"{FOLDER}0", limit=9):
        claimed = "\0".join((sha256(RECIPE).hexdigest(), ref.key, ref.version_id or ""))
        stack.objects.drop(taken(sha256(claimed.encode()).hexdigest(), 1), first.id.encode())
    put(stack, bills(3))
    assert paths(stack, started(stack)) == ["03.pdf"]
    assert started(stack).state is JobState.rejected
    assert len(api.sent) == 3


def test_start_all_takes_all_and_leaves_nothing_to_a_start(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(1, 2))
    started(stack)
    put(stack, bills(3))
    assert paths(stack, started(stack, f"{FOLDER}start-all/")) == ["01.pdf", "02.pdf", "03.pdf"]
    assert started(stack).state is JobState.rejected
    assert len(api.sent) == 5


def test_another_recipe_has_taken_nothing_yet(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(1, 2))
    started(stack)
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE.replace(b"total", b"date"))
    assert paths(stack, started(stack)) == ["01.pdf", "02.pdf"]
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
    assert started(stack).state is JobState.rejected


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("start", "in inbox/bills/2026/ there is no document that the recipe reads. Put in PDFs"),
        ("start-all/", "in inbox/bills/2026/ there is no document that the recipe reads. Put in PDFs"),
    ],
)
def test_a_folder_with_nothing_to_take_says_so(api: Api, name: str, says: str) -> None:
    stack = stack_of(api)
    put(stack, {"x.png": png()})
    job = started(stack, f"{FOLDER}{name}")
    assert job.state is JobState.rejected
    assert says in stack.document("status.json", job)["message"]
    assert "Nothing was sent or paid" in stack.document("status.json", job)["message"]
    assert stack.batches(job) == []


def test_without_a_recipe_it_waits_and_gets_one_that_reads_documents(api: Api) -> None:
    stack = stack_of(api, recipe=b"")
    put(stack, bills(1))
    stack.drop(START, b"")
    stack.step()
    assert stack.job().state is JobState.held
    starter = stack.output("recipe.yaml")
    assert b'documents: ["{{ path }}"]' in starter
    put(stack, bills(2))
    stack.drop(f"{FOLDER}recipe.yaml", starter)
    stack.run()
    assert paths(stack, stack.job()) == ["01.pdf", "02.pdf"]


def test_a_recipe_that_reads_no_files_is_told_and_corrected(api: Api) -> None:
    stack = stack_of(api, recipe=b"model: claude-haiku-4-5\nprompt: Hello\n")
    put(stack, bills(1))
    stack.drop(START, b"")
    stack.step()
    assert stack.job().state is JobState.held
    assert 'add documents: ["{{ path }}"]' in stack.document("status.json")["message"]
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
    stack.run()
    assert paths(stack, stack.job()) == ["01.pdf"]


def test_a_fault_that_shows_with_the_first_row_takes_no_document_from_the_corrected_recipe(api: Api) -> None:
    stack = stack_of(api, recipe=RECIPE.replace(b"path", b"file"))
    put(stack, bills(1))
    stack.drop(START, b"")
    stack.step()
    assert stack.job().state is JobState.held
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
    stack.run()
    assert paths(stack, stack.job()) == ["01.pdf"]


def test_documents_and_images_of_one_folder_have_columns_of_their_own(api: Api) -> None:
    recipe = b'model: claude-haiku-4-5\ndocuments: ["{{ document }}"]\nimages: ["{{ image }}"]\nprompt: What is it?\n'
    stack = stack_of(api, recipe=recipe)
    put(stack, {"a.pdf": pdf(), "b.png": png(), "c.jpeg": b"no image"})
    job = started(stack)
    assert paths(stack, job, "document") == ["a.pdf", "", ""]
    assert paths(stack, job, "image") == ["", "b.png", "c.jpeg"]
    assert (job.counts.succeeded, job.counts.invalid) == (2, 1)


def test_texts_are_rows_where_no_recipe_reads_documents(api: Api) -> None:
    stack = stack_of(api, recipe=b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    stack.drop(f"{FOLDER}rows.txt", b'{"text": "a"}\n{"text": "b"}\n')
    stack.run()
    assert stack.job().counts.succeeded == 2
    assert not stack.objects.keys(HINT)


def test_a_text_that_came_before_the_recipe_is_told_to_be_started(api: Api) -> None:
    stack = stack_of(api, recipe=b"")
    stack.drop(f"{FOLDER}notes.md", b"The total is 3.")
    stack.drop(f"{FOLDER}rows.txt", b'{"text": "a"}\n')
    stack.step()
    stack.drop(f"{FOLDER}recipe.yaml", RECIPE)
    stack.run()
    held = [job for job in stack.jobs() if job.input.key.endswith("rows.txt")]
    assert [job.state for job in held] == [JobState.rejected]
    assert "create the folder start" in stack.document("status.json", held[0])["message"]
    assert paths(stack, started(stack)) == ["notes.md", "rows.txt"]


def test_the_first_document_of_a_folder_leaves_a_hint_and_no_other_does(api: Api) -> None:
    stack = stack_of(api)
    put(stack, {**bills(1, 2), "x.png": png(), "t.txt": b"text"})
    stack.drop("inbox/loose.pdf", pdf())
    assert stack.objects.count_versions(HINT) == 1
    hint = stack.objects.body(HINT).decode()
    assert "inbox/bills/2026/start/" in hint
    assert 'documents: ["{{ path }}"]' in hint
    assert stack.objects.keys("outbox/") == [HINT, "outbox/how-to-start.txt"]


def test_the_recipes_of_the_hint_are_read_as_they_are_copied() -> None:
    """Without the comment that is none in YAML."""
    lines = sentences.how_to_start("bills").split("\n")
    blocks = ["\n".join(found) + "\n" for _, found in groupby(filter(re.compile(r"   \w+: |$").match, lines), bool)]
    smallest, both = (block for block in blocks if block.strip())
    assert read_recipe(smallest.encode(), "recipe.yaml").recipe.documents == ["{{ path }}"]
    recipe = read_recipe(smallest.replace('   documents: ["{{ path }}"]\n', both).encode(), "recipe.yaml").recipe
    assert (recipe.documents, recipe.images) == (["{{ document }}"], ["{{ image }}"])


def test_a_folder_whose_hint_has_a_key_too_long_for_s3_gets_none(api: Api) -> None:
    stack = stack_of(api, recipe=b"")
    folder = "f" * 1_008
    stack.drop(f"inbox/{folder}/a.pdf", pdf())
    stack.run()
    assert stack.objects.keys() == [f"inbox/{folder}/a.pdf"]
    assert stack.failures == []


ODD_NAMES = (
    "Screenshot at 9.41\u202fAM.pdf",
    "\u8acb\u6c42\u66f8\u30002026.pdf",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.pdf",
    "100%.pdf",
    "a%20b.pdf",
    "What?.pdf",
    "a: b.pdf",
    "a\\b.pdf",
    "\u202egpj.pdf",
    "two\nlines.pdf",
    "..pdf",
    "=1+1.pdf",
    "{{ path }}.pdf",
)


def test_a_document_may_have_any_name_that_s3_takes(api: Api) -> None:
    """Nobody who scans, saves or takes screenshots chooses the name of a file."""
    stack = stack_of(api)
    put(stack, {name: pdf(1) + b"\n" * number for number, name in enumerate(ODD_NAMES)})
    stack.claude.answer = lambda custom_id, params: EXPIRED if int(custom_id.rpartition("-")[2]) == 5 else api(custom_id, params)
    job = started(stack)
    assert (job.counts.total, job.counts.invalid, job.counts.expired) == (len(ODD_NAMES), 0, 1)
    stack.claude.answer = api
    stack.command("retry", job.id)
    (again,) = (key for key in stack.objects.keys("inbox/") if "retry-of" in key)
    stack.drop(again, stack.objects.body(again))
    stack.run()
    assert [one.counts.succeeded for one in stack.jobs() if one.completes] == [1]
    assert api.files == {pdf(1) + b"\n" * number for number in range(len(ODD_NAMES))}


@pytest.mark.parametrize("root", ["inbox/start", "inbox/start/", "inbox/start-all/"])
def test_at_the_root_nothing_takes_all_teams_documents(api: Api, root: str) -> None:
    stack = stack_of(api)
    stack.drop("inbox/recipe.yaml", RECIPE)
    put(stack, bills(1))
    stack.drop(root, b"")
    stack.run()
    assert all(job.state is JobState.rejected for job in stack.jobs())
    assert all(stack.batches(job) == [] for job in stack.jobs())


def test_a_file_that_is_called_start_is_a_file(api: Api) -> None:
    stack = stack_of(api, recipe=b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    put(stack, bills(1))
    stack.drop(f"{FOLDER}start", b'{"text": "a"}\n')
    stack.run()
    assert stack.job().counts.total == stack.job().counts.succeeded == 1


def test_a_document_goes_in_the_version_that_was_listed(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(1, 2))
    later = pdf(9)

    def meddle() -> None:
        stack.hooks.clear()
        put(stack, {"01.pdf": later})
        stack.objects.delete(f"{FOLDER}02.pdf")

    once(stack, "inspector.__call__", meddle)
    job = started(stack)
    assert job.counts.succeeded == 2
    assert api.files == set(bills(1, 2).values())
    assert paths(stack, started(stack)) == ["01.pdf"]
    assert api.files == {*bills(1, 2).values(), later}


def test_a_document_that_is_gone_for_good_costs_its_row(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(1, 2))
    once(stack, "inspector.__call__", lambda: stack.objects.purge(f"{FOLDER}02.pdf"))
    job = started(stack)
    assert (job.counts.succeeded, job.counts.invalid) == (1, 1)


def test_a_start_that_brought_no_answer_has_taken_nothing(api: Api) -> None:
    stack = stack_of(lambda custom_id, params: EXPIRED)
    put(stack, bills(1, 2))
    assert started(stack).counts.expired == 2
    stack.claude.answer = api
    assert paths(stack, started(stack)) == ["01.pdf", "02.pdf"]
    assert started(stack).state is JobState.rejected


def test_a_start_whose_recipe_is_taken_back_still_has_its_documents(api: Api) -> None:
    """A better prompt was tried, and was none: the first one is asked again, of the same start."""
    stack = stack_of(api, ask_above="0.00001")
    put(stack, bills(*range(1, 26)))
    stack.drop(START, b"")
    for recipe in (None, RECIPE.replace(b"total", b"sum"), RECIPE):
        if recipe is not None:
            stack.drop(f"{FOLDER}recipe.yaml", recipe)
        for _ in range(9):
            stack.step()
            for job in stack.jobs():
                if job.state is JobState.held and job.question is not None and job.question.for_pilot:
                    stack.command("approve", f"bills/2026/{job.id}-{job.question.code}")
    *before, last = sorted(stack.jobs(), key=lambda job: job.created_at)
    assert [(job.state, job.counts.succeeded) for job in before] == [(JobState.canceled, 20)] * 2
    assert last.state is JobState.held, last.reason
    assert last.question is not None
    stack.command("approve", f"bills/2026/{last.id}-{last.question.code}")
    stack.run()
    assert stack.ledger.jobs[last.id].counts.succeeded == 25


def test_two_starts_at_once_share_the_documents_out(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(*range(6)))
    calls = count(1)

    def meddle(name: str) -> None:
        if name == "objects.put" and stack.at_work == "plan" and next(calls) == 5:
            stack.drop(f"{FOLDER}start", b"")

    stack.hooks.before = meddle
    stack.drop(START, b"")
    stack.run()
    assert len(stack.jobs()) == 2
    assert sorted(path for job in stack.jobs() for path in paths(stack, job)) == sorted(bills(*range(6)))
    assert all(paths(stack, job) for job in stack.jobs())
    assert Counter(map(str, api.sources)) == Counter(set(map(str, api.sources)))
    assert len(api.sent) == 6


def test_a_folder_that_takes_longer_than_an_invocation_is_handed_over(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.plan.list_documents._PAGE", 2)
    stack = stack_of(api, timeout=60.0)
    put(stack, bills(*range(9)))
    pages: list[str] = []

    def slow(name: str) -> None:
        if name == "objects.newest":
            pages.append(name)
            stack.clock.advance(50)

    stack.hooks.before = slow
    job = started(stack)
    assert paths(stack, job) == sorted(bills(*range(9)))
    assert len(api.sent) == 9
    # Each page of two once, and the recipe and the start lie there too: what was listed is not listed again.
    assert len(pages) == 6
    assert stack.audit() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_call_it_takes_each_document_once(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.plan.list_documents._PAGE", 2)
    for nth in count(1):
        api = Api()
        stack = stack_of(api)
        put(stack, bills(1, 2, 3))
        calls = count(1)

        def kill(name: str, stack: Stack = stack, calls: Any = calls, nth: int = nth) -> None:
            if stack.at_work == "plan" and next(calls) == nth:
                raise Killed

        if after:
            stack.hooks.after = kill
        else:
            stack.hooks.before = kill
        stack.drop(START, b"")
        killed = next(calls) > nth
        stack.run()
        job = stack.job()
        assert job.state is JobState.done, (nth, job.reason)
        assert paths(stack, job) == ["01.pdf", "02.pdf", "03.pdf"], nth
        assert len(api.sent) == 3
        stack.hooks.clear()
        assert started(stack).state is JobState.rejected
        if not killed:
            assert nth > 20
            return


def test_rows_without_an_answer_are_dropped_again(api: Api) -> None:
    stack = stack_of(api)
    put(stack, bills(1, 2))
    second = b64encode(stack.objects.body(f"{FOLDER}02.pdf")).decode()
    stack.claude.answer = lambda custom_id, params: EXPIRED if second in str(params) else api(custom_id, params)
    job = started(stack)
    assert (job.counts.succeeded, job.counts.expired) == (1, 1)
    stack.claude.answer = api
    stack.drop(f"{FOLDER}again.jsonl", stack.output("failed.jsonl", job))
    stack.run()
    (again,) = (one for one in stack.jobs() if one.id != job.id)
    assert again.counts.succeeded == again.counts.total == 1
    assert len(stack.lines("complete.jsonl", again)) == 2
    assert len(table(stack, "complete.csv", again)) == 3


def test_a_document_without_an_answer_is_named_and_mended_in_the_folder(api: Api) -> None:
    """Its owner was told to correct a line of failed.jsonl, of a row that he knew by its number alone."""
    stack = stack_of(api)
    put(stack, bills(1, 2))
    put(stack, {"broken.pdf": b"%PDF-1.7 no more"})
    job = started(stack)
    assert (job.counts.succeeded, job.counts.invalid) == (2, 1)
    step = stack.document("status.json", job)["next"]
    assert (step["command"], "Correct failed" in step["text"]) == (None, False)
    assert step["text"].startswith("Mend these documents, put them into the folder again under the same names")
    report = stack.output("report.html", job).decode()
    assert "broken.pdf (row 3)" in report
    # Nobody has dropped a file that is called start.
    assert "<title>2026/: done</title>" in unescape(report)
    assert ">bills<" in unescape(stack.objects.body("outbox/index.html").decode()).replace("</bdi>", "<").replace("<bdi>", ">")
    assert "Correct these rows" not in report
    # The first of the two ways that it names; the other one is tried above.
    put(stack, {"broken.pdf": pdf(3)})
    assert paths(stack, started(stack)) == ["broken.pdf"]


@pytest.mark.parametrize(("body", "ending"), [(png(), ".png"), (jpeg(), ".jpg")])
def test_an_image_that_is_called_a_pdf_is_to_be_renamed(api: Api, body: bytes, ending: str) -> None:
    """Nobody names the files of a start, so there is no block to put it into."""
    stack = stack_of(api)
    put(stack, {**bills(1), "scan.pdf": body})
    job = started(stack)
    assert (job.counts.succeeded, job.counts.invalid) == (1, 1)
    (row,) = stack.lines("failed.jsonl", job)
    assert f"Rename it to end in {ending}, and start again." in row["_batchdrop"]["error"]["message"]
    assert "block" not in row["_batchdrop"]["error"]["message"]
