"""Where things are in the bucket.

inbox/<path>/<name>.jsonl[.gz]                     the user's
outbox/<path>/<name>/<job id>/<file>               the user's answers
control/<command>/<job id>                         the user's commands
work/<job id>/...                                  ours, until the job has ended
"""

from __future__ import annotations

from typing import NamedTuple

from batchdrop.domain.ids import is_job_id

INBOX = "inbox/"
OUTBOX = "outbox/"
CONTROL = "control/"
WORK = "work/"

# S3 allows 1,024 bytes of UTF-8 in a key (Amazon S3 user guide, "Naming Amazon S3 objects").
MAX_KEY_BYTES = 1024
# `/<job id>/` (30 bytes) and the longest file name (`results.jsonl`) must fit behind the folder.
_TAIL_BYTES = 64


def is_input(key: str) -> bool:
    """Whether an object in the inbox is work: a recipe and a folder marker are not."""
    return key.startswith(INBOX) and not key.endswith("/") and key.rsplit("/", 1)[-1] != "recipe.yaml"


def outbox_folder(input_key: str, job_id: str) -> str:
    """`inbox/a/reviews.jsonl.gz` -> `outbox/a/reviews/<job id>/`. A name too long for S3 is cut, never the job id."""
    name = input_key.removeprefix(INBOX)
    for suffix in (".gz", ".jsonl"):
        if name.lower().endswith(suffix) and len(name.rsplit("/", 1)[-1]) > len(suffix):
            name = name[: -len(suffix)]
    room = MAX_KEY_BYTES - len(OUTBOX) - _TAIL_BYTES
    name = name.encode()[:room].decode(errors="ignore")
    return f"{OUTBOX}{name}/{job_id}/"


def work_folder(job_id: str) -> str:
    return f"{WORK}{job_id}/"


def retried_input(input_key: str, job_id: str) -> str:
    """The same for the same job: a command delivered twice writes one object once."""
    folder = outbox_folder(input_key, job_id).removeprefix(OUTBOX)
    return f"{INBOX}{folder.rsplit('/', 2)[0]}.retry-of-{job_id}.jsonl"


def retry_checkpoint(job_id: str) -> str:
    return f"{WORK}{job_id}/retry"


def ids_of_plan(job_id: str, offset: int) -> str:
    """The custom ids of all lines before that byte of the source. Never overwritten with those of more lines."""
    return f"{WORK}{job_id}/ids-{offset:012d}"


def part(job_id: str, batch_name: str, run: str, name: str) -> str:
    """`run` is different each time a batch is collected: two runs at once may have seen different results."""
    return f"{WORK}{job_id}/{batch_name}/{name}-{run}.jsonl"


class Command(NamedTuple):
    name: str
    job_id: str


def command_of(control_key: str) -> Command | None:
    """`control/cancel/<job id>` -> `Command("cancel", "<job id>")`; None for a key that has not that shape."""
    parts = control_key.removeprefix(CONTROL).split("/")
    if not control_key.startswith(CONTROL) or len(parts) != 2 or not is_job_id(parts[1]):
        return None
    return Command(*parts)
