"""Whether the rows of a file, which say that they are rows of an earlier job, belong into the whole table of that job.

What a file says is believed only of a job that has ended, whose file lay in the same folder, and that has such rows: answers of
other folders are none of its business. Whatever is wrong, the same sentence tells it.
"""

from __future__ import annotations

from batchdrop.domain.keys import folder_of
from batchdrop.domain.records import Job, Names
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from batchdrop.ports import Ledger
from batchdrop.reports import sentences


def whole_table(ledger: Ledger, job: Job, names: Names) -> tuple[str, str]:
    """The job whose table is completed, or none and why not; neither for rows that name no job."""
    if not names.job:
        return "", ""
    if names.several:
        return "", sentences.SEVERAL_TABLES
    if names.unnamed:
        return "", sentences.ROWS_OF_NO_TABLE
    earlier = ledger.get_job(names.job)
    fits = (
        earlier is not None
        and earlier.state in TERMINAL_JOB_STATES
        and folder_of(earlier.input.key) == folder_of(job.input.key)
        and (earlier.recipe is None) == (job.recipe is None)
        and names.last_row <= earlier.lines
    )
    return (names.job, "") if fits else ("", sentences.NO_SUCH_TABLE)
