"""`make demo`: upload a file, watch the job, download the answers, show a few. Plain S3 calls, as a user would make them."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchdrop.domain import ids, keys
from batchdrop.domain.records import JobState, ObjectRef
from local.consent import Consent, End, Talk
from local.drops import Drop
from local.errors import CannotRun, NobodySaidYes, SaidNo
from local.paths import OUTBOX, shown
from local.summary import side_by_side, summary, tried
from local.system import Say, System

_ASK_SECONDS = 1.0
_REPEAT_SECONDS = 10.0
# A small file becomes a job within two seconds, a large one within less than this.
_PATIENCE_SECONDS = 120.0
_NOT_THERE = "waiting for the job to appear"
# How a function logs that something went wrong: its own lines, and Lambda's about it.
_ERROR = re.compile(r'"level": ?"(?:ERROR|CRITICAL)"|^\[ERROR\]|^Traceback|Task timed out')


@dataclass(frozen=True)
class Dropped:
    """A file in the inbox."""

    drop: Drop
    folder: str
    """where its answers will be"""
    since: datetime
    """S3's time of its upload"""


def run(system: System, drops: Sequence[Drop], consent: Consent, say: Say) -> str:
    """Drops every file, waits for every job and returns what is to be read of all of them.

    Raises CannotRun, after that was said, if a job did not end done or a function logged an error. A file that waits for its
    recipe is no failure. A job that asks, and gets no yes, is canceled: then NobodySaidYes or SaidNo is raised.
    """
    dropped = [put(system, drop, say) for drop in drops]
    ends = [watch(system, one, consent, say) for one in dropped]
    folders = [fetch(system, one) for one in dropped]
    if End.recipe in ends:
        text = "\n\n".join(_about_waiting(one.drop, folder) for one, folder in zip(dropped, folders, strict=True))
    else:
        text = report(folders)
    if problems := [*_not_done(dropped, folders, ends), *_logged_errors(system, dropped[0].since)]:
        raise CannotRun("\n".join([text, "", *problems]))
    for end, refusal in ((End.nobody, NobodySaidYes), (End.no, SaidNo)):
        if end in ends:
            raise refusal(f"{text}\n\nCanceled without a yes: what was tried is delivered, and nothing more is paid.")
    return text


def report(folders: Sequence[Path]) -> str:
    """Of jobs that have ended; with expected answers, how the recipes compare."""
    compared = side_by_side(folders)
    return "\n".join(["\n\n".join(map(summary, folders)), *(["", *compared] if compared else [])])


def put(system: System, drop: Drop, say: Say) -> Dropped:
    """Uploads a file, after its recipe and the documents that it names. The same name again is a new version and a new job."""
    s3, bucket = system.aws.s3(), system.outputs["Bucket"]
    for said in drop.left_out():
        say(f"Left out: {said}.")
    for key, path in drop.before.items():
        say(f"Putting {shown(path)} to {key} ...")
        s3.upload_file(str(path), bucket, key)
    say(f"Dropping {shown(drop.path)} into the inbox of {bucket} ...")
    if drop.starts:
        s3.put_object(Bucket=bucket, Key=drop.key)
    else:
        s3.upload_file(str(drop.path), bucket, drop.key)
    seen = s3.head_object(Bucket=bucket, Key=drop.key)
    ref = ObjectRef(bucket=bucket, key=drop.key, version_id=seen.get("VersionId"), etag=seen["ETag"])
    return Dropped(drop, keys.outbox_folder(drop.key, ids.job_id(ref, seen["LastModified"])), seen["LastModified"])


