"""Every sentence that a person reads about a job or a row that was sent, in one place.

What is wrong with a line that is never sent is said where the line is checked: in `formats.input_line`, `formats.gzip_stream`
and, for a repeated custom id, the check of the plan stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from batchdrop.domain.answer_counts import Told
from batchdrop.domain.call_headers import VERSION, NotAllowed
from batchdrop.domain.errors import Refused, Unavailable
from batchdrop.domain.folder_start import is_start
from batchdrop.domain.keys import INBOX, folder_of, name_of, outbox_folder
from batchdrop.domain.money import MOST_CLASSES, OTHERS
from batchdrop.domain.open_work import APPROVAL, RECIPE
from batchdrop.domain.purses import Scope
from batchdrop.domain.records import Expected, GroupQuestion, Job, JobState, Question, Streak, Unsent
from batchdrop.domain.redelivery import TELL_CUT_OFF, cut_off
from batchdrop.domain.refusals import Cause, ends_at
from batchdrop.domain.retries import ANSWER_AWAITED, ANSWERS_AWAITED, ANSWERS_AWAITED_AFTER_CANCEL, RECIPE_AWAITED, RESULTS_KEPT
from batchdrop.formats.invalid_line import shown
from batchdrop.money.amounts import dollars

_LOG_OF = "An operator finds the reason in the log of the function {}."

# ---------------------------------------------------------------- where a job stands

WAITS_FOR_YOU = "waiting for you"
_WORDS = {
    JobState.planning: "reading",
    JobState.held: WAITS_FOR_YOU,
    JobState.running: "running",
    JobState.finishing: "running",
    JobState.done: "done",
    JobState.rejected: "rejected",
    JobState.canceled: "stopped",
}


def name_of_job(job: Job) -> str:
    """What people call it: the name of its file, or of the folder whose documents it has."""
    return f"{name_of(folder_of(job.input.key))}/" if is_start(job.input) else name_of(job.input.key)


def word_of(job: Job) -> str:
    return word(job.state, job.needs, job.counts.succeeded)


def word(state: JobState, needs: str, answered: int) -> str:
    """The state in the word that people use. A job that is done without an answer is not called done.

    `needs`: of a held job. `answered`: rows.
    """
    if state is JobState.held and needs not in (RECIPE, APPROVAL):
        return "waiting"
    if state is JobState.done and not answered:
        return "no answers"
    return _WORDS[state]


def state_of(job: Job, notice: str = "") -> str:
    """Where the job stands, for the person who uploaded the file. `notice`: why nothing is being submitted, if so."""
    match job.state:
        case JobState.planning:
            text = _planning(job)
        case JobState.held:
            text = _held(job)
        case JobState.running:
            text = _running(job)
        case JobState.finishing:
            text = _finishing(job)
        case JobState.done:
            text = done(job)
        case JobState.rejected:
            text = job.reason
        case JobState.canceled:
            text = canceled(job) if job.reason in ("", CANCEL_REQUESTED) else f"{canceled(job)} {job.reason}"
    if job.batches_incomplete:
        text = f"{text} {_incomplete(job)}"
    unsent = job.state in (JobState.planning, JobState.running) and job.batches_ended < max(job.batches_total, 1)
    streak = refused_so_far(job.streak) if job.state is JobState.running and job.streak is not None else ""
    doubt = job.doubt if job.state is JobState.running else ""
    waits = job.out_of_reach if job.state in (JobState.running, JobState.held) else ""
    saved = _saved(job) if notice == STOPPED and unsent else ""
    trouble = "" if job.finished_at else _cut_off(job)
    return " ".join(
        part for part in (text, trouble, waits, streak, doubt, notice if unsent else "", saved, job.warnings, job.note) if part
    )


def _running(job: Job) -> str:
    if job.cancel_requested:
        return job.reason if job.overdue else "Stopping: answers that Anthropic has given are still delivered."
    if job.warming:
        return "One row is sent first, so that the others find cached what all of them begin with."
    if job.trying:
        return (
            f"Some of the {_plural(job.counts.total, 'row')} are tried first, to see the answers and what the others will cost."
        )
    answered, without = job.counts.succeeded, job.counts.finished - job.counts.succeeded
    lost = f", {without:,} will have none" if without else ""
    usual = "" if job.counts.finished or job.out_of_reach else "; most files are done within an hour"
    spent = f", for {dollars(job.spent)}" if job.spent else ""
    until = f" What has no answer by {_minute(job.due_at)} is given up." if job.due_at is not None else ""
    if job.counts.finished < job.tried:
        # They are counted with the rows around them.
        were = _were(job.tried)
        tried = f"{job.tried:,} of {_plural(job.counts.total, 'row')} {were} tried{spent}, and the others are asked"
        return f"{tried}{usual}.{until}"
    return f"{answered:,} of {_plural(job.counts.total, 'row')} {_have(answered)} an answer so far{lost}{spent}{usual}.{until}"


def _saved(job: Job) -> str:
    if job.expected is None:
        return ""
    left = max(0, job.expected.high - job.used)
    return f"Of the {dollars(job.expected.high)} that this file may have cost, {dollars(left)} is not spent." if left else ""


def _held(job: Job) -> str:
    group = job.group
    if group is None:
        return job.reason
    if group.leader != job.id:
        return f"{job.reason} Other files of its folder wait with it: one answer for all of them stands with job {group.leader}."
    files, rows = len(group.covers), _plural(group.rows, "row")
    return (
        f"{files:,} files of this folder wait with the same recipe: their {rows} will cost {cost_range(group)}. The code "
        f"{group.code} lets all of them go. This file: {job.reason}"
    )


def refused_so_far(streak: Streak) -> str:
    answer = f"{streak.status} {streak.error_type} ({streak.message})"
    if not streak.waits:
        return f"Anthropic refused rows of this file: {answer}."
    return (
        f"Since {streak.since:%Y-%m-%d %H:%M} UTC Anthropic has refused everything of this file that was sent: {answer}. "
        "Some of its rows at a time are tried until they are accepted. "
        f"Rows that are still refused on {ends_at(streak):%Y-%m-%d} end without an answer and are not billed."
    )


def _incomplete(job: Job) -> str:
    days = (ANSWERS_AWAITED_AFTER_CANCEL if job.cancel_requested else ANSWERS_AWAITED).days
    return (
        "Anthropic has not yet delivered every answer to rows of this file that it counts: Batchdrop "
        f"looks again for up to {_plural(days, 'day')}, and sends none of the rows without an answer again meanwhile."
    )


def _planning(job: Job) -> str:
    if job.bytes_done and job.bytes_done == job.bytes_total:
        return f"Making requests of the rows: {_size(job.bytes_done)} so far."
    if job.bytes_done:
        return f"Unpacking the file: {_size(job.bytes_done)} of about {_size(job.bytes_total)} so far."
    return "Reading and checking the file" + (f", try {job.tries}." if job.tries > 1 else ".")


def _cut_off(job: Job) -> str:
    planning = job.state is JobState.planning
    times = cut_off(job.tries, job.errors) if planning else job.cut_off
    if times < TELL_CUT_OFF:
        return ""
    function = "plan" if planning else job.cut_off_in
    return f"{times} invocations of the function {function} were cut off; it is tried again. {_LOG_OF.format(function)}"


def _finishing(job: Job) -> str:
    so_far = f": {_size(job.bytes_done)} of {_size(job.bytes_total)} so far" if job.bytes_done else ""
    return f"Every row has come to its end; the files are being put together{so_far}."


def deadline_passed(job: Job) -> str:
    return f"{_deadline(job)} has passed: what has no answer by then is given up, and what was answered is delivered."


def not_sent_by_deadline(job: Job) -> str:
    return f"{_deadline(job)} passed before this row was sent."


def not_answered_by_deadline(job: Job) -> str:
    return f"{_deadline(job)} passed before this request was processed."


def _deadline(job: Job) -> str:
    return f"The deadline of the job ({shown(job.deadline)}: {_minute(job.due_at)})" if job.due_at else "The deadline of the job"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def done(job: Job) -> str:
    parts = [_done(job), _copied(job)]
    if job.overdue and job.counts.canceled:
        parts.append(f"{_deadline(job)} passed before {_plural(job.counts.canceled, 'row')} had an answer.")
    return " ".join(filter(None, parts))


def _done(job: Job) -> str:
    total, answered = job.counts.total, job.counts.succeeded
    failed = total - answered - job.rows_lost
    took = f" {_took(job)}"
    if job.rows_lost:
        others = f"; {failed:,} {_do(failed)} not: see {failed_file(job)}" if failed else ""
        return (
            f"{answered:,} of {_plural(total, 'row')} {_have(answered)} an answer{others}. {_lost(job.rows_lost)}{took}".rstrip()
        )
    if not failed:
        all_of = "The row has" if total == 1 else f"All {total:,} rows have"
        return f"{all_of} an answer.{took}".rstrip()
    if not answered:
        none = "The row has no answer" if total == 1 else f"None of the {total:,} rows has an answer"
        return f"{none}: see {failed_file(job)} for the reason.{took}".rstrip()
    return (
        f"{answered:,} of {total:,} rows {_have(answered)} an answer; {failed:,} {_do(failed)} not: see {failed_file(job)}.{took}"
    ).rstrip()


def _took(job: Job) -> str:
    """Time and money, as far as they are known."""
    took = span(job.finished_at - job.created_at) if job.finished_at else ""
    said = ", ".join(filter(None, (took, dollars(job.spent) if job.spent else "")))
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def span(time: timedelta) -> str:
    """How long something took, for people."""
    minutes = round(time.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return _plural(minutes, "minute")
    return _plural(round(minutes / 60), "hour") if minutes < 48 * 60 else _plural(round(minutes / 60 / 24), "day")


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _do(number: int) -> str:
    return "does" if number == 1 else "do"


_SHARED = "ask for the same as another row, end as it does and cost"


def _copied(job: Job) -> str:
    if not job.rows_copied:
        return ""
    ask = "asks for the same as another row, ends as it does and costs" if job.rows_copied == 1 else _SHARED
    return f"{_plural(job.rows_copied, 'row')} {ask} nothing."


def failed_file(job: Job) -> str:
    """Where its rows without an answer are, for people: who dropped a table looks for one."""
    return "failed.csv" if job.kind in ("csv", "xlsx") and NO_TABLES not in job.note else "failed.jsonl"


def _lost(rows: int) -> str:
    are = "is in no file and counts" if rows == 1 else "are in no file and count"
    return (
        f"{_plural(rows, 'row')} {are} as missing: objects under work/ were deleted before the job had ended. "
        "Anthropic keeps answers for 29 days: an operator can download them by the ids in manifest.json."
    )


NO_TABLES = (
    "There is no results.csv: objects under work/ were deleted before the job had ended. Every row is in results.jsonl or "
    "failed.jsonl, except those counted as lost."
)


_NO_WHOLE_TABLE = "so there will be no complete.csv and no complete.jsonl."
SEVERAL_TABLES = (
    f"The rows name more than one earlier job, {_NO_WHOLE_TABLE} For them, drop the failed rows of one job at a time."
)
ROWS_OF_NO_TABLE = (
    f"Some rows name no row of an earlier job, {_NO_WHOLE_TABLE} For them, leave batchdrop_job and batchdrop_row as they are."
)
NO_SUCH_TABLE = (
    f"The rows name rows that no earlier job of this folder has, {_NO_WHOLE_TABLE} For them, drop the failed rows into the "
    "folder of the file that they are from, once its job has ended."
)
TABLE_GONE = "There is no complete.csv and no complete.jsonl: the files of the earlier job that they would be made of are gone."
ROWS_WITHOUT_PLACE = (
    "There is no complete.csv and no complete.jsonl: the file was deleted before its answers came, so nobody knows which rows of "
    "the earlier job they belong to."
)


def completed(rows: int, answered: int, first: str, *, table: bool) -> str:
    files = "complete.csv and complete.jsonl have" if table else "complete.jsonl has"
    return f"{files} the whole table of job {first}: {answered:,} of {_plural(rows, 'row')} have an answer."


def table_in_parts(most: int) -> str:
    return (
        f"The whole table would have more than {most // 10**9:,} GB, so there is no complete.csv and no complete.jsonl: "
        "complete.parts in manifest.json names the files that it is in, later ones before earlier ones."
    )


def table_behind(job_id: str) -> str:
    return (
        f"Job {job_id}, which this one goes on with, has no whole table, so there is no complete.csv and no complete.jsonl here "
        "either: complete.parts in manifest.json names the files that it is in, later ones before earlier ones."
    )


def rows_named_twice(rows: int) -> str:
    are = "is" if rows == 1 else "are"
    return f"{_plural(rows, 'row')} of the earlier job {are} in the file more than once: the last answer counts."


def rows_of_no_number(rows: int) -> str:
    has = "1 row has a number" if rows == 1 else f"{rows:,} rows have numbers"
    return f"{has} that no row of the earlier job has: they are in the files of this job alone."


def canceled(job: Job) -> str:
    total, answered = job.counts.total, job.counts.succeeded
    if not total:
        return "Stopped before a row of the file was read; nothing was sent."
    start = f"Stopped: {answered:,} of {_plural(total, 'row')} {_have(answered)} an answer"
    paid = f" {dollars(job.spent)}." if job.spent else ""
    if job.rows_lost:
        return f"{start}; others are in {failed_file(job)}. {_lost(job.rows_lost)}{paid}"
    rest = total - answered
    if successor_of(job):
        return f"{start}.{paid}"
    others = f"; the other {rest:,} {_do(rest)} not: see {failed_file(job)}" if rest else ""
    return " ".join(filter(None, (f"{start}{others}.{paid}", _copied(job))))


# ---------------------------------------------------------------- what is not known of a batch that was sent

SENT_WITH_ANOTHER_KEY = (
    "Rows were sent with an API key that has been replaced since, and Anthropic's response was lost. "
    "The new key may belong to another workspace, which does not show them, so they are not sent again. "
    "To fix it, an operator puts a key of the former workspace into the stack's secret until this message is gone. "
    "Otherwise these rows end as missing 29 days after they were sent."
)


def sent_without_answer(times: int, next_at: datetime | None) -> str:
    """`times`: how often a batch of the job was sent and left no trace."""
    when = f" from {next_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC on" if next_at else ""
    return (
        f"Rows were sent {_times(times)} without a response, and Anthropic does not list them; they are sent again{when}. "
        "If this goes on, see whether Anthropic reports an incident, have an operator read the log of submit, or cancel the job."
    )


# ---------------------------------------------------------------- why a file was rejected

DELETED_BEFORE_READING = "The file was deleted before it could be read. Nothing was sent; upload it again to run it."
DELETED_WHILE_READING = "The file was deleted while it was being read. Nothing was sent; upload it again to run it."
_SPLIT_IT = "Nothing was sent; split it and upload the parts."
TOO_MANY_CUSTOM_IDS = f"The file has more custom_id values than this stack can check for duplicates. {_SPLIT_IT}"
COMMAND_NOT_DONE = (
    f"The last command was tried {TELL_CUT_OFF} times and could not be carried out; it is tried again. "
    f"{_LOG_OF.format('control')}"
)


def not_planned(tries: int) -> str:
    return (
        f"The file could not be read: {tries} tries failed or were cut off. Nothing was sent; "
        "ask the stack's operator for the reason, which is in the log of the function plan, then upload it again."
    )


def not_allowed(refused: NotAllowed) -> str:
    return (
        f"The metadata of the file asks for {_asked(refused)}. Nothing was sent; upload the file without it, or have an operator "
        f"add it to the {_allowing(refused)} parameter of the stack and upload the file again."
    )


def _asked(refused: NotAllowed) -> str:
    allowed = ", ".join(refused.allowed) or "none"
    return f"{refused.name} {shown(refused.value)}, which this stack does not allow (allowed: {allowed})"


def _allowing(refused: NotAllowed) -> str:
    return "AllowedApiVersions" if refused.name == VERSION else "AllowedBetas"


def unreadable(code: str, *, storage_class: str = "", kms_key: str = "") -> str:
    """`code` is S3's answer to a read."""
    if code == "InvalidObjectState":
        archive = f"storage class {storage_class}" if storage_class else "an archived storage class"
        return f"The file could not be read: it is in {archive}. Nothing was sent; upload it in the storage class STANDARD."
    start = f"The file could not be read: S3 answered {code}. Nothing was sent;"
    if kms_key:
        return (
            f"{start} have an operator allow this stack's functions to use its KMS key {kms_key}, or upload it without that key."
        )
    return f"{start} have an operator check that this stack's functions may read it and use its KMS key, then upload it again."


