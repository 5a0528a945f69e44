"""`docs/reading.md`: its snippets read a job's answers, and the page shows what they print. `make interop` compares it.

Below `<!-- prints -->` stands what the block above prints. Commands of `duckdb` and `jq`, and all Python, run in a folder with
the answers to the page's table; jq's command is the package of that name. Athena's statements run in DuckDB, by way of sqlglot.
`python -m tests.interop.reading_page` writes the page anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.docs.job_files import JOB
from tests.docs.recipe_page import FILE, RECIPE, TABLE
from tests.interop.environment import PYTHON, ROOT
from tests.interop.read_job import write_answers

PAGE = ROOT / "docs" / "reading.md"
_SNIPPET = re.compile(
    r"^```(?P<kind>sh|python|text)\n(?P<code>(?:(?!```).*\n)+)```\n"
    r"(?:\n<!-- prints -->\n```text\n(?P<prints>(?:(?!```).*\n)*)```\n)?",
    re.MULTILINE,
)
_RUN_HERE = ("duckdb ", "jq ")

_PYTHON = """
import contextlib, io, json, sys
for code in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {"__name__": "__main__"})
    print(json.dumps(said.getvalue()))
"""
_JQ = """
import sys, jq
*options, program, path = sys.argv[1:]
if not {*options} <= {"-r", "-s"}:
    sys.exit(f"unknown options: {options}")
found = jq.compile(program).input_text(open(path, encoding="utf-8").read(), slurp="-s" in options)
print("\\n".join(map(str, found)) if "-r" in options else found.text())
"""
_ATHENA = """
import csv, json, sys
import duckdb, sqlglot
table, query = json.load(sys.stdin)
schema = sqlglot.parse_one(table, read="athena").this
columns = {one.name: one.kind.sql("duckdb") for one in schema.expressions}
duckdb.sql(f"CREATE VIEW answers AS FROM read_json('results.jsonl', format = 'newline_delimited', columns = {columns})")
found = duckdb.sql(sqlglot.transpile(query, read="athena", write="duckdb")[0])
csv.writer(sys.stdout, lineterminator="\\n").writerows([found.columns, *found.fetchall()])
rows = duckdb.sql("SELECT to_json(answers) FROM answers").fetchall()
print(json.dumps([json.loads(row) for row, in rows]), file=sys.stderr)
"""


class Snippet(NamedTuple):
    kind: str
    code: str
    prints: str | None

    @property
    def runs_in_a_shell(self) -> bool:
        return self.kind == "sh" and all(line.startswith(_RUN_HERE) for line in self.code.splitlines())


class Read(NamedTuple):
    page: str
    """The page with what its snippets print."""
    athena: list[dict[str, object]]
    """The rows of Athena's table."""


def snippets(text: str) -> list[Snippet]:
    return [Snippet(match["kind"], match["code"], match["prints"]) for match in _SNIPPET.finditer(FILE.sub("", text))]


def read(text: str, folder: Path) -> Read:
    """Runs everything in a folder, in which the files are left."""
    given = {match["name"]: match["body"] for match in FILE.finditer(text)}
    write_answers(given[TABLE], given[RECIPE], folder)
    (one_of_many := folder / "outbox" / "marketing" / "reviews" / JOB).mkdir(parents=True)
    shutil.copy(folder / "results.csv", one_of_many)
    made = given | {"results.csv": (folder / "results.csv").read_text(encoding="utf-8-sig")}
    text = FILE.sub(lambda match: f"<!-- file: {match['name']} -->\n```{match['kind']}\n{made[match['name']]}```\n", text)
    every = snippets(text)
    printed = dict(zip(every, (None for _ in every), strict=True)) | _of_python(every, folder) | _of_the_shell(every, folder)
    table, query = (one for one in every if one.code.startswith(("CREATE EXTERNAL TABLE", "SELECT")))
    asked = _run([str(PYTHON), "-c", _ATHENA], folder, json.dumps([table.code, query.code]))
    printed[query] = asked.stdout

    def shown(match: re.Match[str]) -> str:
        said = printed.get(Snippet(match["kind"], match["code"], match["prints"]))
        if not said:
            return match[0]
        return f"```{match['kind']}\n{match['code']}```\n\n<!-- prints -->\n```text\n{said}```\n"

    return Read(_SNIPPET.sub(shown, text), json.loads(asked.stderr))


def _of_python(every: list[Snippet], folder: Path) -> dict[Snippet, str | None]:
    """All of them in one process: to import pandas and polars takes seconds."""
    chosen = [one for one in every if one.kind == "python"]
    told = _run([str(PYTHON), "-c", _PYTHON], folder, json.dumps([one.code for one in chosen])).stdout
    return dict(zip(chosen, map(json.loads, told.splitlines()), strict=True))


def _of_the_shell(every: list[Snippet], folder: Path) -> dict[Snippet, str | None]:
    (programs := folder / "bin").mkdir()
    (programs / "jq").write_text(f"#!{PYTHON}\n{_JQ}")
    (programs / "jq").chmod(0o755)
    return {one: in_a_shell(one.code, folder, programs) for one in every if one.runs_in_a_shell}


def in_a_shell(code: str, folder: Path, programs: Path) -> str:
    """What it prints, run in a folder. `programs`: where `jq` is, left by `read` in `bin`."""
    path = os.pathsep.join([str(programs), str(PYTHON.parent), os.environ["PATH"]])
    return _run(["sh", "-ec", code], folder, "", path).stdout


def _run(command: list[str], folder: Path, given: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": str(folder), "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, input=given, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stderr}"
    return done


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        PAGE.write_text(read(PAGE.read_text(), Path(place)).page)
