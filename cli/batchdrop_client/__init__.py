"""Files for Claude through the bucket of a stack, from Python. All that it needs are S3 rights on a folder.

    from batchdrop_client import Stack

    job = Stack("my-bucket").drop("reviews.csv", to="marketing")
    job.wait()
    for row in job.results():
        print(row.answer)

The SDK of AWS is loaded with the first name that is taken from here, so that the commands' help is there at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchdrop_client.errors import (
        FileThere,
        InTheWay,
        NotApproved,
        NotNamed,
        OtherRecipe,
        StackError,
        TimedOut,
        Unreachable,
    )
    from batchdrop_client.job import Job
    from batchdrop_client.job_status import JobStatus
    from batchdrop_client.rows import Row
    from batchdrop_client.stack import Stack

__all__ = [
    "FileThere",
    "InTheWay",
    "Job",
    "JobStatus",
    "NotApproved",
    "NotNamed",
    "OtherRecipe",
    "Row",
    "Stack",
    "StackError",
    "TimedOut",
    "Unreachable",
]

_MODULES = {"Job": "job", "JobStatus": "job_status", "Row": "rows", "Stack": "stack"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