def watch(system: System, dropped: Dropped, consent: Consent, say: Say) -> End:
    """Reports `status.json` whenever it changes, and answers what it asks, until the manifest is there or the job waits."""
    started = spoken = time.monotonic()
    last, end = "", End.ended
    talk = Talk(consent, lambda: tried(fetch(system, dropped)), lambda key: _command(system, key))
    while not _exists(system, dropped.folder + "manifest.json"):
        status = status_of(system, dropped)
        line = _progress(status)
        now = time.monotonic()
        if status is None and now - started > _PATIENCE_SECONDS:
            raise CannotRun(
                f"No job appeared for {dropped.drop.key}. Read what the functions logged in {system.aws.process.log}."
            )
        if line != last or now - spoken > _REPEAT_SECONDS:
            say(f"  {now - started:5.0f} s  {line}")
            last, spoken = line, now
        if status is not None and status["state"] == JobState.held and end is End.ended:
            end = talk(status, now)
            if end is End.recipe:
                return end
        time.sleep(_ASK_SECONDS)
    if (line := _progress(status_of(system, dropped))) != last:
        say(f"  {time.monotonic() - started:5.0f} s  {line}")
    return end


def _command(system: System, key: str) -> None:
    system.aws.s3().put_object(Bucket=system.outputs["Bucket"], Key=key)


def fetch(system: System, dropped: Dropped) -> Path:
    """Copies the job's folder to `.local/outbox/<same path>`; returns the local folder."""
    s3, bucket = system.aws.s3(), system.outputs["Bucket"]
    target = _inside(OUTBOX, dropped.folder.removeprefix(keys.OUTBOX))
    target.mkdir(parents=True, exist_ok=True)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=dropped.folder):
        for found in page.get("Contents", []):
            s3.download_file(bucket, found["Key"], str(target / found["Key"].rsplit("/", 1)[-1]))
    return target


def _about_waiting(drop: Drop, folder: Path) -> str:
    message = str(json.loads((folder / "status.json").read_text())["message"])
    starter = folder / keys.RECIPES[0]
    if not starter.exists():
        return message
    again = f"make demo FILE={shlex.quote(str(shown(drop.path)))}"
    return (
        f"{message}\n\nHere, the starter is {shown(starter)}. Copy it beside {drop.path.name}, change it, and run {again} again."
    )


def _not_done(dropped: Sequence[Dropped], folders: Sequence[Path], ends: Sequence[End]) -> list[str]:
    found = []
    for one, folder, end in zip(dropped, folders, ends, strict=True):
        if end is End.recipe and one.drop.recipe:
            found.append(f"{one.drop.path.name} waits for a recipe that can be used.")
        elif end is End.ended and (state := json.loads((folder / "manifest.json").read_text())["state"]) != JobState.done:
            found.append(f"The job of {one.drop.path.name} ended {state}.")
    return found


def _logged_errors(system: System, since: datetime) -> list[str]:
    """What the functions have logged as an error, the first line of it."""
    found = errors(system.aws.logged(f"/aws/lambda/{system.stack}-", since))
    more = f" (and {len(found) - 1:,} more)" if found[1:] else ""
    return [f"A function logged an error{more}, all in {system.aws.process.log}:\n{found[0]}"] if found else []


def errors(lines: Iterable[str]) -> list[str]:
    """Those of a function's log that say that something went wrong."""
    return [line for line in lines if _ERROR.search(line)]


def status_of(system: System, dropped: Dropped) -> dict[str, Any] | None:
    if not _exists(system, dropped.folder + "status.json"):
        return None
    body = system.aws.s3().get_object(Bucket=system.outputs["Bucket"], Key=dropped.folder + "status.json")["Body"].read()
    status: dict[str, Any] = json.loads(body, parse_float=Decimal)
    return status


def _progress(status: dict[str, Any] | None) -> str:
    if status is None:
        return _NOT_THERE
    numbers = Counter({name: number for name, number in status["counts"].items() if name != "total"})
    total = status["counts"]["total"]
    finished = f"{numbers.total():,} of {total:,} rows finished. " if total else ""
    return f"{status['state']:<10} {finished}{status['message']}"


def _exists(system: System, key: str) -> bool:
    found = system.aws.s3().list_objects_v2(Bucket=system.outputs["Bucket"], Prefix=key, MaxKeys=1)
    return any(entry["Key"] == key for entry in found.get("Contents", []))


def _inside(root: Path, relative: str) -> Path:
    """A key may contain `..`; the file system must not follow it."""
    target = (root / relative).resolve()
    if not target.is_relative_to(root.resolve()):
        raise CannotRun(f"{relative} would be written outside {root}.")
    return target