def too_large(limit: int) -> str:
    return f"The file is larger than {limit:,} bytes, this stack's limit. {_SPLIT_IT}"


def decompressed_too_large(limit: int) -> str:
    return f"The file decompresses to more than {limit:,} bytes, this stack's limit. {_SPLIT_IT}"


def rendered_too_large(limit: int) -> str:
    return f"The requests that the recipe makes of the file have more than {limit:,} bytes, this stack's limit. {_SPLIT_IT}"


def unpacking_takes_too_long(done: int) -> str:
    return (
        f"The file takes too long to unpack: the time of one invocation is over after {_size(done)}. Nothing was sent; upload it "
        "unpacked, or split it and upload the parts."
    )


def no_rows(lines: int) -> str:
    if not lines:
        return "The file is empty; nothing was sent."
    which = "its only line is" if lines == 1 else f"all of its {lines:,} lines are"
    return f"The file has no rows: {which} blank; nothing was sent."


def no_valid_rows(job: Job) -> str:
    rows, where = job.counts.total, failed_file(job)
    if rows == 1:
        return f"The only row cannot be sent; {where} gives the reason."
    return f"None of the {rows:,} rows can be sent; {where} gives the reason for each."


def too_many_batches(most: int, rows: int) -> str:
    """`rows`: in as many batches as there may be."""
    makes = f"The file makes more than {most:,} parts, the most that a job may have: its first {rows:,} rows make as many."
    return f"{makes} {_SPLIT_IT}"


