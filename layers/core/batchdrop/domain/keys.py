"""Where things are in the bucket.

inbox/<path>/<name>                                the user's; its first folder is the team
inbox/<path>/recipe.yaml                           the user's, for the files of its folder and below
inbox/<path>/start[-all][/]                        the user's: the documents of the folder are a job
outbox/<path>/<name>/<job id>/<file>               the user's answers
outbox/index.{json,html}                           all jobs, for operators; no team's policy reaches it
outbox/<team>/index.{json,html}                    those of a team
outbox/<path>/<name>/latest.json                   which of these folders is that of the newest job
control/<command>/<path>/<job id>                  the user's commands; the path may be left out unless teams are kept apart
config/{prices,limits,sources}.json                the operators'
work/<job id>/...                                  ours, until the job has ended
"""

from __future__ import annotations

from typing import NamedTuple

from batchdrop.domain import ids

INBOX = "inbox/"
_ALL = "all-"
OUTBOX = "outbox/"
CONTROL = "control/"
WORK = "work/"
CONFIG = "config/"
PRICES = f"{CONFIG}prices.json"
LIMITS = f"{CONFIG}limits.json"
SOURCES = f"{CONFIG}sources.json"

# S3 allows 1,024 bytes of UTF-8 in a key (Amazon S3 user guide, "Naming Amazon S3 objects").
MAX_KEY_BYTES = 1024
RECIPES = ("recipe.yaml", "recipe.yml")
# Folders that are looked through for a recipe: that of the file, and those above it.
MAX_RECIPE_LEVELS = 16
# What Windows, macOS and Excel leave beside files, in lower case, and what we put beside a starter. All are copied with a folder.
_LITTER = ("thumbs.db", "desktop.ini", ".ds_store", "recipe.schema.json")
_LITTER_PREFIXES = ("~$", "._")
START, START_ALL = "start", "start-all"
"""An empty object of that name in a folder makes one job of its documents."""
DOCUMENTS, TEXTS, IMAGES = (".pdf",), (".txt", ".md"), (".png", ".jpg", ".jpeg", ".gif", ".webp")
"""What their names end in. None of them holds rows, but for texts, which do unless a recipe takes them for documents."""
# What an input's name may end in, and its folder of answers does not. A name ends in one of them, and may be packed.
_ENDINGS = (".jsonl", ".csv", ".tsv", ".xlsx")
# `/<job id>/` (30 bytes) and the longest file name (`results.jsonl`) must fit behind the folder.
_TAIL_BYTES = 64


def is_input(key: str) -> bool:
    """Whether an object in the inbox is work: not a recipe, a folder marker, a document, or what programs leave beside files."""
    name = key.rsplit("/", 1)[-1]
    if not name:
        return starts(key) != ""
    return key.startswith(INBOX) and not is_recipe(key) and not is_litter(name) and not is_document(key)


def starts(key: str) -> str:
    """`start` or `start-all` if an object of that key, empty, starts the documents of its folder; else empty.

    The S3 console's "Create folder" writes the slash. At the root of the inbox it would start those of all teams, and is none.
    """
    path, _, name = key.removesuffix("/").rpartition("/")
    return name if name in (START, START_ALL) and path.startswith(INBOX) else ""


def is_document(key: str, *, texts: bool = False) -> bool:
    """Whether it is a PDF or an image by its name, which is never work by itself. `texts`: or a text."""
    endings = (*DOCUMENTS, *IMAGES, *TEXTS) if texts else (*DOCUMENTS, *IMAGES)
    name = name_of(key)
    return key.startswith(INBOX) and key.lower().endswith(endings) and not is_litter(name) and not _is_misnamed(name)


def _is_misnamed(name: str) -> bool:
    """Windows hides the ending that its editor adds to the name of a recipe."""
    return name.lower().removesuffix(".txt") in RECIPES


def is_litter(name: str) -> bool:
    """Whether programs leave a file of that name beside others."""
    return name.lower() in _LITTER or name.startswith(_LITTER_PREFIXES)


def is_recipe(key: str) -> bool:
    return key.startswith(INBOX) and key.rsplit("/", 1)[-1] in RECIPES


