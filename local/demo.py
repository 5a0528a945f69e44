"""`make demo`: upload a file, watch the job, download the answers, show a few. Plain S3 calls, as a user would make them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from batchdrop.domain import ids, keys
from batchdrop.domain.records import JobState, ObjectRef
from local.errors import CannotRun
from local.paths import OUTBOX, shown
from local.system import Say, System

_ASK_SECONDS = 1.0
_REPEAT_SECONDS = 10.0
_SHOWN = 5
# A small file becomes a job within two seconds, a large one within less than this.
_PATIENCE_SECONDS = 120.0
_NOT_THERE = "waiting for the job to appear"


@dataclass(frozen=True)
class Dropped:
    """A file in the inbox."""

    key: str
    folder: str
    """where its answers will be"""


def drop(system: System, path: Path) -> Dropped:
    """Uploads a file to `inbox/<its name>`. The same name again is a new version and a new job."""
    s3, bucket, key = system.aws.s3(), system.outputs["Bucket"], f"{keys.INBOX}{path.name}"
    s3.upload_file(str(path), bucket, key)
    seen = s3.head_object(Bucket=bucket, Key=key)
    ref = ObjectRef(bucket=bucket, key=key, version_id=seen.get("VersionId"), etag=seen["ETag"])
    return Dropped(key, keys.outbox_folder(key, ids.job_id(ref, seen["LastModified"])))


def watch(system: System, dropped: Dropped, say: Say) -> None:
    """Reports `status.json` whenever it changes, until the manifest is there."""
    started = spoken = time.monotonic()
    last = ""
    while not _exists(system, dropped.folder + "manifest.json"):
        line = _progress(system, dropped)
        now = time.monotonic()
        if line == _NOT_THERE and now - started > _PATIENCE_SECONDS:
            raise CannotRun(f"No job appeared for {dropped.key}. Read what the functions logged in {system.aws.process.log}.")
        if line != last or now - spoken > _REPEAT_SECONDS:
            say(f"  {now - started:5.0f} s  {line}")
            last, spoken = line, now
        time.sleep(_ASK_SECONDS)
    if (line := _progress(system, dropped)) != last:
        say(f"  {time.monotonic() - started:5.0f} s  {line}")


def fetch(system: System, dropped: Dropped) -> Path:
    """Copies the job's folder to `.local/outbox/<same path>`; returns the local folder."""
    s3, bucket = system.aws.s3(), system.outputs["Bucket"]
    target = _inside(OUTBOX, dropped.folder.removeprefix(keys.OUTBOX))
    target.mkdir(parents=True, exist_ok=True)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=dropped.folder):
        for found in page.get("Contents", []):
            s3.download_file(bucket, found["Key"], str(target / found["Key"].rsplit("/", 1)[-1]))
    return target


def summary(folder: Path) -> str:
    """What a person wants to know first: the counts, why the file was rejected, some answers, why rows failed, the files."""
    manifest = json.loads((folder / "manifest.json").read_text())
    parts = [
        f"{manifest['state']}: {_rows_by_status(manifest['counts'])}",
        *([manifest["message"]] if manifest["state"] == JobState.rejected else []),
        *_answers(folder),
        *_failures(folder),
        "",
        f"Files in {shown(folder)}:",
        *(f"  {path.name}" for path in sorted(folder.iterdir())),
    ]
    return "\n".join(parts)


def _rows_by_status(counts: dict[str, int]) -> str:
    if not counts["total"]:
        return "no rows"
    ends = ", ".join(f"{number:,} {name}" for name, number in counts.items() if name != "total" and number)
    return f"{counts['total']:,} {'row' if counts['total'] == 1 else 'rows'}: {ends}"


def _answers(folder: Path) -> list[str]:
    shown = [
        f"  line {row['line']:>4}  {row['custom_id']}: {_text(row)}" for row in islice(_rows(folder / "results.jsonl"), _SHOWN)
    ]
    return ["", "First answers:", *shown] if shown else []


def _failures(folder: Path) -> list[str]:
    shown = [_failure(row["_batchdrop"]) for row in islice(_rows(folder / "failed.jsonl"), _SHOWN)]
    return ["", "First failures:", *shown] if shown else []


def _failure(note: dict[str, Any]) -> str:
    return f"  line {note['line']:>4}  {note['status']}: {note['error']['message']}"


def _text(row: dict[str, Any]) -> str:
    content = row["result"].get("message", {}).get("content", [])
    text = " ".join(block.get("text", f"({block.get('type')})") for block in content)
    return text if len(text) <= 80 else text[:77] + "..."


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _progress(system: System, dropped: Dropped) -> str:
    if not _exists(system, dropped.folder + "status.json"):
        return _NOT_THERE
    body = system.aws.s3().get_object(Bucket=system.outputs["Bucket"], Key=dropped.folder + "status.json")["Body"].read()
    status = json.loads(body)
    numbers = Counter({name: number for name, number in status["counts"].items() if name != "total"})
    return f"{status['state']:<10} {numbers.total():,} of {status['counts']['total']:,} rows finished. {status['message']}"


def _exists(system: System, key: str) -> bool:
    found = system.aws.s3().list_objects_v2(Bucket=system.outputs["Bucket"], Prefix=key, MaxKeys=1)
    return any(entry["Key"] == key for entry in found.get("Contents", []))


def _inside(root: Path, relative: str) -> Path:
    """A key may contain `..`; the file system must not follow it."""
    target = (root / relative).resolve()
    if not target.is_relative_to(root.resolve()):
        raise CannotRun(f"{relative} would be written outside {root}.")
    return target