# ---------------------------------------------------------------- what a file waits for

NOT_HIGH = (
    "It asks for high priority, which the stack's parameter HighPriorityFolders does not allow for its folder; it runs as normal."
)


def waits_in_line(team: str, most: int) -> str:
    where = f"of the folder {shown(team)}" if team else "in no folder"
    return (
        f"Waiting in line: {_plural(most, 'file')} {where} may be open at a time, and as many are. It goes on by itself when "
        "others have ended, and need not be uploaded again."
    )


_NO_RECIPE = "Waiting for a recipe that says what to ask about each row."


def has_no_recipe(job: Job) -> bool:
    """It has a starter beside it. Of another one that waits for a recipe, the one that it has found is at fault."""
    return job.reason.startswith(_NO_RECIPE)


def waits_for_recipe(input_key: str, columns: Sequence[str] = ()) -> str:
    """`input_key`: of a file that finds none."""
    folder = INBOX + "".join(f"{name}/" for name in input_key.removeprefix(INBOX).split("/")[:-1])
    above = " or a folder above it" if folder.count("/") > len(("inbox", "team")) else ""
    has = f" Columns of the file: {shown(', '.join(columns))}." if columns else ""
    return (
        f"{_NO_RECIPE}{has} A starter, recipe.yaml, is beside this file: change "
        f"its prompt and put it into {shown(folder)}{above}. The file then runs; it need not be uploaded again."
    )


