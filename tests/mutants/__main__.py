"""`python -m tests.mutants [text ...]`: breaks each promise in a copy of the project and says which test noticed.

With texts: only the mutants that have one of them in their promise or file. Exits with 1 if a breakage went unnoticed, or if one
of the tests fails without any.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.mutants import MUTANTS

_AT_ONCE = 2
_SECONDS = 300
_COPIED = (
    "cli",
    "functions",
    "layers",
    "local",
    "bench",
    "tests",
    "events",
    "docs",
    "examples",
    "pyproject.toml",
    "template.yaml",
)
# Exit codes of pytest ("Exit codes").
_PASSED, _FAILED = 0, 1


class Verdict(NamedTuple):
    mutant: Mutant
    noticed: bool
    says: str


def main(texts: Sequence[str]) -> int:
    began = time.monotonic()
    chosen = [one for one in MUTANTS if not texts or any(text in f"{one.undoes} {one.file}" for text in texts)]
    with TemporaryDirectory(prefix="batchdrop-mutants-") as folder:
        sound = _sound(Path(folder), chosen)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            verdicts = list(pool.map(lambda numbered: _judge(Path(folder), *numbered), enumerate(chosen)))
    for line in table(verdicts):
        print(line)
    noticed = sum(verdict.noticed for verdict in verdicts)
    print(f"{len(verdicts)} mutants: {noticed} noticed, {len(verdicts) - noticed} not")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0 if sound and noticed == len(verdicts) else 1


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for mutant, noticed, says in verdicts:
        yield f"{'noticed' if noticed else 'SURVIVES'}  {mutant.undoes}"
        yield f"          {mutant.noticed_by if noticed else says}"


def _sound(folder: Path, mutants: Sequence[Mutant]) -> bool:
    """Whether the tests pass on the code as it is: one that fails anyway notices nothing."""
    copy = _copy(folder / "as-it-is")
    code, text = _run(copy, sorted({mutant.noticed_by for mutant in mutants}))
    if code != _PASSED:
        print(f"without a breakage:\n{text}")
    return code == _PASSED


def _judge(folder: Path, number: int, mutant: Mutant) -> Verdict:
    copy = _copy(folder / str(number))
    broken = copy / mutant.file
    broken.write_text(mutant.mutated(broken.read_text()))
    code, text = _run(copy, [mutant.noticed_by])
    shutil.rmtree(copy)
    last = text.strip().splitlines()[-1:] or ["no output"]
    return Verdict(mutant, code == _FAILED, last[0])


def _copy(target: Path) -> Path:
    target.mkdir()
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", ".aws-sam"))
        else:
            shutil.copy2(source, target / name)
    return target


def _run(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _FAILED, f"it runs for ever: stopped after {_SECONDS} s"
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
