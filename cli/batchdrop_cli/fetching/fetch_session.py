"""Find the job, and bring here what it has left."""

from __future__ import annotations

from pathlib import Path

import msgspec

from batchdrop.domain.open_work import RECIPE
from batchdrop_cli.amounts_said import number
from batchdrop_cli.dropping.shown_progress import transfer
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED, STOPPED, USAGE
from batchdrop_cli.following.said_status import Lookup
from batchdrop_cli.terminal import out, say
from batchdrop_client.errors import FileThere
from batchdrop_client.job import Job
from batchdrop_client.plain_text import plain
from batchdrop_client.stack import Stack

_FILES = (".csv", ".jsonl")
# What a folder is hardly called, and the answers do not come in.
_OTHER_FILES = (".xlsx", ".xls", ".ods", ".json", ".tsv", ".txt", ".md", ".parquet", ".html", ".pdf", ".gz", ".zip")


class FetchSession(msgspec.Struct, kw_only=True):
    job: str
    bucket: str | None
    folder: str
    out: Path | None
    each: bool
    force: bool

    def run(self) -> int:
        """The exit code. Raises StackError."""
        job = Stack(self.bucket, folder=self.folder).job(self.job)
        path = self.out or Path(job.id)
        is_file = path.suffix.lower() in _FILES and not path.is_dir()
        if self.each and is_file:
            raise CannotUse(f"{plain(str(path))} is a name for one file, and --each makes many: give --out a folder.", USAGE)
        if not self.each and path.suffix.lower() in _OTHER_FILES and not path.is_dir():
            raise CannotUse(
                f"{plain(str(path))} is no name for the answers: --out is a folder, or a name in .csv or .jsonl.", USAGE
            )
        try:
            if job.status().needs == RECIPE:
                return self._fetch_starter(job, path)
            if self.each:
                return self._fetch_each(job, path)
            with transfer("downloading", 0 if is_file else job.size()) as come:
                if is_file:
                    job.save(path, replace=self.force, come=come)
                else:
                    job.download(path, replace=self.force, come=come)
        except FileThere as there:
            raise CannotUse(f"{there.fact} Move it, choose another place with -o, or replace it with --force.", USAGE) from None
        except KeyboardInterrupt:
            raise CannotUse("Stopped. The same command goes on.", STOPPED) from None
        except OSError as error:
            raise CannotUse(f"{plain(str(error.filename or path))} cannot be written: {error.strerror or error}.") from None
        out(plain(str(path)))
        return ANSWERED

    def _fetch_each(self, job: Job, folder: Path) -> int:
        files = sum(1 for _ in job.download_each(folder, replace=self.force))
        counts = job.status().counts
        without = counts.total - counts.succeeded
        why = f" {number(without, 'row')} {'has' if without == 1 else 'have'} no answer: {self._lookup.command('fetch', job.id)}"
        said = f"{number(files, 'answer')} {'is' if files == 1 else 'are'} in {plain(str(folder))}, a file each."
        say(f"{said}{f'{why} brings failed.jsonl.' if without else ''}", ANSWERED)
        out(plain(str(folder)))
        return ANSWERED

    def _fetch_starter(self, job: Job, folder: Path) -> int:
        starter = job.starter(folder, replace=self.force)[0]
        inbox = job.status().input.key.rpartition("/")[0]
        say(
            f"The job waits for a recipe. {plain(str(starter))} is one to begin with: change what it asks, and put it into "
            f"{plain(inbox)}/ of the bucket, where the job finds it; or drop the file again with --recipe.",
            ANSWERED,
        )
        out(plain(str(folder)))
        return ANSWERED

    @property
    def _lookup(self) -> Lookup:
        return Lookup(self.bucket, self.folder)