def recipe_reads_no_files(key: str) -> str:
    """`key`: of the recipe of a folder whose documents were started."""
    return faulty_recipe(
        f'{shown(key)} reads no files. To ask about each document of the folder, add documents: ["{{{{ path }}}}"], or '
        'images: ["{{ path }}"] for images.'
    )


def no_documents(folder: str) -> str:
    return (
        f"Nothing was sent or paid: in {shown(folder)} there is no document that the recipe reads. Put in PDFs, or what else it "
        "names, and create start again."
    )


_HAVE_BEEN_STARTED = "Nothing was sent or paid a second time:"


def documents_taken(folder: str, documents: int, newest: Job, *, several: bool) -> str:
    """Why a start has found nothing. `newest`: of the jobs that have the documents."""
    all_of = "the document" if documents == 1 else f"all {documents:,} documents"
    has, new = ("is", "a new one") if documents == 1 else ("are", "new ones")
    where = "earlier jobs, the newest of which is" if several else "job"
    status = f"{outbox_folder(newest.input.key, newest.id)}status.json"
    return (
        f"{_HAVE_BEEN_STARTED} {all_of} of {shown(folder)} {has} in {where} {newest.id} ({word_of(newest)}). How it stands is in "
        f"{shown(status)}. For {new}, put them in and create start again."
    )


