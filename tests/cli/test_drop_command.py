"""`batchdrop drop`: a file in, its answers out, and every way in which that ends."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from batchdrop_cli.dropping import drop_session, look, shown_progress
from batchdrop_cli.main import batchdrop
from batchdrop_client import Job, NotNamed, Stack, dropped_before, dropping
from tests.cli.live_stack import LiveStack, live_stack
from tests.stack import rows

RECIPE = """\
model: claude-haiku-4-5
prompt: |
  Classify as positive, negative or neutral.
  Review: {{ text }}
output:
  label: [positive, negative, neutral]
"""
READS = 'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: What is it about?\n'
TABLE = "id,text\n1,What a great lamp\n2,It broke\n3,It is a lamp\n"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    with live_stack(monkeypatch) as stack:
        yield stack


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    """It asks before anything is paid."""
    with live_stack(monkeypatch, ask_above="0") as stack:
        yield stack


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    path = tmp_path / "reviews.csv"
    path.write_text(TABLE)
    return path


def said(*arguments: object, typed: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, list(map(str, arguments)), input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_session, "on_terminal", lambda *_: True)


def aborted(*_: object, **__: object) -> bool:
    """Ctrl-C at a question."""
    raise click.Abort


def test_the_answers_lie_beside_the_file(stack: LiveStack, table: Path) -> None:
    result = said("drop", table, "--to", "marketing", "--wait")
    assert result.exit_code == 0, result.stderr
    answers = table.with_name("reviews.results.csv")
    assert result.stdout == f"{answers}\n"
    assert answers.read_text(encoding="utf-8-sig").splitlines()[1].startswith("1,What a great lamp,positive,2,")
    assert stack.keys("inbox/") == ["inbox/marketing/recipe.yaml", "inbox/marketing/reviews.csv"]


def test_what_is_said_before_and_meanwhile(stack: LiveStack, table: Path) -> None:
    lines = said("drop", table, "--to", "marketing", "--wait").stderr.splitlines()
    assert lines[0] == "reviews.csv  3 rows"
    assert lines[1].startswith("estimate        up to $")
    assert lines[2] == f"recipe          {table.parent}/recipe.yaml"
    assert lines[3].startswith("uploaded        54 bytes to inbox/marketing/reviews.csv    job 20")
    assert any(line[2::3][:2] == "::" for line in lines[4:]), "lines with a time"
    assert lines[-1].startswith("All 3 rows have an answer.")


def test_without_waiting_the_id_is_all(stack: LiveStack, table: Path) -> None:
    result = said("drop", table)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    stack.pass_time()
    assert stack.pipeline.job().id == result.stdout.strip()
    named = json.loads(said("drop", table, "--json").stdout)
    assert named["outbox"].endswith(f"/reviews/{named['job_id']}/")


def test_the_job_is_that_of_this_upload(stack: LiveStack, table: Path) -> None:
    """Somebody else drops a file of the same name at the same moment."""
    head = stack.client.head_object
    first = said("drop", table).stdout.strip()
    stack.put("inbox/reviews.csv", TABLE.encode())
    second = said("drop", table).stdout.strip()
    stack.pass_time()
    assert head(Bucket="bucket", Key="inbox/reviews.csv")
    assert {first, second} < {job.id for job in stack.pipeline.jobs()}


def test_a_file_of_requests(stack: LiveStack, tmp_path: Path) -> None:
    path = tmp_path / "hello.jsonl"
    path.write_bytes(rows(3))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    result = said("drop", path, "--wait", "--reference", "order 7", "--priority", "low")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/hello.results.jsonl\n")
    assert [json.loads(line)["line"] for line in Path(result.stdout.strip()).read_text().splitlines()] == [1, 2, 3]
    assert stack.keys("inbox/") == ["inbox/hello.jsonl"], "requests need no recipe"
    assert stack.pipeline.job().reference == "order 7"


def test_json_is_the_status_with_the_path(stack: LiveStack, table: Path) -> None:
    found = json.loads(said("drop", table, "--wait", "--json").stdout)
    assert (found["state"], found["results"]) == ("done", str(table.with_name("reviews.results.csv")))


# ---------------------------------------------------------------- exit codes


def test_some_rows_have_no_answer(stack: LiveStack, table: Path) -> None:
    stack.expired.add("It broke")
    result = said("drop", table, "--wait")
    assert result.exit_code == 3
    assert "expired" in table.with_name("reviews.results.csv").read_text()
    assert Path(result.stdout.strip()).is_file()
    assert re.search(r"^     1  .* \(row 3\)$", result.stderr, re.MULTILINE)
    assert result.stderr.splitlines()[-1].startswith("failed.csv or failed.jsonl, and its other files: batchdrop fetch 20")
    assert re.search(r"^batchdrop retry 20", result.stderr, re.MULTILINE)


def test_a_long_file_is_not_read_before(stack: LiveStack, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "MOST_READ_BYTES", 10)
    result = said("drop", table)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (0, "reviews.csv")
    assert stack.keys("inbox/") == ["inbox/recipe.yaml", "inbox/reviews.csv"]


def test_a_rejected_file_has_no_answers(stack: LiveStack, tmp_path: Path) -> None:
    path = tmp_path / "hello.jsonl"
    path.write_text("no request\n")
    result = said("drop", path, "--wait")
    assert (result.exit_code, result.stdout) == (4, "")
    assert list(tmp_path.iterdir()) == [path]


def test_a_job_that_is_stopped_meanwhile_delivers_what_it_has(stack: LiveStack, table: Path) -> None:
    def stop() -> None:
        stack.deliver()
        if not stack.keys("control/"):
            stack.put(f"control/cancel/{stack.pipeline.job().id}", b"")

    stack.meanwhile = stop
    result = said("drop", table, "--wait")
    assert (result.exit_code, result.stdout) == (4, f"{table.with_name('reviews.results.csv')}\n")
    assert "canceled" in Path(result.stdout.strip()).read_text()


def test_nothing_is_asked_without_a_terminal(asking: LiveStack, table: Path) -> None:
    result = said("drop", table, "--wait")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "approve" in result.stderr
    assert asking.keys("control/") == []


def test_a_yes_that_was_given_before(asking: LiveStack, table: Path) -> None:
    result = said("drop", table, "--to", "marketing", "--wait", "--approve-up-to", "2.50")
    assert result.exit_code == 0, result.stderr
    assert len(asking.keys("control/approve/marketing/")) == len({*asking.keys("control/")})


def test_a_yes_that_is_not_enough(asking: LiveStack, table: Path) -> None:
    result = said("drop", table, "--wait", "--approve-up-to", "0.0000001")
    assert (result.exit_code, asking.keys("control/")) == (5, [])
    assert "nothing was approved" in result.stderr


def test_a_yes_at_the_terminal(asking: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    at_a_terminal(monkeypatch)
    result = said("drop", table, "--wait", typed="y\ny\n")
    assert result.exit_code == 0, result.stderr
    assert "Go on?" in result.stderr


def test_ctrl_c_at_the_question(asking: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    at_a_terminal(monkeypatch)
    monkeypatch.setattr(click, "confirm", aborted)
    result = said("drop", table, "--to", "marketing", "--wait")
    assert (result.exit_code, asking.keys("control/")) == (5, [])
    told, command = result.stderr.splitlines()[-2:]
    assert "\n\n" in result.stderr
    assert told == "To go on, run this command."
    assert command.startswith(f"batchdrop approve {asking.pipeline.job().id}-")
    assert command.endswith(" --folder marketing")


def test_a_no_at_the_terminal(asking: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    at_a_terminal(monkeypatch)
    assert said("drop", table, "--wait", typed="n\n").exit_code == 5
    assert asking.keys("control/") == []


def test_time_that_has_passed(stack: LiveStack, table: Path) -> None:
    result = said("drop", table, "--wait", "--timeout", "0")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "batchdrop status 20" in result.stderr


def test_ctrl_c_leaves_the_job(stack: LiveStack, table: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    stack.meanwhile = interrupted
    result = said("drop", table, "--wait")
    assert result.exit_code == 6
    assert result.stderr.splitlines()[-2] == ""
    assert result.stderr.splitlines()[-1].startswith("The job goes on. Look again with: batchdrop status 20")
    stack.meanwhile = lambda: None
    job = result.stderr.splitlines()[-1].split()[-2]
    assert said("status", job, "--watch").exit_code == 2, "it has not begun"
    stack.pass_time()
    assert said("status", job, "--watch").exit_code == 0


def test_ctrl_c_while_the_answers_come(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    def interrupted(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "save", interrupted)
    result = said("drop", table, "--to", "marketing", "--wait")
    assert result.exit_code == 1
    assert "The job goes on" not in result.stderr
    assert re.search(r" What it has left comes with: batchdrop fetch 20\S+ --folder marketing\n$", result.stderr), result.stderr


@pytest.mark.parametrize("folder", ["marketing", "inbox/marketing", "outbox/marketing/"])
def test_one_folder_for_all_commands(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path, folder: str) -> None:
    monkeypatch.setenv("BATCHDROP_FOLDER", folder)
    job = said("drop", table).stdout.strip()
    stack.pass_time()
    assert stack.keys("inbox/") == ["inbox/marketing/recipe.yaml", "inbox/marketing/reviews.csv"]
    assert said("status", job).exit_code == said("fetch", job, "-o", table.parent / "answers").exit_code == 0
    assert job[-6:] in said("jobs", folder).stdout


def test_a_folder_is_shown_as_it_is_to_be_typed(stack: LiveStack, table: Path) -> None:
    assert "--folder 'a  b' --watch\n" in said("drop", table, "--to", "a  b", "--wait", "--timeout", "0").stderr


# ---------------------------------------------------------------- the same file again


def interrupted(stack: LiveStack, table: Path, looks: int = 3) -> str:
    """The id of a job whose `drop --wait` was left with Ctrl-C after so many looks."""
    before = stack.meanwhile

    def look() -> None:
        nonlocal looks
        looks -= 1
        if looks < 0:
            raise KeyboardInterrupt

    stack.meanwhile = look
    result = said("drop", table, "--wait")
    stack.meanwhile = before
    return result.stderr.split("    job ")[1].split()[0]


def test_the_same_file_again_is_asked_about(asking: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    said("drop", table, "--wait")
    (job,) = asking.pipeline.jobs()
    at_a_terminal(monkeypatch)
    result = said("drop", table, "--wait", typed="n\ny\ny\n")
    told = f"The same file was dropped a moment ago: job {job.id[-6:]}, which waits for approval. Drop it again"
    assert told in " ".join(result.stderr.split())
    assert (result.exit_code, len(asking.pipeline.jobs())) == (0, 1), result.stderr
    assert Path(result.stdout.splitlines()[-1]).is_file()


def test_a_job_that_goes_on_is_waited_for(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    job = interrupted(stack, table, looks=0)
    at_a_terminal(monkeypatch)
    assert said("drop", table, typed="n\n").stdout.splitlines()[-1] == job
    result = said("drop", table, "--wait", typed="n\n")
    assert f"job {job[-6:]}, which goes on." in " ".join(result.stderr.split())
    assert (result.exit_code, [one.id for one in stack.pipeline.jobs()]) == (0, [job])


def test_who_wants_to_pays_again(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    said("drop", table, "--wait")
    at_a_terminal(monkeypatch)
    result = said("drop", table, "--wait", "-o", table.with_name("b.csv"), typed="y\n")
    assert ("which is done" in " ".join(result.stderr.split()), result.exit_code) == (True, 0)
    assert len(stack.pipeline.jobs()) == 2
    monkeypatch.setattr(click, "confirm", aborted)
    result = said("drop", table)
    assert (result.exit_code, result.stderr.splitlines()[-2:]) == (4, ["", "Nothing was dropped."])
    stack.pass_time()
    assert len(stack.pipeline.jobs()) == 2


def test_a_file_that_waits_for_its_recipe_is_not_dropped_twice(
    stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path
) -> None:
    recipe = table.with_name("recipe.yaml").rename(table.with_name("later.yaml"))
    assert said("drop", table, "--wait").exit_code == 5
    at_a_terminal(monkeypatch)
    result = said("drop", table, "--wait", "--recipe", recipe, typed="n\n")
    assert "which waits for a recipe" in " ".join(result.stderr.split())
    assert (result.exit_code, len(stack.pipeline.jobs())) == (0, 1), result.stderr


def test_another_question_or_another_file_is_not_the_same(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    said("drop", table, "--wait", "-o", table.with_name("a.csv"))
    at_a_terminal(monkeypatch)
    table.with_name("recipe.yaml").write_text(f"{RECIPE}max_tokens: 100\n")
    assert "The same file" not in said("drop", table, "--recipe", table.with_name("recipe.yaml")).stderr
    table.write_text(TABLE.replace("lamp", "lump"))
    assert "The same file" not in said("drop", table).stderr


@pytest.mark.parametrize("etags", [True, False])
def test_piped_it_is_said_and_dropped(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path, etags: bool) -> None:
    if not etags:
        digest = dropping._digest
        monkeypatch.setattr(dropping, "_digest", lambda path, kind: "none" if kind == "md5" else digest(path, kind))
    said("drop", table, "--wait")
    result = said("drop", table)
    assert ", which is done. It is dropped, and paid, again.\n" in result.stderr
    assert result.exit_code == 0


def test_what_has_left_no_answers_is_dropped_again(stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    stack.expired |= {"lamp", "broke"}
    said("drop", table, "--wait")
    assert "The same file" not in said("drop", table).stderr
    monkeypatch.setattr(dropped_before, "_BEGUN_BY", timedelta())
    assert "The same file" not in said("drop", table).stderr, "no stack has begun with it"


# ---------------------------------------------------------------- what is refused before anything is sent


def test_answers_are_never_written_over_a_file(stack: LiveStack, table: Path) -> None:
    taken = table.with_name("reviews.results.csv")
    taken.write_text("mine")
    result = said("drop", table, "--wait")
    assert (result.exit_code, taken.read_text(), stack.keys()) == (2, "mine", [])
    assert "is there already" in result.stderr
    assert said("drop", table, "--wait", "-o", table.with_name("b.csv")).exit_code == 0


def test_a_file_that_comes_meanwhile_is_not_overwritten(stack: LiveStack, table: Path) -> None:
    taken = table.with_name("reviews.results.csv")
    stack.meanwhile = lambda: taken.write_text("mine")
    result = said("drop", table, "--wait")
    assert (result.exit_code, taken.read_text()) == (1, "mine")
    assert "batchdrop fetch 20" in result.stderr
    assert [path.name for path in table.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["answers", "answers.xlsx", "missing/answers.csv", f"{'x' * 250}.csv"])
def test_answers_need_a_place(stack: LiveStack, table: Path, name: str) -> None:
    assert said("drop", table, "--wait", "-o", table.parent / name).exit_code == 2
    assert stack.keys() == []


def test_requests_are_no_table(stack: LiveStack, tmp_path: Path) -> None:
    path = tmp_path / "hello.jsonl"
    path.write_bytes(rows(1))
    assert said("drop", path, "--wait", "-o", tmp_path / "a.csv").exit_code == 2
    assert stack.keys() == []


def test_requests_take_no_recipe(stack: LiveStack, tmp_path: Path, table: Path) -> None:
    path = tmp_path / "hello.jsonl"
    path.write_bytes(rows(1))
    assert said("drop", path, "--recipe", table.with_name("recipe.yaml")).exit_code == 2
    assert stack.keys() == []


def test_a_recipe_that_does_not_fit_is_told_here(stack: LiveStack, table: Path) -> None:
    table.with_name("recipe.yaml").write_text(RECIPE.replace("{{ text }}", "{{ texd }}"))
    result = said("drop", table)
    assert (result.exit_code, stack.keys()) == (1, [])
    assert "texd" in result.stderr


def test_another_recipe_is_not_replaced(stack: LiveStack, table: Path) -> None:
    stack.put("inbox/marketing/recipe.yaml", b"theirs")
    result = said("drop", table, "--to", "marketing")
    assert (result.exit_code, stack.keys()) == (2, ["inbox/marketing/recipe.yaml"])
    assert "--recipe" in result.stderr
    assert said("drop", table, "--to", "marketing", "--recipe", table.with_name("recipe.yaml")).exit_code == 0
    assert stack.body("inbox/marketing/recipe.yaml") == RECIPE.encode()


@pytest.mark.parametrize(("typed", "code", "there"), [("y\n", 0, RECIPE.encode()), ("n\n", 4, b"theirs"), ("", 4, b"theirs")])
def test_another_recipe_is_asked_about(
    stack: LiveStack, monkeypatch: pytest.MonkeyPatch, table: Path, typed: str, code: int, there: bytes
) -> None:
    at_a_terminal(monkeypatch)
    stack.put("inbox/recipe.yml", b"theirs")
    assert said("drop", table, typed=typed).exit_code == code
    assert stack.body("inbox/recipe.yml") == there


def test_documents_in_the_bucket_are_the_stacks_to_look_at(stack: LiveStack, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(READS)
    listed = tmp_path / "list.csv"
    listed.write_text("path\n" + "".join(f"s3://bucket/inbox/letters/{name}.pdf\n" for name in "abc") + "missing.pdf\n")
    lines = said("drop", listed, "--to", "letters").stderr.splitlines()
    assert lines[:2] == [
        "list.csv  4 rows, 1 of which cannot be sent",
        "documents       3 rows name documents in the bucket: the stack looks at them, and says what they cost",
    ]
    assert not any(line.startswith("estimate") for line in lines)


def test_the_same_recipe_is_not_put_again(stack: LiveStack, table: Path) -> None:
    said("drop", table)
    said("drop", table)
    versions = stack.client.list_object_versions(Bucket="bucket", Prefix="inbox/recipe.yaml")["Versions"]
    assert len(versions) == 1


def test_a_recipe_is_not_dropped_as_a_file(stack: LiveStack, table: Path) -> None:
    assert said("drop", table.with_name("recipe.yaml")).exit_code == 2
    assert stack.keys() == []


@pytest.mark.parametrize("to", ["a/../b", "a//b", "."])
def test_a_folder_that_leads_astray(stack: LiveStack, table: Path, to: str) -> None:
    assert said("drop", table, "--to", to).exit_code == 2
    assert stack.keys() == []


def test_options_of_waiting_need_it(stack: LiveStack, table: Path) -> None:
    assert said("drop", table, "-o", "a.csv").exit_code == 2


def test_a_bucket_that_is_not_there(stack: LiveStack, table: Path) -> None:
    result = said("drop", table, "--bucket", "other")
    assert result.exit_code == 1
    assert "There is no bucket other" in result.stderr


# ---------------------------------------------------------------- folders of documents


def test_a_folder_ends_with_its_marker(stack: LiveStack, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    for name in ("a.pdf", "b.TXT", ".hidden.txt", "notes.docx"):
        (folder / name).write_bytes(name.encode())
    (folder / "recipe.yaml").write_text(RECIPE)
    named = json.loads(said("drop", folder, "--to", "team", "--json").stdout)
    there = "inbox/team/letters/"
    assert stack.keys() == [f"{there}a.pdf", f"{there}b.TXT", f"{there}recipe.yaml", f"{there}start"]
    versions = {one["Key"]: one for one in stack.client.list_object_versions(Bucket="bucket")["Versions"]}
    assert versions[f"{there}start"]["Size"] == 0
    assert named["key"] == f"{there}start"
    assert named["outbox"] == f"outbox/team/letters/start/{named['job_id']}/"


def letters(folder: Path, *names: str, recipe: str = READS) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "recipe.yaml").write_text(recipe)
    return folder


def test_what_a_folder_leaves_out_is_said_before_the_upload(stack: LiveStack, tmp_path: Path) -> None:
    names = ("Brief.pdf", "Mahnung.docx", "Quittung.tiff", "Quittung.png", "rows.csv", "sub/a.pdf", ".DS_Store", "~$a.docx")
    lines = said("drop", letters(tmp_path / "letters", "Recipe.yaml.txt", *names)).stderr.splitlines()
    assert lines[2:-1] == [
        "left out        Recipe.yaml.txt (call it recipe.yaml if it is the recipe)",
        "left out        Mahnung.docx, Quittung.tiff (not a kind that can be read: save as PDF)",
        "left out        rows.csv (no documents, but rows: drop by themselves)",
        "left out        sub/ (folders inside are not uploaded: drop them by themselves)",
        "left out        Quittung.png (the recipe has no images)",
    ]
    assert lines[-1].startswith("uploaded        2 documents (")


def test_the_recipe_of_the_inbox_tells_what_it_leaves_out(stack: LiveStack, tmp_path: Path) -> None:
    folder = letters(tmp_path / "letters", "a.pdf", "b.png")
    (folder / "recipe.yaml").unlink()
    stack.put("inbox/letters/recipe.yaml", READS.replace("documents", "images").encode())
    assert "left out        a.pdf (the recipe has no documents)" in said("drop", folder).stderr.splitlines()


def test_documents_in_a_subfolder_alone(stack: LiveStack, tmp_path: Path) -> None:
    result = said("drop", letters(tmp_path / "letters", "2026/a.pdf", "2026/b.pdf", "none/c.docx"))
    assert (result.exit_code, stack.keys()) == (2, [])
    assert result.stderr.endswith("which are not uploaded with it. Drop each by itself: letters/2026.\n")
    only_word = said("drop", letters(tmp_path / "word", "a.docx"))
    assert "Left out: a.docx (not a kind that can be read: save as PDF)." in only_word.stderr


def test_what_lies_there_is_not_said_to_be_uploaded(stack: LiveStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_progress, "_WORTH_A_BAR", 1)
    folder = letters(tmp_path / "letters", *(f"{number}.pdf" for number in range(5)))
    assert "uploading" in said("drop", folder).stderr
    again = said("drop", folder).stderr
    assert "uploading" not in again
    assert "uploaded        0 documents (0 bytes) to inbox/letters/; already there: 5    job 20" in again


def test_a_link_out_of_the_folder_is_not_followed(stack: LiveStack, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "a.pdf").write_bytes(b"a")
    (folder / "b.pdf").symlink_to("a.pdf")
    (folder / "c.txt").symlink_to("../secret")
    result = said("drop", folder)
    assert result.exit_code == 2
    assert "c.txt is a link out of the folder." in result.stderr
    assert stack.keys() == []
    (folder / "c.txt").unlink()
    assert said("drop", folder).exit_code == 0
    assert stack.keys() == [f"inbox/letters/{name}" for name in ("a.pdf", "b.pdf", "start")]


def test_documents_have_the_names_that_programs_give_them(stack: LiveStack, tmp_path: Path) -> None:
    """macOS writes a narrow no-break space into those of screenshots, and people press the space bar twice."""
    folder = tmp_path / "letters"
    folder.mkdir()
    names = ("9.41\u202fAM.png", "a  b.pdf", "\u8acb\u6c42\u66f8\u30002026.pdf")
    for name in names:
        (folder / name).write_bytes(b"a")
    assert said("drop", folder).exit_code == 0
    assert stack.keys() == [*(f"inbox/letters/{name}" for name in names[:2]), "inbox/letters/start", f"inbox/letters/{names[2]}"]
    for name in ("\u202egpj.pdf", " a.pdf"):
        (folder / name).write_bytes(b"a")
        assert "is no name for" in said("drop", folder).stderr
        (folder / name).unlink()


def test_documents_that_lie_there_are_named(stack: LiveStack, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"a")
    for name in ("one.pdf", "deeper/no.pdf", "deeper/.no.pdf", "recipe.yaml"):
        stack.put(f"inbox/letters/{name}", b"b")
    lines = said("drop", folder).stderr.splitlines()
    assert lines[2] == "also there      deeper/no.pdf, one.pdf: those that this recipe has not been asked about go along"


@pytest.mark.parametrize("etags", [True, False])
def test_a_document_that_is_the_same_is_not_put_again(
    stack: LiveStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etags: bool
) -> None:
    """Another version would be paid again. With a KMS key the ETag does not tell."""
    if not etags:
        digest = dropping._digest
        monkeypatch.setattr(dropping, "_digest", lambda path, kind: "none" if kind == "md5" else digest(path, kind))
    folder = tmp_path / "letters"
    folder.mkdir()
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        (folder / name).write_bytes(name.encode())
    first = said("drop", folder).stdout
    (folder / "b.pdf").write_bytes(b"other")
    (folder / "c.pdf").write_bytes(b"C.pdf")
    assert said("drop", folder).stdout != first
    versions = stack.client.list_object_versions(Bucket="bucket", Prefix="inbox/letters/")["Versions"]
    assert Counter(one["Key"].rsplit("/", 1)[1] for one in versions) == {"a.pdf": 1, "b.pdf": 2, "c.pdf": 2, "start": 2}


def test_all_documents_are_asked_about_again_on_demand(stack: LiveStack, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"Letter {name}")
    (folder / "recipe.yaml").write_text(READS)
    first = said("drop", folder, "--wait")
    assert (first.exit_code, first.stdout) == (0, f"{tmp_path / 'letters.results.csv'}\n"), first.stderr
    (folder / "c.txt").write_text("Letter c")
    stack.put("inbox/letters/d.txt", b"Letter d")
    new = said("drop", folder, "--wait", "-o", tmp_path / "new.csv")
    assert (new.exit_code, _paths(tmp_path / "new.csv")) == (0, ["c.txt", "d.txt"]), new.stderr
    none = said("drop", folder, "--wait", "-o", tmp_path / "none.csv")
    assert (none.exit_code, none.stdout) == (4, "")
    assert "are in earlier jobs, the newest of which is " in none.stderr
    again = said("drop", folder, "--wait", "-o", tmp_path / "all.csv", "--all-documents")
    assert (again.exit_code, _paths(tmp_path / "all.csv")) == (0, ["a.txt", "b.txt", "c.txt", "d.txt"]), again.stderr
    assert "also there      d.txt: they go along" in again.stderr
    # It took nothing from a start that comes after it, and gave nothing back.
    assert said("drop", folder, "--wait", "-o", tmp_path / "none.csv").exit_code == 4


def test_all_documents_are_those_of_a_folder(stack: LiveStack, table: Path) -> None:
    refused = said("drop", table, "--all-documents")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "reviews.csv is none" in refused.stderr
    with pytest.raises(NotNamed, match="instead of rows"):
        Stack("bucket").drop([{"text": "a"}], all_documents=True)
    assert stack.keys() == []


def _paths(results: Path) -> list[str]:
    with results.open(encoding="utf-8-sig", newline="") as file:
        return [row["path"] for row in csv.DictReader(file)]


def test_a_folder_without_documents(stack: LiveStack, tmp_path: Path) -> None:
    assert said("drop", tmp_path).exit_code == 2
    assert stack.keys() == []
