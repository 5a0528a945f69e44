"""What the API has accepted of a job, row by row."""

from __future__ import annotations

from collections.abc import Iterator

from batchdrop.domain.records import Job
from batchdrop_cli.audit.findings import Finding

PILOT = 0
"""The attempt of a row that was tried before the others. One that has not come to its end there goes again as attempt 1."""


class SentRows:
    """Which attempts of which line the API has accepted and answered, and how often. `complete`: no request is left out."""

    def __init__(self, job: Job, lines: int, *, complete: bool) -> None:
        self.complete = complete
        self._job = job
        self._lines = lines
        self._times: dict[int, bytearray] = {}
        self._answers = bytearray(lines + 1)
        self._invented: list[tuple[int, int]] = []
        self.pays_again = False
        """The recipe asks again for answers that cannot be used: each attempt of a row may have been answered."""

    def note(self, attempt: int, line: int, *, answered: bool) -> None:
        if not 1 <= line <= self._lines:
            self._invented.append((attempt, line))
            return
        times = self._times.setdefault(attempt, bytearray(self._lines + 1))
        times[line] = min(times[line] + 1, 255)
        if answered:
            self._answers[line] = min(self._answers[line] + 1, 255)

    def attempts(self, line: int) -> list[int]:
        """Those accepted, in order."""
        return [attempt for attempt, times in sorted(self._times.items()) if times[line]]

    def agrees(self, line: int, attempts: int, *, exactly: bool, may_go_on: bool = False) -> bool:
        """Whether a row that ended in its attempt of that number was sent once in each up to it, and never after.

        Not `exactly`: it need not have been accepted each time. `may_go_on`: later attempts are another row's, of which this is
        a copy.
        """
        found, expected = self.attempts(line), list(range(1, attempts + 1))
        # A row that was settled there was sent once; one that was left to its batch may never have gone with it.
        found = [attempt for attempt in found if attempt != PILOT] or expected[: len(found)]
        found = [attempt for attempt in found if attempt <= attempts] if may_go_on else found
        return found == expected if exactly and self.complete else set(found) <= set(expected)

    def findings(self) -> Iterator[Finding]:
        for attempt, line in self._invented:
            yield self._finding("row_invented", line, f"attempt {attempt} was sent for a line that is in no batch")
        for attempt, times in sorted(self._times.items()):
            for line, number in enumerate(times):
                if number > 1:
                    yield self._finding("accepted_twice", line, f"attempt {attempt} was accepted {number} times")
        for line, number in enumerate(self._answers):
            if number > (len(self.attempts(line)) if self.pays_again else 1):
                yield self._finding("answered_twice", line, f"the API has answered this row {number} times: paid for each time")

    def _finding(self, kind: str, line: int, sentence: str) -> Finding:
        return Finding(kind=kind, sentence=sentence, job_id=self._job.id, line=line)