def were_started(reason: str) -> bool:
    """Whether a start was rejected since others have its documents."""
    return reason.startswith(_HAVE_BEEN_STARTED)


def is_a_document(key: str) -> str:
    """Of a text that lay there before the recipe, which reads documents."""
    return (
        f"Nothing was sent or paid: the recipe reads documents, and {shown(key)} is one of them. To ask about each document of "
        "the folder, create the folder start in it."
    )


def text_before_its_recipe(key: str) -> str:
    """Of a text without rows, where no recipe reads documents."""
    return (
        f"Nothing was sent or paid: {shown(key)} holds text, and no rows. To ask about each document of the folder, put a recipe "
        'into it that reads them, with documents: ["{{ path }}"], and create the folder start in it.'
    )


def foreign_file(key: str, what: str) -> str:
    """`what`: it is, and what to do."""
    return f"Nothing was sent or paid: {shown(key)} holds no rows. {what}"


def misnamed_recipe(key: str) -> str:
    return (
        f"Nothing was sent or paid: {shown(key)} looks like a recipe. Name it recipe.yaml, in small letters and with no other "
        "ending, and put it in again."
    )


def how_to_start(folder: str) -> str:
    """The hint that the first document in a folder leaves. `folder`: below the inbox."""
    where = f"{INBOX}{folder}/" if folder else f"{INBOX}<a folder>/"
    return (
        f"Documents in {where} are not asked about one by one as they come: they wait for you.\n\n"
        "1. Put a recipe.yaml into the folder that reads them. The smallest one:\n\n"
        "   model: claude-haiku-5-5\n"
        '   documents: ["{{ path }}"]\n'
        "   prompt: Say in one sentence what this is about.\n\n"
        '   For images, write images: ["{{ path }}"] in place of documents; for a folder that has both, write both:\n\n'
        '   documents: ["{{ document }}"]\n'
        '   images: ["{{ image }}"]\n\n'
        f'2. Create the folder start in it ({where}start/), with "Create folder" in the S3 console. All documents that no '
        "earlier start has taken become one job, a row each. start-all takes all of them.\n\n"
        "If a table names your documents, there is nothing to do: they go along with its rows.\n"
    )


def recipe_unreadable(key: str, code: str) -> str:
    """`code` is S3's answer to a look at the recipe."""
    return (
        f"The recipe {shown(key)} could not be read: S3 answered {code}. Upload it again in the storage class STANDARD; if that "
        "does not help, have an operator check that this stack's functions may read it and use its KMS key."
    )


_NOTHING_PAID = " Nothing was sent or paid."
_RUNS_THEN = "Put in a corrected recipe: the file then runs, and need not be uploaded again."
_IS_TRIED_THEN = "With a corrected one, the file is tried and asked about anew."


def faulty_recipe(fault: str) -> str:
    """`fault`: what is wrong with it, and where."""
    return f"{fault} {_RUNS_THEN}{_NOTHING_PAID}"


def unfit_table(name: str, fault: str) -> str:
    """`fault`: what is wrong with the table, where, and the remedy."""
    return f"{shown(name)} cannot be read as a table. {fault}{_NOTHING_PAID}"


def table_for_another_recipe(name: str, fault: str) -> str:
    """As above, where the remedy is a line of the recipe."""
    return f"{unfit_table(name, fault)} With that recipe the file runs; it need not be uploaded again."


def broken_table(fault: str) -> str:
    return f"The file is damaged: {fault} Nothing was sent; upload it again."


def workbook_too_large(limit: int) -> str:
    return f"The workbook is larger than {limit:,} bytes. Nothing was sent; save its sheet as CSV UTF-8 and upload that."


NO_ROWS = "The file has no rows below its header. Nothing was sent."


def formulas_without_value(formulas: int) -> str:
    have, cells = ("has", "its cell is") if formulas == 1 else ("have", "their cells are")
    what = f"{_plural(formulas, 'formula')} of the sheet {have} no stored value, so {cells} empty"
    return f"{what}: open the workbook in Excel and save it."


def recipe_gone(key: str) -> str:
    return f"The recipe {shown(key)} was deleted while it was read. Put it in again: the file then runs."


def recipe_header_not_allowed(refused: NotAllowed) -> str:
    return (
        f"This asks for {_asked(refused)}. Remove it, or ask the stack's operator to put it into the parameter "
        f"{_allowing(refused)}."
    )


def power_not_allowed(power: str) -> str:
    return (
        f"`{shown(power)}` reaches beyond the model, and this stack does not allow it. Remove it, or ask the stack's operator to "
        "put it into the parameter AllowedTools."
    )


NOTHING_SHARED = "Not cached: every prompt begins with the row's own text."


def too_short_to_cache(model: str, tokens: int, shortest: int | None) -> str:
    return f"Not cached: all prompts begin with the same {tokens:,} tokens or so, and {model} caches from {shortest or 0:,} on."


def too_few_to_cache(rows: int) -> str:
    return f"Not cached: {_plural(rows, 'row')} {'is' if rows == 1 else 'are'} too few."


