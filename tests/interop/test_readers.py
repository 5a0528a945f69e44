"""pandas, DuckDB and LibreOffice read `results.csv`, and give the input's cells and the answers."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.environment import PYTHON, ROOT
from tests.stages.row_jobs import run, stack_of

HEADER = ["id", "text", "long", "number", "risky"]
CELLS = [
    ["007", 'Good; "really"\nnice, yes', "12345678901234567", "-3", "=1+1"],
    ["08", "Bad; dull", "00000000000000012", "-0.5", "+49 30 1"],
    ["9", "  two spaces; and, comma", "99999999999999999", "1e5", "@x"],
]
# Formulas are defused; everything else stands there as it came.
DEFUSED = {"=1+1": "'=1+1", "+49 30 1": "'+49 30 1", "@x": "'@x"}
ANSWERS = [["positive", "because"], ["negative", "because"], ["negative", "because"]]

PANDAS = """
import json, sys, pandas
found = pandas.read_csv(sys.argv[1], sep=sys.argv[2], dtype=str, keep_default_na=False)
print(json.dumps([list(found.columns), *found.values.tolist()]))
"""
DUCKDB = """
import json, sys, duckdb
found = duckdb.sql(f"SELECT * FROM read_csv('{sys.argv[1]}', delim='{sys.argv[2]}', all_varchar=true)")
print(json.dumps([found.columns, *[[cell or "" for cell in row] for row in found.fetchall()]]))
"""
pytestmark = pytest.mark.interop
needs_libreoffice = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")


@pytest.fixture(params=[",", ";"])
def separator(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def results(separator: str, tmp_path: Path) -> Path:
    """`results.csv` of a job, as a file."""
    source = io.StringIO(newline="")
    csv.writer(source, delimiter=separator).writerows([HEADER, *CELLS])
    stack = stack_of()
    run(stack, "reviews.csv", source.getvalue().encode())
    path = tmp_path / "results.csv"
    path.write_bytes(stack.output("results.csv"))
    return path


def expected() -> list[list[str]]:
    header = [*HEADER, "label", "explanation", "batchdrop_row", "batchdrop_status", "batchdrop_error", "batchdrop_usd"]
    own = [[DEFUSED.get(cell, cell) for cell in row] for row in CELLS]
    return [
        header,
        *(
            [*row, *answer, str(number), "succeeded", "", "0.0000175"]
            for number, (row, answer) in enumerate(zip(own, ANSWERS, strict=True), 2)
        ),
    ]


@pytest.mark.parametrize("program", [PANDAS, DUCKDB], ids=["pandas", "DuckDB"])
def test_a_program_reads_every_cell(program: str, results: Path, separator: str) -> None:
    read = subprocess.run([PYTHON, "-c", program, str(results), separator], stdout=subprocess.PIPE, check=True)
    assert json.loads(read.stdout) == expected()


@needs_libreoffice
def test_libreoffice_reads_every_cell_as_text(results: Path, separator: str, tmp_path: Path) -> None:
    """Columns imported as text, as its import dialog offers; as "standard" any spreadsheet makes numbers of them."""
    as_text = "/".join(f"{column}/2" for column in range(1, len(expected()[0]) + 1))
    out = tmp_path / "out"
    command = ["soffice", "--headless", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"]
    command += [f"--infilter=CSV:{ord(separator)},34,76,1,{as_text}"]
    command += ["--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true,true,false"]
    subprocess.run([*command, "--outdir", str(out), str(results)], stdout=subprocess.DEVNULL, timeout=120, check=True)
    with (out / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == expected()


@pytest.mark.parametrize("name", ["reviews.jsonl", "reviews.csv"])
def test_the_documented_lines_make_rows_of_parquet(name: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "parquet.md").read_text()
    (statement,) = (line for line in re.findall(r'duckdb -c "(.+)"', page) if name in line)
    make = "COPY (SELECT '007' AS id, 'Good, really' AS text, 12345678901234567 AS long) TO 'reviews.parquet' (FORMAT parquet)"
    program = "import duckdb, sys; [duckdb.sql(one) for one in sys.argv[1:]]"
    subprocess.run([PYTHON, "-c", program, make, statement], cwd=tmp_path, check=True)
    written = (tmp_path / name).read_text()
    assert written in (
        '{"id":"007","text":"Good, really","long":12345678901234567}\n',
        'id,text,long\n007,"Good, really",12345678901234567\n',
    )
