"""A stack, by its bucket."""

from __future__ import annotations

from typing import Self

from batchdrop_client.bucket import Bucket, open_bucket
from batchdrop_client.job import Job
from batchdrop_client.job_folder import job_folder
from batchdrop_client.plain_text import plain


class Stack:
    """With the AWS rights of whoever runs the program. All methods raise StackError."""

    def __init__(self, bucket: str | None, *, folder: str = "") -> None:
        """`bucket`: its name; None: BATCHDROP_BUCKET names it.

        `folder`: below the inbox and the outbox, for those who see their own alone.
        """
        self.bucket: Bucket = open_bucket(bucket)
        self.folder = folder.strip("/")

    @classmethod
    def from_environment(cls, *, folder: str = "") -> Self:
        """Of the bucket that BATCHDROP_BUCKET names."""
        return cls(None, folder=folder)

    def __repr__(self) -> str:
        return f"<Stack {plain(self.bucket.name)}>"

    def job(self, name: str) -> Job:
        """By its id, the end of one that no other job has, or its address in the outbox."""
        return Job(self.bucket, job_folder(self.bucket, name, self.folder))