def team_of(key: str) -> str:
    """The first folder below the inbox. Files that lie in no folder are a team of their own, with the empty name."""
    team, slash, _ = key.removeprefix(INBOX).partition("/")
    return team if slash else ""


def recipe_keys(input_key: str) -> list[str]:
    """Where the recipe of a file may be, the nearest first: in its folder and those above it, up to that of its team.

    At most so many folders as `MAX_RECIPE_LEVELS`, those nearest to the file. A recipe at the root of the inbox is for files that
    lie there, and for no team's.
    """
    path = _path(input_key).split("/")[:-1]
    depths = range(len(path), max(0, len(path) - MAX_RECIPE_LEVELS), -1) if path else (0,)
    folders = [INBOX + "".join(f"{name}/" for name in path[:depth]) for depth in depths]
    return [key for folder in folders for name in RECIPES if len((key := folder + name).encode()) <= MAX_KEY_BYTES]


def folder_of(input_key: str) -> str:
    """Where a file lies below the inbox: `marketing/eu`, or empty."""
    return _path(input_key).rpartition("/")[0]


def _path(input_key: str) -> str:
    """Below the inbox. Only a start that was created as a folder ends in a slash."""
    return input_key.removeprefix(INBOX).removesuffix("/")


def outbox_folder(input_key: str, job_id: str) -> str:
    """`inbox/a/reviews.jsonl.gz` -> `outbox/a/reviews/<job id>/`. A name too long for S3 is cut, never the job id."""
    return f"{_jobs_folder(input_key)}{job_id}/"


def latest(input_key: str) -> str:
    """Names the newest job of the files whose answers lie in one folder: those that have one name."""
    return f"{_jobs_folder(input_key)}latest.json"


def saved_as(key: str) -> tuple[str, str]:
    """Of a file of a job, for whoever saves it: the name of what was dropped, without its ending, and its own. Else both empty.

    A recipe and its schema keep their names: they go into the inbox as they are.
    """
    folder, _, name = key.rpartition("/")
    jobs_folder, _, job_id = folder.rpartition("/")
    if not key.startswith(OUTBOX) or not ids.is_job_id(job_id) or name.startswith("recipe."):
        return "", ""
    return name_of(jobs_folder), name


def index_folder(team: str) -> str | None:
    """Where the index of a team lies; with the empty name, that of all jobs. None: S3 would not take its key."""
    folder = f"{OUTBOX}{team}/" if team else OUTBOX
    return folder if len(f"{folder}index.json".encode()) <= MAX_KEY_BYTES else None


def _jobs_folder(input_key: str) -> str:
    name = _without(_without(_path(input_key), (".gz",)), _ENDINGS)
    room = MAX_KEY_BYTES - len(OUTBOX) - _TAIL_BYTES
    name = name.encode()[:room].decode(errors="ignore")
    return f"{OUTBOX}{name}/"


def _without(name: str, endings: tuple[str, ...]) -> str:
    """A name that is nothing but an ending keeps it."""
    for ending in endings:
        if name.lower().endswith(ending) and len(name.rsplit("/", 1)[-1]) > len(ending):
            return name[: -len(ending)]
    return name


def name_of(key: str) -> str:
    """The last part: what people call the file."""
    return key.removesuffix("/").rsplit("/", 1)[-1]


def how_to_start(folder: str) -> str | None:
    """What tells whoever puts documents into a folder below the inbox how they become a job. None: S3 would not take its key."""
    key = "/".join(filter(None, (OUTBOX.removesuffix("/"), folder, "how-to-start.txt")))
    return key if len(key.encode()) <= MAX_KEY_BYTES else None


def work_folder(job_id: str) -> str:
    return f"{WORK}{job_id}/"


def retried_input(input_key: str, job_id: str) -> str:
    """The same for the same job: a command delivered twice writes one object once."""
    folder = outbox_folder(input_key, job_id).removeprefix(OUTBOX)
    return f"{INBOX}{folder.rsplit('/', 2)[0]}.retry-of-{job_id}.jsonl"


def retry_checkpoint(job_id: str) -> str:
    return f"{WORK}{job_id}/retry"


def whole_checkpoint(job_id: str) -> str:
    return f"{WORK}{job_id}/complete"


def whole_table_checkpoint(job_id: str) -> str:
    return f"{WORK}{job_id}/complete-csv"


