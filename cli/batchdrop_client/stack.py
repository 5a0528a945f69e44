"""A stack, by its bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from batchdrop.domain import keys
from batchdrop_client.bucket import Bucket, open_bucket
from batchdrop_client.dropping import Drop, Wishes, file_of, recipe_beside, takes_recipe
from batchdrop_client.errors import NotNamed
from batchdrop_client.frames import Frame
from batchdrop_client.job import Job
from batchdrop_client.job_folder import job_folder
from batchdrop_client.named_folder import named_folder
from batchdrop_client.newest_jobs import NewestJobs, newest_jobs
from batchdrop_client.plain_text import plain
from batchdrop_client.progress import Progress


class Stack:
    """With the AWS rights of whoever runs the program. All methods raise StackError."""

    def __init__(self, bucket: str | None, *, folder: str = "") -> None:
        """`bucket`: its name; None: BATCHDROP_BUCKET names it.

        `folder`: below the inbox and the outbox, for those who see their own alone.
        """
        self.bucket: Bucket = open_bucket(bucket)
        self.folder = named_folder(folder)

    @classmethod
    def from_environment(cls, *, folder: str = "") -> Self:
        """Of the bucket that BATCHDROP_BUCKET names."""
        return cls(None, folder=folder)

    def __repr__(self) -> str:
        return f"<Stack {plain(self.bucket.name)}>"

    def drop(
        self,
        what: Path | str | Iterable[Mapping[str, object]] | Frame,
        to: str = "",
        *,
        recipe: Path | str | None = None,
        replace_recipe: bool = False,
        name: str = "",
        reference: str = "",
        priority: str = "",
        all_documents: bool = False,
        sent: Progress = lambda _: None,
    ) -> Job:
        """Uploads a file, a folder of documents or rows, and the recipe, and returns the job that it becomes.

        `what`: a path; or rows: mappings, one for each, or a data frame of pandas or polars. `to`: the folder below the inbox,
        below that of the stack if it has one; a folder of documents goes below it, where documents that are the same are not
        put again, and others that no job has taken go along. `recipe`: else the recipe.yaml beside the
        file or in the folder, if there is one. One that lies in the inbox and differs is not replaced, unless `replace_recipe`:
        OtherRecipe is raised. `name`: of the object in the inbox; of rows it is `rows.jsonl`. `reference`: any text of at most
        200 ASCII characters, which status.json and the manifest tell. `priority`: `high` or `low`. `all_documents`: of a folder,
        also those that an earlier job has taken; they are paid again. `sent`: told how many bytes more are in the bucket, from
        several threads.

        Raises OSError, too. Nothing is in the inbox then, but perhaps the recipe, or some of the documents without a job.
        """
        where = "/".join(filter(None, (self.folder, to)))
        wishes = Wishes(reference, priority)
        chosen = None if recipe is None else Path(recipe)
        if isinstance(what, Path | str):
            path = Path(what)
            drop = Drop(self.bucket, path, where, wishes, name=name, all_documents=all_documents)
            if chosen is None and (path.is_dir() or takes_recipe(path)):
                chosen = recipe_beside(path if path.is_dir() else path.parent)
            return drop(chosen, replace=replace_recipe, sent=sent)
        if all_documents:
            raise NotNamed("All documents are those of a folder: name its path instead of rows.")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            file_of(what, path)
            return Drop(self.bucket, path, where, wishes, name=name or path.name)(chosen, replace=replace_recipe, sent=sent)

    def jobs(self, limit: int = 20) -> NewestJobs:
        """What waits for a person, then the newest others: `limit` of these."""
        return newest_jobs(self.bucket, f"{keys.OUTBOX}{self.folder}/" if self.folder else keys.OUTBOX, limit)

    def job(self, name: str) -> Job:
        """By its id, the end of one that no other job has, or its address in the outbox."""
        return Job(self.bucket, job_folder(self.bucket, name, self.folder))