def not_tried_to_cache(rows: int) -> str:
    return (
        f"Not cached: with {_plural(rows, 'row')}, and nobody to be asked, none are tried first, so how often a cache would be "
        "read is not known. `cache: 1h` caches all the same."
    )


def cache_weighed(share: Fraction | None, pays: Fraction | None, *, cached: bool) -> str:
    """`share`: of what was marked, what was read; `pays`: above which that pays."""
    if share is None:
        return "Not cached: the rows that were tried neither wrote a cache nor read one."
    found = f"of what the tried rows have in common, {float(share):.0%} was read from the cache"
    if pays is None:
        return f"Not cached: {found}, and from which share on that pays is not known."
    return f"{'Cached' if cached else 'Not cached'}: {found}, and that pays above {float(pays):.0%}."


DECIDED_BY_TRIED = "`cache: auto`: rows that are tried first decide whether prompts are cached."


def prefix_too_short(model: str, tokens: int, shortest: int) -> str:
    return (
        f"All prompts begin with the same {tokens:,} tokens or so, and {model} caches from {shortest:,} on: nothing would be "
        "kept. Leave `cache` out, or put more of what is the same for all rows before the rows' own text."
    )


def prefix_perhaps_too_short(model: str, tokens: int, shortest: int | None) -> str:
    from_on = f"{model} caches from {shortest:,} on" if shortest else f"from how many on {model} caches is not known"
    return f"All prompts begin with the same {tokens:,} tokens or so, and {from_on}: the manifest will tell what was cached."


def uses_powers(powers: Sequence[str]) -> str:
    return f"The recipe reaches beyond the model: it uses {', '.join(map(shown, powers))}."


def no_recipe_came(why: str) -> str:
    """`why`: what the job said while it waited."""
    return (
        f"Nothing was sent: no recipe that fits came within {_plural(RECIPE_AWAITED.days, 'day')}. Upload the recipe, then this "
        f"file again. Its last message was: {why}"
    )


def asks(job: Job, question: Question, *, overrun: bool = False) -> str:
    """`overrun`: what its answers took so far tells what the others will."""
    rows, cost = _plural(question.rows, "row"), cost_range(question)
    yes = f"To go on, approve with the code {question.code}."
    if question.for_pilot:
        return f"Waiting for approval: to see what the file will cost, {rows} of it are tried first, for {cost}. {yes}"
    if overrun:
        paid = f"the rows that were answered have cost {dollars(job.spent)} so far"
        return f"Waiting for approval: {paid}, and the {question.rows:,} that are not sent yet will cost {cost}. {yes}"
    if not job.tried:
        return f"Waiting for approval: the {rows} that are not sent yet will cost {cost}. {yes}"
    tried = f"{job.tried:,} of {_plural(job.counts.total, 'row')} {_were(job.tried)} tried for {dollars(job.spent)}"
    others = f"{question.rows:,} that are not sent yet" if job.used > job.spent else f"other {question.rows:,}"
    if job.dedupe:
        others = f"{question.rows:,} different ones that are not sent yet"
    return f"{tried}. The {others} will cost {cost}. Look at report.html. {yes}"


def known_by(job: Job, expected: Expected) -> str:
    """How it is known what the job will cost."""
    if expected.by == "tried":
        return f"{_plural(job.tried, 'row')} of this file that {_were(job.tried)} tried"
    if expected.by == "answered":
        return "the rows of this file that were answered so far"
    if expected.by == "earlier":
        return "earlier jobs with this recipe"
    return "the length of the requests, and answers of any length up to max_tokens"


def weighed(rows: int) -> str:
    """`rows`: that were tried and have come to their end."""
    return f"{_plural(rows, 'row')} {_were(rows)} tried; the price of the others follows within a minute."


TOLD_BY_OTHERS = "rows of other files with its recipe tell enough."


def untried(why: Unsent) -> str:
    return f"No row was tried before the others: {why.message}"


def waits_for(mate: Job) -> str:
    return f"Waiting for rows of {shown(name_of_job(mate))}, which are tried first: it has the same recipe."


def cost_range(question: Question | GroupQuestion) -> str:
    low, high = dollars(question.low), dollars(question.high)
    return low if low == high else f"{low} to {high}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def limited(scope: Scope, left: int, question: Question, beyond: int) -> str:
    """Micro-dollars: `left` of the limit of the scope; `beyond` what is reserved may what is at the API cost at worst."""
    rows = _plural(question.rows, "row")
    where = f" ({scope.raised_in})" if scope.raised_in else ""
    when = f"They go on by themselves on {scope.renews_at:%Y-%m-%d}, or when" if scope.renews_at else "They go on when"
    return (
        f"{scope.words[:1].upper()}{scope.words[1:]}, {dollars(scope.limit or 0)}, has {dollars(left)} left; {rows} that are not "
        f"sent yet will cost {cost_range(question)}. {when} an operator raises it{where}; the code {question.code} lifts it for "
        "this job alone."
    ) + (f" Its rows at the API may cost up to {dollars(beyond)} more than is reserved for them." if beyond else "")


