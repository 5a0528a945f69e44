"""`batchdrop fetch`: what a job has left, here and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batchdrop.domain.records import RowStatus
from batchdrop.recipes.starter import SCHEMA
from batchdrop_cli.main import batchdrop
from batchdrop_client.each_answer import each
from batchdrop_client.errors import FileThere, StackError
from batchdrop_client.outputs import OUTPUTS, STARTER, written
from batchdrop_client.rows import Row
from batchdrop_client.stack import Stack as Client
from tests.cli.ended_jobs import in_s3, requests_job, table_job
from tests.cli.live_stack import LiveStack, live_stack
from tests.stack import BUCKET, Stack, rows


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    with live_stack(monkeypatch) as stack:
        yield stack


def said(*arguments: object) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_all_files_of_a_job(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    in_s3(job, stack.client, BUCKET)
    result = said("fetch", job.job().id, "-o", tmp_path / "answers")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'answers'}\n")
    assert {path.name: path.read_bytes() for path in (tmp_path / "answers").iterdir()} == {
        name: job.output(name) for name in OUTPUTS if job.objects.keys(f"outbox/marketing/reviews/{job.job().id}/{name}")
    }


def test_without_a_folder_it_is_named_after_the_job(stack: LiveStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = requests_job()
    in_s3(job, stack.client, BUCKET)
    assert said("fetch", job.job().id[-5:]).stdout == f"{job.job().id}\n"
    assert (tmp_path / job.job().id / "results.jsonl").is_file()


@pytest.mark.parametrize(("name", "output"), [("a.csv", "results.csv"), ("a.jsonl", "results.jsonl")])
def test_the_answers_alone(stack: LiveStack, tmp_path: Path, name: str, output: str) -> None:
    job = table_job()
    in_s3(job, stack.client, BUCKET)
    assert said("fetch", job.job().id, "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / name).read_bytes() == job.output(output)


def test_a_second_time_goes_on_where_the_first_was_killed(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    in_s3(job, stack.client, BUCKET)
    (tmp_path / "results.jsonl").write_bytes(job.output("results.jsonl"))
    before = (tmp_path / "results.jsonl").stat().st_ino
    (tmp_path / ".batchdrop-0.part").write_bytes(b"half")
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 0
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 0
    assert (tmp_path / "results.jsonl").stat().st_ino == before
    assert (tmp_path / "results.csv").read_bytes() == job.output("results.csv")


def test_another_file_is_not_overwritten(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    in_s3(job, stack.client, BUCKET)
    mine = tmp_path / "results.csv"
    mine.write_text("mine")
    result = said("fetch", job.job().id, "-o", tmp_path)
    assert (result.exit_code, mine.read_text()) == (2, "mine")
    assert said("fetch", job.job().id, "-o", tmp_path, "--force").exit_code == 0
    assert mine.read_bytes() == job.output("results.csv")


@pytest.mark.parametrize("name", ["recipe.yaml", "report.html", "status.json", "manifest.json"])
def test_what_the_manifest_does_not_list_is_not_overwritten_either(stack: LiveStack, tmp_path: Path, name: str) -> None:
    job = table_job()
    folder = in_s3(job, stack.client, BUCKET)
    mine = tmp_path / name
    mine.write_text("mine")
    result = said("fetch", job.job().id, "-o", tmp_path)
    assert (result.exit_code, mine.read_text(), list(tmp_path.iterdir())) == (2, "mine", [mine])
    assert result.stderr.endswith("or replace it with --force.\n")
    assert said("fetch", job.job().id, "-o", tmp_path, "--force").exit_code == 0
    assert mine.read_bytes() == stack.body(folder + name)


def test_a_status_that_has_changed_since_is_another_file(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    folder = in_s3(job, stack.client, BUCKET)
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 0
    before = (tmp_path / "status.json").read_bytes()
    stack.put(f"{folder}status.json", before + b"\n")
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 2
    assert (tmp_path / "status.json").read_bytes() == before
    assert said("fetch", job.job().id, "-o", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "status.json").read_bytes() == before + b"\n"


def test_a_link_is_not_followed(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    in_s3(job, stack.client, BUCKET)
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "results.csv").symlink_to(mine)
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 2
    assert said("fetch", job.job().id, "-o", tmp_path, "--force").exit_code == 0
    assert mine.read_text() == "mine"


def test_names_of_the_bucket_are_no_names_here(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    folder = in_s3(job, stack.client, BUCKET)
    for name in ("../evil", ".bashrc", "results.csv.exe"):
        stack.put(folder + name, b"evil")
    assert said("fetch", job.job().id, "-o", tmp_path / "a").exit_code == 0
    assert {path.name for path in (tmp_path / "a").iterdir()} <= {*OUTPUTS}
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_a_job_that_goes_on(stack: LiveStack, tmp_path: Path) -> None:
    job = Stack()
    job.drop("inbox/reviews.jsonl", rows(3))
    in_s3(job, stack.client, BUCKET)
    result = said("fetch", job.job().id, "-o", tmp_path / "a")
    assert result.exit_code == 1
    assert "has not ended" in result.stderr
    assert not (tmp_path / "a").exists()


def test_a_disk_that_cannot_be_written(stack: LiveStack, tmp_path: Path) -> None:
    job = requests_job()
    in_s3(job, stack.client, BUCKET)
    (tmp_path / "file").write_text("")
    result = said("fetch", job.job().id, "-o", tmp_path / "file" / "folder")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


# ---------------------------------------------------------------- each answer in a file


def test_each_answer_in_a_file(stack: LiveStack, tmp_path: Path) -> None:
    job = requests_job()
    in_s3(job, stack.client, BUCKET)
    result = said("fetch", job.job().id, "-o", tmp_path, "--each")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}\n")
    answers = {json.loads(line)["custom_id"]: json.loads(line) for line in job.output("results.jsonl").splitlines()}
    assert {path.stem: path.read_text() for path in tmp_path.iterdir()} == {
        name: answer["result"]["message"]["content"][0]["text"] for name, answer in answers.items()
    }
    assert said("fetch", job.job().id, "-o", tmp_path, "--each").exit_code == 0, "what is the same is left"


def test_what_has_no_answer_is_counted(stack: LiveStack, tmp_path: Path) -> None:
    job = requests_job()
    in_s3(job, stack.client, BUCKET)
    id_ = job.job().id
    told = said("fetch", id_, "-o", tmp_path, "--each").stderr
    assert (
        told == f"3 answers are in {tmp_path}, a file each. 3 rows have no answer: batchdrop fetch {id_} brings failed.jsonl.\n"
    )


def test_a_workbook_is_no_name_for_the_answers(stack: LiveStack, tmp_path: Path) -> None:
    job = table_job()
    in_s3(job, stack.client, BUCKET)
    result = said("fetch", job.job().id, "-o", tmp_path / "r.xlsx")
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "r.xlsx is no name for the answers" in result.stderr
    (tmp_path / "r.xlsx").mkdir()
    assert said("fetch", job.job().id, "-o", tmp_path / "r.xlsx").exit_code == 0


def test_which_documents_went_in_comes_along(stack: LiveStack, tmp_path: Path) -> None:
    job = Stack()
    job.drop("inbox/letters/recipe.yaml", b'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: What is it about?\n')
    job.drop("inbox/letters/a.txt", b"Dear all")
    job.drop("inbox/letters/start", b"")
    job.run()
    in_s3(job, stack.client, BUCKET)
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 0
    assert json.loads((tmp_path / "documents.jsonl").read_text())["path"] == "a.txt"


def test_the_starter_of_a_job_that_waits_for_a_recipe(stack: LiveStack, tmp_path: Path) -> None:
    job = Stack()
    job.drop("inbox/marketing/reviews.csv", b"id,text\n1,It broke\n")
    folder = in_s3(job, stack.client, BUCKET)
    result = said("fetch", job.job().id, "-o", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}\n")
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", SCHEMA} == {*STARTER}
    assert (tmp_path / "recipe.yaml").read_bytes() == stack.body(f"{folder}recipe.yaml")
    assert "put it into inbox/marketing/ of the bucket" in result.stderr
    assert said("fetch", job.job().id, "-o", tmp_path).exit_code == 2, "it may have been changed here"
    with pytest.raises(StackError, match="has not ended"):
        Client(BUCKET).job(job.job().id).download(tmp_path)


def test_many_files_have_no_one_name(stack: LiveStack, tmp_path: Path) -> None:
    job = requests_job()
    in_s3(job, stack.client, BUCKET)
    assert said("fetch", job.job().id, "-o", tmp_path / "a.csv", "--each").exit_code == 2


def answered(line: int, answer: object = "text", **fields: str) -> Row:
    output = answer if isinstance(answer, dict) else {"answer": answer}
    return Row(line=line, status=RowStatus.succeeded, custom_id=f"line-{line}", fields=fields, output=output)


def names(folder: Path, *found: Row) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in each(found, folder)]


def test_a_document_gives_its_name(tmp_path: Path) -> None:
    found = (
        answered(2, file="letters/brief.md"),
        answered(3, file="C:\\letters\\note.txt"),
        answered(4, file="scan.pdf"),
        answered(5, {"a": 1, "b": [2]}, file="sums.pdf"),
    )
    assert names(tmp_path, *found) == ["brief.md", "note.txt", "scan.txt", "sums.json"]
    assert json.loads((tmp_path / "sums.json").read_text()) == {"a": 1, "b": [2]}


@pytest.mark.parametrize(
    ("custom_id", "name"),
    [
        ("../../etc/passwd", "etc_passwd.txt"),
        ("/abs/olute", "abs_olute.txt"),
        (".bashrc", "bashrc.txt"),
        ("a\x1b[2J\nb", "a_2J_b.txt"),
        ("CON", "_CON.txt"),
        ("nul.tar", "_nul.tar.txt"),
        ("aux .b", "_aux .b.txt"),
        ("-rf", "rf.txt"),
        (".-rf", "rf.txt"),
        ("\u202egpj.exe", "gpj.exe.txt"),
        ("..", "row-7.txt"),
        ("x" * 300, "x" * 50 + ".txt"),
        ("größe 1", "größe 1.txt"),
    ],
)
def test_a_row_leads_nobody_astray(tmp_path: Path, custom_id: str, name: str) -> None:
    row = Row(line=7, status=RowStatus.succeeded, custom_id=custom_id, output={"answer": "text"})
    assert names(tmp_path, row) == [name]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("answer", ["half \ud800", 2**80])
def test_an_answer_that_most_encoders_refuse_has_a_file(tmp_path: Path, answer: object) -> None:
    (path,) = each([answered(2, {"label": "ö", "why": answer})], tmp_path)
    assert json.loads(path.read_text()) == {"label": "ö", "why": answer}


def test_two_rows_of_one_name(tmp_path: Path) -> None:
    found = (answered(2, file="a/Note.txt"), answered(3, file="b/note.TXT"), answered(4, file="b/note-row-3.txt"))
    assert names(tmp_path, *found) == ["Note.txt", "note-row-3.txt", "note-row-3-row-4.txt"]


def test_documents_of_one_stem_keep_their_whole_names(tmp_path: Path) -> None:
    found = [answered(line, {"a": 1}, file=f"in/Quittung.{kind}") for line, kind in enumerate(("gif", "PNG", "webp"), 2)]
    found += [answered(5, {"a": 1}, file="Rechnung.pdf"), answered(6, {"a": 1}, file="other/Quittung.gif")]
    assert names(tmp_path, *found) == [
        "Quittung.gif.json",
        "Quittung.png.json",
        "Quittung.webp.json",
        "Rechnung.json",
        "Quittung.gif-row-6.json",
    ]


def test_names_are_written_as_most_programs_write_them(tmp_path: Path) -> None:
    """macOS takes the letter and its dots apart."""
    found = (answered(2, file="Zu\u0308rich & Bern #3, 50%.pdf"), answered(3, file="\u0939\u093f\u0902\u0926\u0940.pdf"))
    assert names(tmp_path, *found) == ["Z\u00fcrich & Bern #3, 50%.txt", "\u0939\u093f\u0902\u0926\u0940.txt"]


def test_a_row_without_an_answer_has_no_file(tmp_path: Path) -> None:
    assert names(tmp_path, Row(line=1, status=RowStatus.expired)) == []


def test_a_file_of_somebody_else_is_not_an_answer(tmp_path: Path) -> None:
    (tmp_path / "line-2.txt").write_text("mine")
    with pytest.raises(FileThere):
        names(tmp_path, answered(2))
    assert names(tmp_path, answered(3)) == ["line-3.txt"]
    assert (tmp_path / "line-2.txt").read_text() == "mine"


def test_a_file_that_comes_at_the_last_moment_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    def overtaken() -> None:
        with written(path) as file:
            file.write(b"answers")
            path.write_text("mine")

    with pytest.raises(FileThere):
        overtaken()
    assert (path.read_text(), list(tmp_path.iterdir())) == ("mine", [path])


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def killed() -> None:
        with written(tmp_path / "a.csv") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert list(tmp_path.iterdir()) == []