def run_of_rows(job_id: str, offset: int) -> str:
    """Rows from that byte of the answers on, sorted. The same ones, whoever sorts them."""
    return f"{WORK}{job_id}/sorted-{offset:012d}"


def ids_of_plan(job_id: str, offset: int) -> str:
    """The custom ids of all lines before that byte of the source. Never overwritten with those of more lines."""
    return f"{WORK}{job_id}/ids-{offset:012d}"


def part(job_id: str, batch_name: str, run: str, name: str, suffix: str = "jsonl") -> str:
    """`run` is different each time a batch is collected: two runs at once may have seen different results."""
    return f"{WORK}{job_id}/{batch_name}/{name}-{run}.{suffix}"


def unpacked(job_id: str) -> str:
    """The copy of a packed file."""
    return f"{WORK}{job_id}/input.jsonl"


def documents(job_id: str, recipe: str) -> str:
    """The list of a folder's documents that a job takes. Another recipe may take others."""
    return f"{WORK}{job_id}/documents-{recipe}.jsonl"


def documents_checkpoint(job_id: str, recipe: str) -> str:
    return f"{WORK}{job_id}/documents-{recipe}"


def taken(document: str, turn: int) -> str:
    """Which job has taken a document; `turn`: the first one, or a later one since those before it brought no answer."""
    return f"{WORK}taken/{document}/{turn}"


def listed_documents(input_key: str, job_id: str) -> str:
    """The same list beside the answers, for people and for the audit."""
    return f"{outbox_folder(input_key, job_id)}documents.jsonl"


def rendered(job_id: str, recipe: str) -> str:
    """The lines made of a file's rows. What was made with one version of a recipe is not taken for that of another."""
    return f"{WORK}{job_id}/rows-{recipe}.jsonl"


def with_files(job_id: str) -> str:
    """The lines of a file of requests, with what is known of the files that they name."""
    return f"{WORK}{job_id}/named-files.jsonl"


def render_checkpoint(job_id: str, recipe: str) -> str:
    return f"{WORK}{job_id}/rendered-{recipe}"


def table_header(job_id: str, name: str) -> str:
    """The first line of `results.csv` or `failed.csv`."""
    return f"{WORK}{job_id}/header-{name}"


def form(job_id: str) -> str:
    """What the stages behind `plan` need to know of a job with a recipe."""
    return f"{WORK}{job_id}/form.json"


def command_key(command: str, input_key: str, last: str) -> str:
    """The command of that name about a file's job, or about `all-` of its folder. `last`: what it ends in, a code with it.

    The folder stands in it, because IAM keeps teams apart by prefixes; it is left out only where S3 would not take the key.
    """
    short = f"{CONTROL}{command}/{last}"
    long = "/".join(filter(None, (f"{CONTROL}{command}", folder_of(input_key), last)))
    return long if len(long.encode()) <= MAX_KEY_BYTES else short


class Command(NamedTuple):
    name: str
    job_id: str
    """Empty: it is for all files of the folder that ask together."""
    code: str = ""
    """Of the question that it answers."""
    folder: str | None = None
    """Below the inbox: the command is for jobs whose file lies there or below."""


def command_of(control_key: str) -> Command | None:
    """`control/cancel/<job id>` -> `Command("cancel", "<job id>")`; None for a key that has not that shape.

    The job id may end in the code of a question, and the key in a slash, as the console's "Create folder" writes it. A folder may
    stand before the job id: control/approve/<folder>/<job id>-<code>. `all-<code>` in the place of a job id answers for a folder.
    """
    if not control_key.startswith(CONTROL):
        return None
    name, _, rest = control_key.removeprefix(CONTROL).removesuffix("/").partition("/")
    folder, slash, last = rest.rpartition("/")
    if name == "approve" and last.startswith(_ALL) and ids.is_code(last.removeprefix(_ALL)):
        return Command(name, "", last.removeprefix(_ALL), folder)
    asked = ids.answered(last)
    return None if asked is None else Command(name, *asked, folder if slash else None)


def is_below(input_key: str, folder: str | None) -> bool:
    """Whether a command for this folder is for that file. Compared as it is written."""
    return folder is None or input_key.startswith(f"{INBOX}{folder}/")