def without_price(models: Sequence[str], strange: Mapping[str, int]) -> str:
    """`models`: `OTHERS` stands for those whose names were not kept. `strange`: as in Job."""
    if OTHERS in models:
        return (
            f"Waiting for prices: the file names {MOST_CLASSES} models or more of which none is known. Cancel it, and upload it "
            "again when an operator has put them into config/prices.json."
        )
    named = ", ".join(shown(model) + (f" (line {strange[model]:,})" if model in strange else "") for model in models[:5])
    waits = f"Waiting for a price: none is known of {named}, so nobody can say what the file costs."
    entered = "an operator puts it into config/prices.json; the file then goes on by itself."
    if strange.keys().isdisjoint(models):
        return f"{waits} {entered[:1].upper()}{entered[1:]}"
    return f"{waits} If that is a mistake, cancel the job, correct the file and put it in again. Else {entered}"


def faulty_config(name: str, line: int | None) -> str:
    """Every job that waits for it shows it, and what stands there may name folders of others: the log has the rest."""
    where = f" on line {line}" if line else ""
    return f"{name} is faulty{where}. The logs of the stack name the field and what to write instead."


def config_fault(fault: str) -> str:
    return f"Waiting for an operator: {fault} Nothing that has to be approved is sent until then."


def limits_fault(fault: str) -> str:
    """Whatever a folder may cost stands in that file, and it may be nothing."""
    return f"Waiting for an operator: {fault} Until then nothing more is sent, since nobody knows what a folder may cost."


NOT_APPROVED = f"Nobody approved it within {ANSWER_AWAITED.days} days, so the rows that were not sent yet are not sent."


# ---------------------------------------------------------------- a recipe that was improved while its job waits

_RECIPE_KEPT = "A changed recipe is not used for this job, which waits on as it is:"
_SUPERSEDED = "A newer recipe took its place:"
_NOW_JOB = " is now job "
ITS_FILE_IS_GONE = "its file cannot be read any more."


def superseded(newer: Job) -> str:
    """`newer` has its recipe."""
    key = shown(newer.recipe.key) if newer.recipe else ""
    return f"{_SUPERSEDED} {key} was changed, and the same file{_NOW_JOB}{newer.id}."


def successor_of(job: Job) -> str:
    """The id of the job that has taken its place; empty if none has."""
    if job.state is not JobState.canceled or not job.reason.startswith(_SUPERSEDED):
        return ""
    # An earlier version went on behind a comma. No id holds either sign, and what stands before it was not read.
    return job.reason.rpartition(_NOW_JOB)[2].split(",")[0].rstrip(".")


def takes_the_place_of(job: Job) -> str:
    return f"The recipe was improved: this job takes the place of job {job.id}."


def recipe_kept(why: str) -> str:
    """`why`: as a file is told that is not planned yet."""
    return f"{_RECIPE_KEPT} {why.replace(_NOTHING_PAID, '').replace(_RUNS_THEN, _IS_TRIED_THEN)}"


def is_recipe_kept(note: str) -> bool:
    return note.startswith(_RECIPE_KEPT)


def was_superseded_before(newer: Job) -> str:
    return f"this version of it has had a job for this file before, {newer.id}. Drop the file again to use it."


# ---------------------------------------------------------------- why nothing is being submitted

# Also what an unknown value means, and a parameter that cannot be read.
PAUSED = "Submission is paused: nothing is submitted until an operator sets the switch to 'run'."
STOPPED = (
    "The switch is set to 'stop': what is open at Anthropic is canceled, and nothing is sent until an operator sets it to 'run'."
)
THROTTLED = "Anthropic asked this stack to slow down; what waits is sent in a few minutes."

_ADVICE = {
    Cause.key: "put a valid key into the stack's secret",
    Cause.credit: "add credit to the Anthropic organization",
    Cause.permission: "give the key's workspace permission to use the Message Batches API",
    Cause.address: "check the ApiBaseUrl parameter of the stack",
    Cause.usage_limit: "raise the usage limit that is set in the Claude Console, or wait until it resets",
    Cause.spend_limit: "raise the workspace's spend limit, or wait until it resets",
    Cause.contract: "ask Anthropic to raise the spend limit of the contract",
    Cause.hold: "ask Anthropic's support why the organization is on hold",
    Cause.role: (
        "enable outbound web identity federation in the account, and see that nothing denies the roles of the functions what the "
        "template allows them on the workspace that AwsWorkspaceId names"
    ),
}


def blocked(refusal: Refused, cause: Cause) -> str:
    """Every job shows it, so it has none of the API's own words: they may quote the one request that was refused."""
    return (
        f"Nothing is being submitted: {_said(refusal, cause)}. "
        f"To fix it, {_ADVICE[cause]}; submission then resumes automatically within a few minutes."
    )


def out_of_reach(trouble: Refused | Unavailable, cause: Cause | None) -> str:
    """As with `blocked`, without the API's own words. `cause`: None where there is no key at all."""
    advice = _ADVICE[cause] if cause is not None else "see that the functions get a valid key"
    return (
        f"Answers have come and cannot be fetched: {_said(trouble, cause)}. To fix it, {advice}; they are then fetched "
        "automatically, soon at first and within 6 hours if it has lasted for long. "
        f"Anthropic keeps them for {RESULTS_KEPT.days} days."
    )


def _said(trouble: Refused | Unavailable, cause: Cause | None) -> str:
    if trouble.status is None:
        return "there is no API key to send"
    return f"{'Claude Platform on AWS' if cause is Cause.role else 'Anthropic'} answered {trouble.status} {trouble.kind}"


