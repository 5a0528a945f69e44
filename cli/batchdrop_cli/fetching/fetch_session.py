"""Find the job, and bring here what it has left."""

from __future__ import annotations

from pathlib import Path

import msgspec

from batchdrop_cli.amounts_said import number
from batchdrop_cli.dropping.shown_progress import transfer
from batchdrop_cli.ending import CannotUse
from batchdrop_cli.exit_codes import ANSWERED, STOPPED, USAGE
from batchdrop_cli.terminal import out, say
from batchdrop_client.job import Job
from batchdrop_client.plain_text import plain
from batchdrop_client.stack import Stack

_FILES = (".csv", ".jsonl")


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
        try:
            if self.each:
                return self._fetch_each(job, path)
            with transfer("downloading", 0 if is_file else job.size()) as come:
                if is_file:
                    job.save(path, replace=self.force, come=come)
                else:
                    job.download(path, replace=self.force, come=come)
        except KeyboardInterrupt:
            raise CannotUse("Stopped. The same command goes on.", STOPPED) from None
        except OSError as error:
            raise CannotUse(f"{plain(str(error.filename or path))} cannot be written: {error.strerror or error}.") from None
        out(plain(str(path)))
        return ANSWERED

    def _fetch_each(self, job: Job, folder: Path) -> int:
        files = sum(1 for _ in job.download_each(folder, replace=self.force))
        say(f"{number(files, 'answer')} {'is' if files == 1 else 'are'} in {plain(str(folder))}, a file each.", ANSWERED)
        out(plain(str(folder)))
        return ANSWERED
