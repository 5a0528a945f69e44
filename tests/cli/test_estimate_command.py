"""`batchdrop estimate`: read as a job reads, told to people and programs, without a key and without the API unless asked."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from batchdrop.domain.money import Sizes
from batchdrop_cli.estimating.planned_file import summed
from batchdrop_cli.main import batchdrop
from batchdrop_cli.opening.opened_file import opened
from local.claude.client import Control, start
from tests.cli.test_try_command import ENVIRONMENT, READS, RECIPE, REVIEWS, TABLE, laid, request
from tests.named_files import pdf
from tests.stack import Stack
from tests.workbooks import row as sheet_row
from tests.workbooks import workbook


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, and an address where nobody listens."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Control]:
    with start("--seed", "estimate") as control:
        yield control


@pytest.fixture
def claude(emulator: Control, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", emulator.base_url)
    yield emulator
    emulator.reset()


def told(*arguments: object) -> Result:
    result = CliRunner(mix_stderr=False).invoke(batchdrop, ["estimate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def found(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = told(*arguments, "--json")
    assert result.exit_code == code, result.stderr
    (line,) = result.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def requests_file(folder: Path, *rows: dict[str, Any], name: str = "requests.jsonl") -> Path:
    return laid(folder, "".join(json.dumps({"params": row}) + "\n" for row in rows), name, recipe=None)


# ---------------------------------------------------------------- as a job reads it


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews.jsonl", "reviews.csv", "reviews.tsv"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_file_costs_the_same(tmp_path: Path, name: str, packed: bool) -> None:
    bodies = {
        "reviews.xlsx": workbook(sheet_row(1, "id", "text"), *(sheet_row(n, n - 1, text) for n, text in enumerate(REVIEWS, 2))),
        "reviews.jsonl": "".join(json.dumps({"text": text}) + "\n\n" for text in REVIEWS).encode(),
        "reviews.csv": TABLE.encode(),
        "reviews.tsv": b"id\ttext\n" + b"".join(b"1\t%b\n" % text.encode() for text in REVIEWS),
    }
    body = bodies[name]
    file = laid(tmp_path, gzip.compress(body) if packed else body, f"{name}.gz" if packed else name)
    here = found(file)
    usual = found(laid(tmp_path, TABLE, "usual.csv"))
    assert (here["rows"], here["invalid"], here["batches"]) == (5, 0, 1)
    assert here["as_it_stands"] == usual["as_it_stands"]
    assert here["as_it_stands"]["low_usd"] > 0


@pytest.mark.parametrize("table", [True, False])
def test_a_stack_cuts_the_same_batches(tmp_path: Path, table: bool) -> None:
    """Rows, what is wrong with them, and what they are expected to take, are those of the job in the cloud."""
    rows = [{"custom_id": "a", "params": request("größer")}, {"params": {}}, {"custom_id": "a", "params": request("twice")}, 7]
    body = (TABLE + '9,""\n').encode() if table else b"\n\n".join(json.dumps(row).encode() for row in rows)
    name = "rows.csv" if table else "rows.jsonl"
    stack = Stack()
    if table:
        stack.drop("inbox/team/recipe.yaml", RECIPE.encode())
    stack.drop(f"inbox/team/{name}", body)
    stack.run()
    batches = list(stack.ledger.list_batches(stack.job().id))
    sizes: Sizes = summed(batch.sizes for batch in batches)
    here = found(laid(tmp_path, body, name, recipe=RECIPE if table else None), code=3)
    assert here["rows"] - here["invalid"] == sum(batch.requests for batch in batches) > 0
    assert here["invalid"] == sum(batch.invalid for batch in batches) > 0
    (size,) = sizes.values()
    assert here["tokens"]["prompts"] == {"low": int(size.input_tokens * 0.6), "high": int(size.input_tokens * 1.7)}
    assert here["tokens"]["answers_at_most"] == size.max_output_tokens


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_lines_lie_where_those_of_a_job_lie(tmp_path: Path, name: str) -> None:
    """Blank ones too: a batch is also bounded by the bytes from its first line to its last."""
    body = b'id,text\n1,a\n\n\n2,"b\n c"\n' if name == "rows.csv" else b'{"text": "a"}\n\n\n{"text": "b"}\n7\n'
    stack = Stack()
    stack.drop("inbox/team/recipe.yaml", RECIPE.encode())
    stack.drop(f"inbox/team/{name}", body)
    stack.run()
    (batch,) = stack.ledger.list_batches(stack.job().id)
    with opened(laid(tmp_path, body, name), tmp_path / "recipe.yaml") as file:
        found = [line for line, _ in file.rows.planned()]
    assert (found[0].start, found[0].number) == (batch.span.start, batch.first_line)
    assert (found[-1].end, found[-1].number) == (batch.span.end, batch.last_line)


def test_many_rows_are_several_batches(tmp_path: Path) -> None:
    """The answers of so many with such a `max_tokens` would not fit the disk that collects them."""
    here = found(requests_file(tmp_path, *[request("Tell all.", max_tokens=300_000)] * 9_000))
    assert here["batches"] == 3
    assert here["as_it_stands"]["at_most_usd"] >= here["as_it_stands"]["high_usd"] > 6_000


def test_headers_and_models_stand_for_what_is_paid(tmp_path: Path) -> None:
    here = found(requests_file(tmp_path, request("a"), request("a", model="claude-opus-5", inference_geo="us")))
    assert here["models"] == ["claude-haiku-4-5", "claude-opus-5"]
    us = here["prices"]["usd_per_million"]["claude-opus-5, in the United States"]
    assert us["prompt"] == {"one_by_one": 5.5, "one_by_one_cached": 0.55, "batch": 2.75, "batch_cached": 0.275}


# ---------------------------------------------------------------- what is said


def test_a_person_reads_it(tmp_path: Path) -> None:
    text = told(laid(tmp_path)).stdout
    assert text.startswith("reviews.csv: 5 rows, 1 batch, claude-haiku-4-5\nAs a batch, as it stands: ")
    words = " ".join(text.split())
    assert "prompts guessed from their text, within -40 and +70 %; answers between nothing and max_tokens." in words
    assert "not possible: about" in words
    assert "claude-haiku-4-5 caches from 4,096" in words
    assert "<- as it stands" in text
    assert "One by one: the answers to 5 rows are there in seconds" in words


def test_amounts_are_exact_numbers(tmp_path: Path) -> None:
    rows = [request("x", max_tokens=3)] * 10
    line = told(requests_file(tmp_path, *rows), "--json", "--prompt-tokens", 7, "--answer-tokens", 3).stdout
    # 70 tokens at a dollar and 30 at five dollars for a million, half of it.
    assert '"as_it_stands":{"low_usd":0.00011,"high_usd":0.00011,' in line
    assert '"one_by_one":{"uncached":{"low_usd":0.00022,"high_usd":0.00022}' in line
    assert not re.search(r"\de-?\d", line.partition('"prices"')[0])


def test_what_is_told_replaces_the_guess(tmp_path: Path) -> None:
    file = laid(tmp_path, recipe=f"{RECIPE}max_tokens: 500\n")
    here = found(file, "--prompt-tokens", 200, "--answer-tokens", 40)
    assert (here["known_by"]["prompts"], here["known_by"]["answers"]) == ("told", "told")
    assert here["tokens"]["prompts"] == {"low": 1000, "high": 1000}
    assert here["as_it_stands"] | {"at_most_usd": 0} == {"low_usd": 0.001, "high_usd": 0.001, "at_most_usd": 0}
    assert here["as_it_stands"]["at_most_usd"] > 5 * 500 * 5e-6 / 2


def test_a_shared_prompt_is_cached_in_the_table(tmp_path: Path) -> None:
    long = "Rules: " + "be kind to everybody who asks. " * 1500
    recipe = f"{RECIPE}system: |\n  {long}\n"
    here = found(laid(tmp_path, recipe=recipe))
    assert here["not_cached_because"] is None
    (caching,) = here["caching"]
    assert caching["possible"]
    assert caching["shared_tokens"] > 4096
    assert here["one_by_one"]["cached"]["high_usd"] < here["one_by_one"]["uncached"]["high_usd"]
    assert here["batch"]["cached"]["low_usd"] < here["batch"]["cached"]["high_usd"]
    assert "hits in a batch are not guaranteed" in " ".join(told(tmp_path / "reviews.csv").stdout.split())


def test_a_model_without_a_price_is_told_and_can_be_given_one(tmp_path: Path) -> None:
    file = requests_file(tmp_path, request("a", model="claude-haiku-6"))
    alone = found(file, code=3)
    assert alone["unpriced"] == {"claude-haiku-6": 1}
    assert (alone["as_it_stands"], alone["batch"], alone["one_by_one"]) == (None, None, None)
    mixed = found(requests_file(tmp_path, request("a", model="claude-haiku-6"), request("a"), name="mixed.jsonl"), code=3)
    assert mixed["unpriced"] == {"claude-haiku-6": 1}
    assert mixed["as_it_stands"]["high_usd"] > 0
    prices = tmp_path / "prices.json"
    entry = {"model": "claude-haiku-6", "input": "0.20", "output": "1", "write_5m": "0.25", "write_1h": "0.40", "read": "0.02"}
    prices.write_text(json.dumps([entry]))
    priced = found(file, "--prices", prices, "--prompt-tokens", 1000, "--answer-tokens", 0)
    assert priced["as_it_stands"]["high_usd"] == 0.0001
    assert priced["prices"]["version"] == "prices.json on this machine"


def test_a_faulty_price_file_is_told_with_its_place(tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('[\n {"model": "claude-haiku-6"}\n]')
    result = told(laid(tmp_path), "--prices", prices)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "prices.json, line 2" in result.stderr


# ---------------------------------------------------------------- files that rows name


def test_pages_of_documents_are_counted(tmp_path: Path) -> None:
    for pages in (1, 4):
        (tmp_path / f"{pages}.pdf").write_bytes(pdf(pages))
    tokens = {}
    for pages in (1, 4):
        file = laid(tmp_path, f"path\n{pages}.pdf\n", recipe=READS)
        tokens[pages] = found(file)["tokens"]["prompts"]
    assert 2.5 < tokens[4]["low"] / tokens[1]["low"] < 4
    assert 2.5 < tokens[4]["high"] / tokens[1]["high"] < 4


def test_rows_whose_documents_cannot_be_sent_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf())
    result = told(laid(tmp_path, "path\na.pdf\nb.pdf\ns3://bucket/a.pdf\n", recipe=READS))
    assert result.exit_code == 3, result.stderr
    assert "2 rows cannot be sent, and would cost nothing:" in result.stdout
    assert "The document of this row is not there. Name it by its path from the folder of the file on." in " ".join(
        result.stdout.split()
    )


# ---------------------------------------------------------------- odd files


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    for body in (b"", b"\n\n"):
        result = told(laid(tmp_path, body, "reviews.jsonl"))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "The file is empty" in result.stderr
    header = told(laid(tmp_path, "id,text\n"))
    assert (header.exit_code, header.stdout) == (1, "")
    assert "no rows" in header.stderr


def test_only_rows_that_cannot_be_sent(tmp_path: Path) -> None:
    file = laid(tmp_path, '{"params": {}}\n[1\n' * 20, "rows.jsonl", recipe=None)
    result = told(file)
    assert result.exit_code == 1
    assert "40 rows cannot be sent, and would cost nothing:" in result.stdout
    assert "and 35 more" in result.stdout
    assert "$" not in result.stdout
    assert found(file, code=1)["advice"]["batch"] is None


def test_rows_without_a_recipe_are_told_what_to_do(tmp_path: Path) -> None:
    result = told(laid(tmp_path, recipe=None))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Its columns: id, text." in result.stderr
    assert "--recipe" in result.stderr
    assert "batchdrop try" in result.stderr


def test_a_recipe_is_no_file_of_rows(tmp_path: Path) -> None:
    laid(tmp_path)
    assert told(tmp_path / "recipe.yaml").exit_code == 2


def test_a_faulty_recipe_is_told_as_in_the_cloud(tmp_path: Path) -> None:
    result = told(laid(tmp_path, recipe=RECIPE.replace("{{ text }}", "{{ txet }}")))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Did you mean text?" in result.stderr


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = laid(tmp_path)

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    result = told(file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{file} cannot be read: Permission denied.\n"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert told(tmp_path / "none.csv").exit_code == 2
    assert told(tmp_path).exit_code == 2


def test_signs_of_all_kinds(tmp_path: Path) -> None:
    table = "größe,text\n1,schöne Grüße 你好 👍\n2,\u202eevil\n"
    here = found(laid(tmp_path, table, "größen ü.csv"))
    assert (here["file"], here["rows"], here["invalid"]) == ("größen ü.csv", 2, 0)


def test_a_huge_answer_is_no_amount_beyond_reason(tmp_path: Path) -> None:
    here = found(requests_file(tmp_path, request("a", max_tokens=999_999_999)))
    # No model writes more than 300,000 tokens.
    assert here["tokens"]["answers_at_most"] == 300_000
    assert here["as_it_stands"]["at_most_usd"] < 1


def test_a_row_is_in_no_error(tmp_path: Path) -> None:
    secret = "Frau Mustermann, Konto 4711"
    rows = [{"params": {"messages": [{"role": "user", "content": secret}]}}, {"params": request(secret) | {"max_tokens": 0}}]
    result = told(laid(tmp_path, "".join(json.dumps(row) + "\n" for row in rows) + f'{{"{secret}', "rows.jsonl", recipe=None))
    table = told(laid(tmp_path, f'id,text\n1,"{secret}\n'))
    assert result.exit_code == table.exit_code == 1
    for text in (result.stdout, result.stderr, table.stdout, table.stderr):
        assert "Mustermann" not in text


def test_a_damaged_gzip_file_is_told_where_it_breaks_off(tmp_path: Path) -> None:
    data = gzip.compress((json.dumps({"params": request("x")}) + "\n").encode() * 3)[:-9]
    here = found(laid(tmp_path, data, "requests.jsonl.gz", recipe=None), code=3)
    assert "truncated" in here["faults"][-1]["message"]


# ---------------------------------------------------------------- counted by the API


def test_rows_are_counted_on_request_only(claude: Control, tmp_path: Path) -> None:
    file = requests_file(tmp_path, *(request(f"{number} is a number like others." * 20) for number in range(60)))
    guessed = found(file)
    assert claude.count("count_tokens") == 0
    result = told(file, "--count", "--json")
    counted = json.loads(result.stdout)
    assert claude.count("count_tokens") == 20
    assert "20 of 60 rows were sent to the API to be counted" in result.stderr
    assert (counted["known_by"]["prompts"], counted["known_by"]["counted_rows"]) == ("count_tokens", 20)

    def width(of: dict[str, Any]) -> float:
        low, high = of["tokens"]["prompts"]["low"], of["tokens"]["prompts"]["high"]
        return float((high - low) / low)

    assert width(counted) < 0.2 < width(guessed)
    # The emulator takes four characters for a token, and three for the turn.
    exact = sum(-(-len(f"{number} is a number like others." * 20) // 4) + 3 for number in range(60))
    assert counted["tokens"]["prompts"]["low"] <= exact <= counted["tokens"]["prompts"]["high"]


def test_counting_leaves_out_what_it_does_not_take(claude: Control, tmp_path: Path) -> None:
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    rows = [request("x", system="Be kind.", tools=tools, metadata={"user_id": "7"}, stop_sequences=["."])] * 2
    assert found(requests_file(tmp_path, *rows), "--count")["known_by"]["counted_rows"] == 2


def test_counting_without_a_key_says_so(tmp_path: Path) -> None:
    result = told(laid(tmp_path), "--count")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ANTHROPIC_API_KEY" in result.stderr
    assert "Without --count the estimate needs none." in result.stderr


def test_an_api_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    result = told(laid(tmp_path), "--count")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "127.0.0.1 cannot be reached" in result.stderr


def test_rows_that_the_api_does_not_count(claude: Control, tmp_path: Path) -> None:
    result = told(requests_file(tmp_path, request("a", model="claude-unheard-of")), "--count")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "counted none of the rows" in result.stderr


# ---------------------------------------------------------------- the terminal


def test_stdout_is_the_result_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batchdrop_cli", "estimate", str(laid(tmp_path))]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("width", [40, 200])
def test_a_terminal_of_any_width(tmp_path: Path, width: int) -> None:
    laid(tmp_path)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = [sys.executable, "-m", "batchdrop_cli", "estimate", "reviews.csv"]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | ENVIRONMENT | {"TERM": "xterm"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        shown = b""
        # Linux ends a terminal that nobody writes to any more with an error.
        with suppress(OSError):
            while data := os.read(ours, 4096):
                shown += data
    os.close(ours)
    assert process.returncode == 0
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) <= min(width, 116)
    assert any(line.split() == ["one", "by", "one", "as", "a", "batch"] for line in lines) is (width == 200)


def test_help_says_that_nothing_is_sent() -> None:
    assert "Nothing leaves this machine, and no key is needed, unless you ask for --count." in " ".join(
        told("--help").stdout.split()
    )