# ---------------------------------------------------------------- answers to commands

CANCEL_REQUESTED = "Canceled by request."
CANCEL_TOO_LATE = "The cancel command came too late: the job had already ended."
NO_TEAM = "Nothing was sent: this stack keeps teams apart, and the file lies in the folder of none. Upload it to inbox/<team>/."
_PUT_IN_AGAIN = " put in again as "
# The job is not written to any more: what it says has to stay true.
_ANSWERS_ARE_THERE = "the answers are or will be in an outbox folder of that name."
RETRY_TOO_EARLY = "A job can be retried only after it has ended."
RETRY_NOT_BEGUN = "A retry could not be carried on: nothing of it is stored. Give the command again."
NOTHING_TO_RETRY = "There is nothing to retry: no row was canceled or failed for a temporary reason."


def canceled_while_reading(lines: int) -> str:
    return f"The cancel came before the file was read to its end: only its first {_plural(lines, 'line')} were looked at."


def retried(rows: int, key: str) -> str:
    were = "was" if rows == 1 else "were"
    return f"{_plural(rows, 'failed row')} {were}{_PUT_IN_AGAIN}{key}; {_ANSWERS_ARE_THERE}"


def is_retried(job: Job) -> bool:
    """Whether its note says that a retry of it was put in. An earlier version had other words for that."""
    return any(words in job.note for words in (_PUT_IN_AGAIN, " being retried as ", " uploaded again as "))


def retrying(done: int, total: int) -> str:
    return f"Its failed rows are being copied for a retry: {_size(done)} of {_size(total)} so far."


def already_retried(key: str) -> str:
    return f"The failed rows were{_PUT_IN_AGAIN}{key}; {_ANSWERS_ARE_THERE}"


ANOTHER_QUESTION = (
    "Nothing was changed: that code does not belong to what is asked now. Amount, rows, recipe or prices are others than those "
    "that it was given for; the message here has the code that counts."
)
NOTHING_TO_RAISE = "There is nothing to raise: the job does not wait for a limit."


def nothing_to_approve(job: Job) -> str:
    if job.cancel_requested and job.finished_at is None:
        return "There is nothing to approve: the job is being canceled."
    if job.needs:
        return f"There is nothing to approve: the job waits for a {job.needs}."
    return f"There is nothing to approve: the job asks nothing now; it is {word_of(job)}."


# ---------------------------------------------------------------- why a row has no answer


def reasons(rows: int, told: Sequence[Told]) -> list[str]:
    """Why rows have no answer, in sentences that are true of all of them. `told`: with which they came back, as far as kept."""
    if not told:
        return ["For other reasons, of more kinds than are told apart here."]
    if sum(one.rows for one in told) < rows:
        return [f"Such as: {one.message}" for one in told]
    if len(told) == 1:
        return [told[0].message]
    return [f"{_plural(one.rows, 'row')}: {one.message}" for one in told]


CANCELED_UNSENT = "The job was canceled before this row was sent."
INPUT_DELETED = "The input was deleted before this row could be sent."
FILE_GONE = (
    "A file that this row names was deleted, replaced or closed to this stack after the row was planned, so it was not sent. "
    "Upload the row again once the file is there."
)


def too_many_files_gone(most: int) -> str:
    """Of rows whose own file may be there."""
    return (
        f"More than {most:,} rows that were to be sent together with this one name files which were deleted, replaced or closed "
        "to this stack after they were planned, so none of them was sent. Upload the row again once the files are there."
    )


INPUT_UNREADABLE = "This stack was no longer allowed to read the input, so this row was not sent."
CANCELED = "This row was canceled before Anthropic processed it."
EXPIRED = "Anthropic did not process this row within its 24 hours."
MISSING = "The API returned no result for this request."
NO_ROOM_FOR_COPY = (
    "It was not asked again: too many rows share this request for answers that may be so much longer. "
    "Drop these rows again as a file of their own."
)
MISSING_OR_COPY = (
    "The API returned no result for this request, or it was sent as another row's: which one, nobody can tell without the input."
)
TRIED_ANSWER_LOST = (
    "The request of this row was tried before the others and paid for, and objects under work/ with its end were deleted. It was "
    "not sent again; to send it anyway, upload failed.jsonl."
)
UNKNOWN_OUTCOME = (
    "This row was sent, Anthropic's response was lost, and for 29 days nothing showed whether it was accepted. "
    "It may have been answered and paid for, so it was not sent again; to send it anyway, upload failed.jsonl."
)
UNLISTED = (
    "Batchdrop's own list of the invalid rows in this part of the file can no longer be read, so this row could not be told from "
    "an invalid one. It has no answer; to have it checked and sent again, upload failed.jsonl."
)
ANSWER_NOT_DELIVERED = (
    "Anthropic counts more answers than it has delivered, even after days, and none for this row. It may have been "
    "answered and paid for, so it was not sent again. To send it again all the same, upload failed.jsonl."
)
RESULTS_DELETED = "Anthropic deleted the answer of this row, 29 days after it was sent, before it was fetched."


def refused(refusal: Refused) -> str:
    return f"The API refused the request: {refusal}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _size(number: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number:,} bytes"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('ch') else 's'}"
