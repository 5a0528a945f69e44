"""The memory of a stage does not know how large its file is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from local.paths import ROOT

SMALL, LARGE = 5_000, 60_000
# 60 MB of input, 60 MB of answers: held once anywhere they would more than double the peak.
MOST_GROWTH = 1.15
MOST_BYTES = 128_000_000
# Of lines of 32 MB some copies are held, whatever is in them: the template says so.
# A run of 64 MB is sorted in memory, however many there are: here 1 and 3.
ONE_RUN, RUNS = 45_000, 100_000
MOST_BYTES_OF_LONGEST_LINES = 270 * 2**20
# With PDFium in the same process, which functions have in one of its own.
MOST_BYTES_OF_DOCUMENTS = 160_000_000


def peak(folder: Path, rows: int | str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.counted.streamed", str(folder), str(rows)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}", "TMPDIR": str(folder)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return int(done.stdout)


def test_plan_submit_and_collect_hold_no_file(tmp_path: Path) -> None:
    small, large = peak(tmp_path, SMALL), peak(tmp_path, LARGE)
    assert large <= small * MOST_GROWTH
    assert large <= MOST_BYTES


def test_the_whole_table_of_a_retry_is_never_in_memory(tmp_path: Path) -> None:
    peaks = []
    for rows in (ONE_RUN, RUNS):
        folder = tmp_path / str(rows)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "bench.whole_table", str(folder), str(rows)],
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        found = json.loads(done.stdout)
        peaks.append(found["peak"])
        assert found["rows"] == rows
    assert peaks[1] <= peaks[0] * MOST_GROWTH
    assert peaks[1] <= MOST_BYTES


def test_lines_of_millions_of_keys_or_messages_are_not_decoded_before_they_are_counted(tmp_path: Path) -> None:
    assert peak(tmp_path, "crowded") <= MOST_BYTES_OF_LONGEST_LINES


def test_plan_and_submit_hold_no_document(tmp_path: Path) -> None:
    """PDFs of 1 to 20 MB: each is read once by plan and once for its POST, and no POST is above 250 MB."""
    peaks = []
    for number in (20, 60):
        done = subprocess.run(
            [sys.executable, "-m", "tests.counted.documents", str(tmp_path), str(number)],
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}", "TMPDIR": str(tmp_path)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        found = json.loads(done.stdout)
        assert 200_000_000 < found["largest_body"] <= 250_000_000
        assert found["batches"] >= number * 14_000_000 // 250_000_000
        assert found["reads"] == [2]
        peaks.append(found["peak"])
    assert peaks[1] <= peaks[0] * MOST_GROWTH
    assert peaks[1] <= MOST_BYTES_OF_DOCUMENTS
