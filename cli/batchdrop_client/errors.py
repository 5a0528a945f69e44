"""What can go wrong between a program and a stack. Each message is a sentence: what happened, where, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchdrop_client.plain_text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from batchdrop_client.job_status import JobStatus

VARIABLE = "BATCHDROP_BUCKET"


class StackError(Exception):
    """The bucket or the job cannot be used. The message says why."""


class NotNamed(StackError):
    """What was named cannot be meant: there is no such bucket, job, file or recipe, several, or it is of no use here."""


class NoBucket(NotNamed):
    def __init__(self) -> None:
        super().__init__(f"Which bucket? Give its name, or set {VARIABLE}.")


class Unreachable(StackError):
    """S3 gave no answer, or asked to come back later: a moment later it may be another."""


class NotApproved(StackError):
    """Nothing was approved: nothing is asked, something else is, or more than the caller says yes to."""


class InTheWay(StackError):
    """Something lies where something is to be put, and is not replaced unasked."""

    fact: str
    """What lies where, without what can be done about it."""


class OtherRecipe(InTheWay):
    """Another recipe lies where one is to be put. It may be somebody else's, and other files may wait for it."""

    def __init__(self, key: str, recipe: str) -> None:
        self.fact = f"{plain(key)} in the bucket is another recipe than {plain(recipe)}, and nothing was dropped."
        super().__init__(f"{self.fact} Choose another folder, or say that yours is to replace it: replace_recipe=True.")
        self.key = key


class FileThere(InTheWay):
    """There is a file of that name here, and it is not overwritten."""

    def __init__(self, path: Path) -> None:
        self.fact = f"{plain(str(path))} is there already, and is not overwritten."
        super().__init__(f"{self.fact} Move it, choose another name, or say that it is to be replaced: replace=True.")
        self.path = path


class TimedOut(StackError, TimeoutError):
    """The time to wait is over, and the job goes on."""

    def __init__(self, status: JobStatus) -> None:
        super().__init__(f"The job {status.job_id} goes on. {status.message}")
        self.status = status
