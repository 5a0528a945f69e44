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
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.mutants import MUTANTS

_AT_ONCE = 2
_SECONDS = 120
_COPIED = (
    "cli",
    "functions",
    "layers",
    "local",
    "bench",
    "tests",
    "docs",
    "examples",
    "pyproject.toml",
    "samconfig.toml",
    "template.yaml",
)
# Loading the plugins takes longer than most tests of the list, and none of them needs one.
_WITHOUT = ("-pno:cacheprovider", "-pno:hypothesispytest", "-pno:anyio", "-pno:cov")
# Exit codes of pytest ("Exit codes").
_PASSED, _FAILED = 0, 1


class Verdict(NamedTuple):
    mutant: Mutant
    noticed: bool
    says: str


class Copies:
    """Copies of the project, one for each run at a time. They are used again, so that Python compiles each only once."""

    def __init__(self, folder: Path) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for number in range(_AT_ONCE):
            self._free.put(_copy(folder / str(number)))

    def sound(self, mutants: Sequence[Mutant]) -> bool:
        """Whether the tests pass on the code as it is: one that fails anyway notices nothing."""
        with self._one() as copy:
            code, text = _run(copy, sorted({mutant.noticed_by for mutant in mutants}))
        if code != _PASSED:
            print(f"without a breakage:\n{text}")
        return code == _PASSED

    def judge(self, mutant: Mutant) -> Verdict:
        with self._one() as copy:
            broken = copy / mutant.file
            broken.write_text(mutant.mutated(broken.read_text()))
            code, text = _run(copy, [mutant.noticed_by])
            shutil.copy2(ROOT / mutant.file, broken)
        last = text.strip().splitlines()[-1:] or ["no output"]
        return Verdict(mutant, code == _FAILED, last[0])

    @contextmanager
    def _one(self) -> Iterator[Path]:
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)


def main(texts: Sequence[str]) -> int:
    began = time.monotonic()
    chosen = [one for one in MUTANTS if not texts or any(text in f"{one.undoes} {one.file}" for text in texts)]
    with TemporaryDirectory(prefix="batchdrop-mutants-") as folder, ThreadPoolExecutor(_AT_ONCE) as pool:
        copies = Copies(Path(folder))
        sound = pool.submit(copies.sound, chosen)
        noticed = 0
        for verdict in pool.map(copies.judge, chosen):
            print(_row(verdict), flush=True)
            noticed += verdict.noticed
        print(f"{len(chosen)} mutants: {noticed} noticed, {len(chosen) - noticed} not")
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
        return 0 if sound.result() and noticed == len(chosen) else 1


def _row(verdict: Verdict) -> str:
    mutant, noticed, says = verdict
    return f"{'noticed ' if noticed else 'SURVIVES'}  {mutant.undoes}\n          {mutant.noticed_by if noticed else says}"


def _copy(target: Path) -> Path:
    target.mkdir()
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(".aws-sam"))
        else:
            shutil.copy2(source, target / name)
    return target


def _run(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", *_WITHOUT, *tests]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _FAILED, f"it runs for ever: stopped after {_SECONDS} s"
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
