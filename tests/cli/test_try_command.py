"""`batchdrop try`: a few rows in real time, against the emulator of the Claude API."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchdrop.domain.records import JobState
from batchdrop_cli import terminal as terminal_module
from batchdrop_cli.main import batchdrop
from batchdrop_cli.trial import session
from local.claude.client import Control, start
from tests.named_files import pdf
from tests.stack import Stack
from tests.workbooks import row as sheet_row
from tests.workbooks import workbook

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("layers/core", "cli"))}
RECIPE = """\
model: claude-haiku-4-5
prompt: |
  Classify as positive, negative or neutral.
  Review: {{ text }}
output:
  label: [positive, negative, neutral]
"""
REVIEWS = ["What a great lamp", "Bad. It broke", "It is a lamp", "I love it, a great bed", "It is a bed"]
TABLE = "id,text\n" + "".join(f"{number},{json.dumps(text)}\n" for number, text in enumerate(REVIEWS, 1))


@pytest.fixture(scope="module")
def emulator() -> Iterator[Control]:
    with start("--seed", "try") as control:
        yield control


@pytest.fixture
def claude(emulator: Control, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", emulator.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    yield emulator
    emulator.reset()


@pytest.fixture
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, and an address where nobody listens."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")


def laid(folder: Path, body: str | bytes = TABLE, name: str = "reviews.csv", recipe: str | None = RECIPE) -> Path:
    file = folder / name
    file.write_bytes(body.encode() if isinstance(body, str) else body)
    if recipe is not None:
        (folder / "recipe.yaml").write_text(recipe)
    return file


def tried(*arguments: object, typed: str | None = None) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, ["try", *map(str, arguments)], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows_of(result: Result) -> list[str]:
    """Without what the runner echoes of prompts."""
    return [line for line in result.stdout.splitlines() if line.startswith("row ")]


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_first_middle_and_last_row_come_back_with_answers(claude: Control, tmp_path: Path) -> None:
    result = tried(laid(tmp_path))
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["row", "2", *REVIEWS[0].split(), "positive"],
        ["row", "4", *REVIEWS[2].split(), "neutral"],
        ["row", "6", *REVIEWS[4].split(), "neutral"],
    ]
    assert "columns  id, text\n" in result.stderr
    assert "tokens in" in result.stderr
    assert result.exit_code == 0


def test_a_program_reads_one_object_a_row(claude: Control, tmp_path: Path) -> None:
    first, last = objects(tried(laid(tmp_path), "--rows", 2, "--json"))
    assert (first["line"], first["row"], first["output"]) == (2, {"id": "1", "text": REVIEWS[0]}, {"label": "positive"})
    assert first["usage"] == {name: first["result"]["message"]["usage"][name] for name in ("input_tokens", "output_tokens")}
    assert (last["line"], last["status"], last["error"]) == (6, "succeeded", None)


def test_stdout_is_the_result_alone(claude: Control, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batchdrop_cli", "try", str(laid(tmp_path)), "--json"]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [2, 4, 6]
    assert "\r" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_reader_that_has_enough_ends_it_quietly(keyless: None, tmp_path: Path) -> None:
    file = laid(tmp_path, "text\n" + ("long " * 10_000 + "\n") * 20)
    command = [sys.executable, "-m", "batchdrop_cli", "try", str(file), "--dry-run", "--rows", "20"]
    with subprocess.Popen(
        command, env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert "cannot be read" not in said
    assert "Traceback" not in said


def test_a_dry_run_needs_no_key_and_sends_nothing(keyless: None, tmp_path: Path) -> None:
    (only,) = objects(tried(laid(tmp_path), "--rows", 1, "--dry-run", "--json"))
    assert only["params"]["messages"][0]["content"].endswith(f"Review: {REVIEWS[0]}")
    shown = tried(tmp_path / "reviews.csv", "--rows", 1, "--dry-run")
    assert shown.stdout.startswith("row 2\n{\n")
    assert json.loads(shown.stdout.partition("\n")[2]) == only["params"]
    assert shown.exit_code == 0


def test_without_a_key_it_says_so(keyless: None, tmp_path: Path) -> None:
    result = tried(laid(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ANTHROPIC_API_KEY" in result.stderr


def test_the_emulator_takes_any_key(claude: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert tried(laid(tmp_path), "--rows", 1).exit_code == 0


# ---------------------------------------------------------------- kinds of files


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews.jsonl", "reviews.csv", "reviews.tsv"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_file_gives_the_same_requests(keyless: None, tmp_path: Path, name: str, packed: bool) -> None:
    bodies = {
        "reviews.xlsx": workbook(sheet_row(1, "id", "text"), *(sheet_row(n, n - 1, text) for n, text in enumerate(REVIEWS, 2))),
        "reviews.jsonl": "".join(json.dumps({"text": text}) + "\n" for text in REVIEWS).encode(),
        "reviews.csv": TABLE.encode(),
        "reviews.tsv": b"id\ttext\n" + b"".join(b"1\t%b\n" % text.encode() for text in REVIEWS),
    }
    body = bodies[name]
    file = laid(tmp_path, gzip.compress(body) if packed else body, f"{name}.gz" if packed else name)
    found = objects(tried(file, "--rows", 5, "--dry-run", "--json"))
    assert [one["params"]["messages"][0]["content"].rpartition("Review: ")[2].strip() for one in found] == REVIEWS
    assert [one["line"] for one in found] == ([1, 2, 3, 4, 5] if name == "reviews.jsonl" else [2, 3, 4, 5, 6])


def request(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": prompt}], **fields}


def test_requests_need_no_recipe(claude: Control, tmp_path: Path) -> None:
    lines = [{"custom_id": "a", "params": request("Classify as positive or negative: a great lamp")}, {"params": {}}]
    file = laid(tmp_path, "\n\n".join(map(json.dumps, lines)), "requests.jsonl", recipe=None)
    result = tried(file, "--json")
    first, last = objects(result)
    assert (first["custom_id"], first["output"]) == ("a", {"answer": "positive"})
    assert (last["line"], last["status"], last["error"]["type"]) == (3, "invalid", "missing_model")
    assert result.exit_code == 3


def test_a_damaged_gzip_file_is_told_where_it_breaks_off(keyless: None, tmp_path: Path) -> None:
    data = gzip.compress(json.dumps({"params": request("x")}).encode() + b"\n")[:-9]
    result = tried(laid(tmp_path, data, "requests.jsonl.gz"), "--dry-run", "--json")
    assert "truncated" in objects(result)[-1]["error"]["message"]


def test_an_empty_file_has_no_rows(keyless: None, tmp_path: Path) -> None:
    result = tried(laid(tmp_path, b"", "reviews.jsonl"), "--dry-run")
    assert (result.exit_code, result.stderr) == (1, "The file is empty; nothing was sent.\n")


# ---------------------------------------------------------------- files that rows name

READS = 'model: claude-haiku-4-5\ndocuments: ["{{ path }}"]\nprompt: What is the total?\n'


def test_documents_of_this_machine_are_sent(claude: Control, tmp_path: Path) -> None:
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "a.pdf").write_bytes(pdf(2))
    (tmp_path / "b.txt").write_text("The total is 4.50.")
    file = laid(tmp_path, "path\n2026/a.pdf\nb.txt\n", recipe=READS)
    result = tried(file, "--json")
    assert result.exit_code == 0, result.stderr
    assert [one["status"] for one in objects(result)] == ["succeeded", "succeeded"]
    asked = [one["params"]["messages"][0]["content"][0]["source"] for one in objects(tried(file, "--dry-run", "--json"))]
    assert [(one["type"], one["data"]) for one in asked] == [
        ("base64", base64.b64encode(pdf(2)).decode()),
        ("text", "The total is 4.50."),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("none.pdf", "file_not_found", "is not there. Name it by its path from the folder of the file on."),
        ("../secret.pdf", "file_not_found", "is not there."),
        ("out.pdf", "file_not_found", "is not there."),
        ("s3://bucket/a.pdf", "file_not_found", "is in a bucket, and only files of this machine can be tried here."),
        ("closed.pdf", "file_not_found", "cannot be read here: Permission denied."),
        ("n" * 300 + ".pdf", "file_not_found", "is not there."),
        ("locked.pdf", "encrypted_file", "password"),
        ("broken.pdf", "unsupported_file", "PDF"),
    ],
)
def test_a_document_that_cannot_be_sent_is_told_and_costs_nothing(
    keyless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, says: str
) -> None:
    folder = tmp_path / "bills"
    folder.mkdir()
    for path in (tmp_path / "secret.pdf", folder / "closed.pdf"):
        path.write_bytes(pdf())
    (folder / "out.pdf").symlink_to(tmp_path / "secret.pdf")
    (folder / "locked.pdf").write_bytes(pdf(encrypted=True))
    (folder / "broken.pdf").write_bytes(b"\0\1\2")
    opening = Path.open

    def refuse(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == "closed.pdf":
            raise PermissionError(13, "Permission denied", str(path))
        return opening(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    result = tried(laid(folder, f"path\n{name}\n", recipe=READS), "--dry-run", "--json")
    (row,) = objects(result)
    assert ("params" in row, row["error"]["type"]) == (False, kind)
    assert says in row["error"]["message"]
    assert str(tmp_path) not in row["error"]["message"]


def test_headers_of_the_recipe_are_sent(claude: Control, tmp_path: Path) -> None:
    recipe = f"{RECIPE}betas: [some-beta-2026-01-01]\nanthropic_version: '2023-06-01'\n"
    tried(laid(tmp_path, recipe=recipe), "--rows", 1)
    (call,) = claude.log("messages")
    assert "2023-06-01" in json.dumps(call)


def test_long_output_is_tried_as_far_as_real_time_has_it(claude: Control, tmp_path: Path) -> None:
    recipe = "model: claude-haiku-5-5\nmax_tokens: 300000\nlong_output: true\nprompt: 'Say {{ text }}'\n"
    result = tried(laid(tmp_path, recipe=recipe), "--rows", 1)
    assert result.exit_code == 0
    assert "in real time answers end at 128,000 tokens" in result.stderr
    (call,) = claude.log("messages")
    assert (call["status"], call["betas"]) == (200, [])


# ---------------------------------------------------------------- the same words as in the cloud


@pytest.mark.parametrize(
    ("recipe", "body"),
    [
        (RECIPE.replace("{{ text }}", "{{ txet }}"), TABLE.encode()),
        (RECIPE.replace("prompt", "promt"), TABLE.encode()),
        (RECIPE.replace("claude-haiku-4-5", "claude-sonnet-4-20250514"), TABLE.encode()),
        (RECIPE, "id,text\n1,für\n".encode("latin-1")),
        (f"{RECIPE}separator: '::'\n", TABLE.encode()),
        (RECIPE, b'id,text\n1,"never closed\n'),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_a_job(keyless: None, tmp_path: Path, recipe: str, body: bytes) -> None:
    stack = Stack()
    stack.drop("inbox/team/recipe.yaml", recipe.encode())
    stack.drop("inbox/team/reviews.csv", body)
    stack.run()
    reason = stack.job().reason
    result = tried(laid(tmp_path, body, recipe=recipe), "--dry-run")
    assert reason
    assert (result.exit_code, result.stdout) == (1, "")
    fault = reason.partition(" Put in a corrected recipe")[0].partition(" Nothing was sent")[0]
    said = result.stderr.splitlines()[-1]
    assert fault.removeprefix("reviews.csv cannot be read as a table. ") in said
    # What can be corrected here is tried again here; nothing was uploaded.
    assert said.endswith("run this again." if stack.job().state is JobState.held else reason)
    assert "upload" not in said


def test_an_answer_that_cannot_be_used_is_none(claude: Control, tmp_path: Path) -> None:
    table = "text\nA great lamp\nA lamp [[stop:max_tokens]] [[length:10]]\n"
    result = tried(laid(tmp_path, table, recipe=f"{RECIPE}max_tokens: 2\n"), "--json")
    assert [one["error"]["type"] for one in objects(result)] == ["truncated", "truncated"]
    assert result.exit_code == 3


# ---------------------------------------------------------------- what the API says


@pytest.mark.parametrize(
    ("error", "words"),
    [("authentication_error", "ANTHROPIC_API_KEY"), ("overloaded_error", "(529)"), ("rate_limit_error", "(429)")],
)
def test_what_concerns_every_row_ends_it(
    claude: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, words: str
) -> None:
    monkeypatch.setattr("batchdrop_cli.calling.realtime._FIRST_WAIT", 0.01)
    result = tried(laid(tmp_path, f"text\nA lamp [[error:{error}]]\n"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr.splitlines()[-1]
    assert claude.count("messages") == (1 if error == "authentication_error" else 3)


def test_an_unknown_model_is_told_at_its_row(claude: Control, tmp_path: Path) -> None:
    (only,) = objects(tried(laid(tmp_path, recipe=RECIPE.replace("haiku-4-5", "haiku-4-7")), "--rows", 1, "--json"))
    assert only["error"]["type"] == "not_found_error"
    assert "claude-haiku-4-7" in only["error"]["message"]


def test_an_api_that_is_not_there_is_told(keyless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    result = tried(laid(tmp_path))
    assert result.exit_code == 1
    assert "127.0.0.1 cannot be reached" in result.stderr


# ---------------------------------------------------------------- without a recipe


def test_without_a_recipe_and_a_terminal_it_says_what_to_do(keyless: None, tmp_path: Path) -> None:
    result = tried(laid(tmp_path, recipe=None), "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Its columns: id, text." in result.stderr
    assert "--recipe" in result.stderr


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (session, terminal_module):
        monkeypatch.setattr(module, "on_terminal", lambda *_: True)


def test_a_prompt_becomes_a_recipe(claude: Control, terminal: None, tmp_path: Path) -> None:
    typed = "Is it positive, negative or neutral? {{ txet }}\nClassify as positive or negative: {{ text }}\nq\n"
    result = tried(laid(tmp_path, recipe=None), typed=typed)
    assert "Did you mean text?" in result.stderr
    assert "What should Claude do with each row? Use {{ text }}." in result.stderr
    assert "  Classify as positive or negative: {{ text }}\n" in (tmp_path / "recipe.yaml").read_text()
    assert rows_of(result)[0].split()[-1] == "positive"
    assert result.exit_code == 0


def test_a_question_alone_is_asked_about_the_text(claude: Control, terminal: None, tmp_path: Path) -> None:
    tried(laid(tmp_path, recipe=None), typed="Positive or negative?\nq\n")
    assert "  Positive or negative?\n\n  text: {{ text }}\n" in (tmp_path / "recipe.yaml").read_text()


def test_a_fault_that_no_prompt_mends_is_told_at_once(keyless: None, terminal: None, tmp_path: Path) -> None:
    result = tried(laid(tmp_path, "id,text\n1,für\n".encode("latin-1"), recipe=None), "--dry-run")
    assert "encoding: windows-1252" in result.stderr
    assert not (tmp_path / "recipe.yaml").exists()
    assert result.exit_code == 1


def test_enter_asks_about_others_until_all_were_tried(claude: Control, terminal: None, tmp_path: Path) -> None:
    result = tried(laid(tmp_path), "--rows", 2, typed="\n\n\nq\n")
    rows = [line.split()[1] for line in rows_of(result)]
    assert rows[:2] == ["2", "6"]
    assert sorted(rows) == ["2", "3", "4", "5", "6"]
    assert "Every row of the file was tried." in result.stderr


def test_an_edited_recipe_is_tried_on_the_same_rows(
    claude: Control, terminal: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = iter([RECIPE.replace("{{ text }}", "{{ txet }}"), RECIPE.replace("prompt", "priority: high\nprompt")])
    monkeypatch.setattr("click.edit", lambda filename: Path(filename).write_text(next(changes)))
    result = tried(laid(tmp_path), "--rows", 1, typed="e\ne\nq\n")
    assert "Did you mean text?" in " ".join(result.stderr.split())
    assert [line.split()[1] for line in rows_of(result)] == ["2", "2"]
    assert result.exit_code == 0


def test_a_real_terminal_is_asked(claude: Control, tmp_path: Path) -> None:
    laid(tmp_path, recipe=None)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "batchdrop_cli", "try", "reviews.csv"]
    environment = os.environ | ENVIRONMENT | {"TERM": "xterm"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, b"Positive or negative?\nq\n")
        shown = b""
        # Linux ends a terminal that nobody writes to any more with an error.
        with suppress(OSError):
            while data := os.read(ours, 4096):
                shown += data
    os.close(ours)
    assert process.returncode == 0, shown
    assert b"No recipe.yaml here." in shown
    assert b"row 2  What a great lamp" in shown
    assert b"[Enter] 3 more   [e] edit recipe.yaml   [q] quit" in shown


def test_what_a_terminal_obeys_is_not_printed(claude: Control, terminal: None, tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07 \u202eevil\u2066 \x9b31m great lamp"
    file = laid(tmp_path, json.dumps({"text": hostile, "evil\x1b[2J": 1}), "rows.jsonl")
    for options in ([], ["--json"], ["--dry-run"], ["--dry-run", "--json"]):
        result = tried(file, *options, typed="q\n")
        assert result.exit_code == 0, result.stderr
        printed = result.stdout + result.stderr.replace("\x1b[?25l", "").replace("\x1b[?25h", "")
        assert not [char for char in printed if char in "\x1b\x07\u202e\u2066\x9b"], options
        if "--json" in options:
            (only,) = objects(result)
            assert only["row"]["text"] == hostile


def test_help_says_how_rows_are_picked() -> None:
    assert "the first, the last and those evenly between them" in " ".join(tried("--help").stdout.split())


def test_no_key_is_sent_in_clear_text(keyless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway.example.test")
    result = tried(laid(tmp_path))
    assert result.exit_code == 1
    assert "begins with https://" in result.stderr


def test_no_redirect_takes_the_key_elsewhere(claude: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Redirect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            self.send_response(307)
            self.send_header("location", f"{claude.base_url}{self.path}")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Redirect) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        result = tried(laid(tmp_path))
        server.shutdown()
        thread.join()
    assert result.exit_code == 1
    assert "answered with 307" in result.stderr
    assert claude.count("messages") == 0
