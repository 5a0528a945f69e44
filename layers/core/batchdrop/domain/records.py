"""What the table remembers: jobs, batches, and the one admission record. Per-row data is never here.

All times are timezone-aware UTC. A record is immutable; a change is a new record with `revision + 1`. A field is stored
under its own name, or under the one of an earlier version (`name=`): jobs that are under way cross an upgrade.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from batchdrop.domain.answer_counts import AnswerCounts
from batchdrop.domain.money import Bill, Learned, Sizes
from batchdrop.domain.record import Record

DEFAULT_API_VERSION = "2026-10-21"
"""What the SDK sends by itself (anthropic 2.12.0), and so what every job of an earlier version was sent with."""


class JobState(StrEnum):
    planning = "planning"
    held = "held"
    running = "running"
    finishing = "finishing"
    done = "done"
    rejected = "rejected"
    canceled = "canceled"


class BatchState(StrEnum):
    ready = "ready"
    submitting = "submitting"
    in_progress = "in_progress"
    canceling = "canceling"
    ended = "ended"
    collected = "collected"


class RowStatus(StrEnum):
    """The six ends of a row."""

    succeeded = "succeeded"
    errored = "errored"
    expired = "expired"
    canceled = "canceled"
    invalid = "invalid"
    missing = "missing"


class ObjectRef(Record, frozen=True, kw_only=True):
    """One version of one S3 object. `version_id` is None in a bucket without versions: `etag` then pins it."""

    bucket: str
    key: str
    version_id: str | None = None
    etag: str = ""
    size: int = 0
    """bytes"""


class Span(Record, frozen=True, kw_only=True):
    """A byte range of an object that holds whole lines: `start` inclusive, `end` exclusive.

    In a `numbered` span every line is `<line number>\\t<original line>`; else lines count up from `first_line`.
    """

    object: ObjectRef
    start: int
    end: int
    first_line: int
    numbered: bool = False


class Counts(Record, frozen=True, kw_only=True):
    """How rows ended: a field for each `RowStatus`. `total` is the number of input lines, blank lines aside, that this covers."""

    total: int = 0
    succeeded: int = 0
    errored: int = 0
    expired: int = 0
    canceled: int = 0
    invalid: int = 0
    missing: int = 0

    @property
    def finished(self) -> int:
        """Rows that have come to one of their ends."""
        return sum(getattr(self, status) for status in RowStatus)

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    def __sub__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) - getattr(other, name) for name in self.__struct_fields__})


class ApiCounts(Record, frozen=True, kw_only=True):
    """How the API counts the requests of one of its batches."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def all(self) -> int:
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired

    @property
    def unbilled(self) -> int:
        """Requests that have ended without being billed (Anthropic, "Batch processing", results)."""
        return self.errored + self.canceled + self.expired


class Counters(Record, frozen=True, kw_only=True):
    """What one transaction adds to the counters of a job and to the admission record."""

    rows: Counts = Counts()
    batches_total: int = 0
    batches_waiting: int = 0
    batches_ended: int = 0
    batches_collected: int = 0
    splits: int = 0
    releases: int = 0
    batches_incomplete: int = 0
    rows_lost: int = 0
    rows_copied: int = 0
    used: int = 0
    spent: int = 0
    queued: int = 0
    """Requests added to (or, negative, released from) what counts against the workspace's queue limit."""


UNCHANGED = Counters()


class Usage(Record, frozen=True, kw_only=True):
    """What rows of one model took that the API has answered and billed."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    def __add__(self, more: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(more, name) for name in self.__struct_fields__})


class Part(Record, frozen=True, kw_only=True):
    """One object in `work/` that becomes a piece of an output file. `crc64nvme` is 16 hex digits."""

    key: str
    lines: int
    size: int
    crc64nvme: str


class Unsent(Record, frozen=True, kw_only=True):
    """The end of every row of a batch without results: never sent, refused for good, or in doubt for too long."""

    status: RowStatus
    error_type: str
    message: str


class Sample(Record, frozen=True, kw_only=True):
    """Where a row stands that may be tried before the others."""

    rank: int
    """Drawn from the job's id and the line alone; the smallest go."""
    line: int
    start: int
    """Bytes [start, end) of the job's source, newline included."""
    end: int
    digest: str = ""
    """Of its request, in hex (`formats.same_request`), if its job sends equal ones once."""


class Names(Record, frozen=True, kw_only=True):
    """Which rows of an earlier job the rows of a file say that they are: it was made of that job's failed rows."""

    job: str = ""
    """The one that is named first."""
    last_row: int = 0
    """The largest number among those rows."""
    several: bool = False
    """Other jobs are named too."""
    unnamed: bool = False
    """There are rows that name none."""


class Checkpoint(Record, frozen=True, kw_only=True):
    """A place between two lines of a job's source: everything before it is planned."""

    offset: int
    """Bytes before it."""
    line: int
    """Number of the line behind it."""
    repeated: int = 0
    """Rows before it with a custom id that an earlier one has."""
    pilot: tuple[Sample, ...] = ()
    """Of the rows before it, those that would be tried first."""
    names: Names = Names()
    """What the rows before it name."""
    strange: dict[str, int] = msgspec.field(default_factory=dict)
    """As in Job, of the rows before it."""


class Settled(Record, frozen=True, kw_only=True):
    """A row that was tried before the others, and whose end is final."""

    line: int
    status: RowStatus
    digest: str = ""
    """As in Sample: rows of its batch with the same request get its end."""


class Question(Record, frozen=True, kw_only=True):
    """What a held job asks: whether its rows may cost so much. Amounts are micro-dollars."""

    code: str
    """Six characters that change with the amount, the recipe, the prices and the rows."""
    low: int
    high: int
    """What the rows that are not sent yet will cost; the answer covers up to this."""
    rows: int
    """That are not sent yet."""
    for_pilot: bool = False
    """It asks for the rows alone that are tried first: even these cost more than may be spent unasked."""
    group: str = ""
    """The key of the Group that its file belongs to."""
    prices: str = ""
    """By which the amounts are counted, as `PriceList.digest`."""
    asked_at: datetime

    def may_use(self, used: int) -> int:
        """Micro-dollars that a job which has used so much may use in all after a yes.

        One for each row: however its batches are cut, the amount of each part is rounded up.
        """
        return used + self.high + self.rows


class Approval(Record, frozen=True, kw_only=True):
    """A yes to a question, and what is known of who gave it."""

    code: str
    amount: int
    """Micro-dollars: the high end of what was shown."""
    key: str
    """The object whose creation said so."""
    version_id: str | None = None
    at: datetime
    source_ip: str = ""


class Expected(Record, frozen=True, kw_only=True):
    """What a job will cost in all, in micro-dollars, and how that is known."""

    low: int
    high: int
    by: str
    """`text`: the length of its requests, and the most that they may answer. `tried`: rows of its own.
    `answered`: all of its own that were answered so far. `earlier`: other jobs."""


class GroupQuestion(Record, frozen=True, kw_only=True):
    """What several held jobs ask together. The oldest of them asks; with the others stands only which one that is."""

    leader: str
    """Its job id."""
    code: str = ""
    low: int = 0
    high: int = 0
    rows: int = 0
    covers: tuple[str, ...] = ()
    """`<job id>-<code>` of each question that the answer covers."""


class Told(Record, frozen=True, kw_only=True):
    """What subscribers know of the question of a job that waits for a person."""

    what: str
    """Names the question: another name is another question."""
    mailed_at: datetime | None = None
    """None: programs know of it, and people do once the last mail of its folder is old enough."""


class JobLimits(Record, frozen=True, kw_only=True):
    """What a recipe says of money, in micro-dollars."""

    ask_above: int | None = None
    most: int | None = None
    """The job never uses more."""
    strict: bool = False
    """Batches reserve what they cost at worst."""


class RefusedAs(Record, frozen=True, kw_only=True):
    """In which words the API refuses a batch, and since when: a batch that was cut in two hands this on to both."""

    words: str
    since: datetime
    whole: bool = True
    """It was refused so itself, not only as a part of another."""


class Streak(Record, frozen=True, kw_only=True):
    """Refusals of a job's batches in a row: none was accepted since the first of them."""

    status: int | None = None
    """Of the last one, as its type and message."""
    error_type: str
    message: str
    refusals: int = 0
    """Those of which nobody knows yet whether they are about rows of the job or about the account."""
    since: datetime
    next_at: datetime | None = None
    """If set, the job waits: one batch is tried, not before this."""
    trying: str = ""
    """The name of that batch."""

    @property
    def waits(self) -> bool:
        return self.next_at is not None


PRIORITY = "batchdrop-priority"
"""The user metadata of an object that asks for one."""
DEDUPE = "batchdrop-dedupe"
"""The user metadata of a file of requests that has equal ones sent once: `true`."""
REFERENCE = "batchdrop-reference"
"""The user metadata of an object by which a program finds its job again."""
MAX_REFERENCE_CHARS = 200
NORMAL = 5
PRIORITIES = {"high": 1, "normal": NORMAL, "low": 9}
"""Of a job, by the words that people use."""


class Wishes(Record, frozen=True, kw_only=True):
    """What a recipe says of the job as a whole."""

    priority: int | None = None
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    limits: JobLimits | None = None
    deadline: str = ""
    """As in Job."""
    dedupe: bool = False
    """As in Job."""
    cache: str = ""
    """As in Job."""
    about_cache: str = ""
    """As in Job."""
    separator: str = ""
    """As in Job."""
    newline: str = ""
    """As in Job."""
    warnings: str = ""
    """What its author should know, in whole sentences."""


class Job(Record, frozen=True, kw_only=True):
    """One dropped object version.

    The counters (`counts` to `batches_incomplete`) are changed by atomic additions in the transaction that moves a batch, so a
    reader may hold an older copy; every other field changes with `revision`.
    """

    id: str
    token: str
    input: ObjectRef
    source: ObjectRef | None = None
    """Where the rows are read from: the input itself, or its decompressed copy in `work/`. None until known."""
    recipe: ObjectRef | None = None
    """The version of the recipe that it is planned with. None until one is found, and in a job that needs none."""
    names_files: bool = False
    """It is a file of requests that name files: what is known of these is put into its lines before they are cut."""
    kind: str = ""
    """Of the rows of a job with a recipe: `jsonl`, `csv` or `xlsx`."""
    separator: str = ""
    """What stands between the columns of the CSV files of such a job. Empty: nobody has noted it."""
    newline: str = ""
    """What ends their lines."""
    needs: str = ""
    """While held, what it waits for: `recipe`, `approval`, `limit`, `price` or `place`."""
    held_at: datetime | None = None
    """When it was last held. It is kept while the job is planned again, until another recipe is found."""
    arrivals: int = 0
    """How many recipes had arrived in its team before it last looked for one (`Arrivals.count`)."""
    state: JobState
    outcome: JobState | None = None
    """The terminal state that `finishing` leads to."""
    reason: str = ""
    """One sentence for people: why rejected, held or canceled."""
    note: str = ""
    """One sentence for people: what became of the last control command."""
    strange: dict[str, int] = msgspec.field(default_factory=dict)
    """Models of which nothing is known, in a file of requests: the line of the first row with each, of some of them."""
    warnings: str = ""
    """Sentences for people: what in its metadata or recipe does not count, or not as they may think. They stay to the end."""
    doubt: str = ""
    """One sentence for people: what is not known of a batch that was sent, or empty."""
    out_of_reach: str = ""
    """One sentence for people: why answers that the API has cannot be fetched, or empty."""
    broken: Unsent | None = None
    """Why the last line of `source` is where a damaged gzip stream breaks off."""
    priority: int = 5
    """1 first, 9 last."""
    api_version: str = DEFAULT_API_VERSION
    """The header of every create call of this job, as `betas`: what the file asks for, allowed or not."""
    betas: tuple[str, ...] = ()
    dedupe: bool = False
    """Equal requests of a batch are sent once, and every row with such a request gets the answer."""
    reference: str = ""
    """What the metadata of its file calls it, for the program that dropped it: at most 200 characters."""
    cancel_requested: bool = False
    deadline: str = ""
    """As its recipe says it (`domain.deadlines`): what is not answered by then is canceled."""
    due_at: datetime | None = None
    """When that is. None until its rows are let go, those aside that are tried first."""
    overdue: bool = False
    """It has passed, and so the job is canceled, but for what has finished."""
    created_at: datetime
    updated_at: datetime
    planned_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    """While set and not passed, one invocation of `plan` (planning) is at work."""
    checkpoint: Checkpoint | None = None
    """How far a long file is planned; the custom ids up to there are in `work/`."""
    tries: int = 0
    """How often `plan` has begun since it last came further: leases taken."""
    lines: int = 0
    """Lines of the input, blank ones included."""
    repeated: int = 0
    """Rows with an id that an earlier one has. A table may have them; in a file of requests they are invalid."""
    text: ObjectRef | None = None
    """The unpacked copy of a file of rows, in `work/`: `source` is made from it."""
    message_sent_at: datetime | None = msgspec.field(default=None, name="handed_at")
    """When the message of the next step (plan, finish) was last sent, or seen to be back in its queue."""
    repairs: int = 0
    """How often `poll` sent that message again."""
    errors: int = 0
    """Of the deliveries of that message (`tries`, while it is planned), those that ended in a handled error."""
    cut_off: int = 0
    """Deliveries of one message that neither ended nor failed, as far as its status tells them."""
    cut_off_in: str = ""
    """The function of these."""
    streak: Streak | None = None
    accepted_at: datetime | None = None
    """When the API last accepted a batch after it had refused one."""
    words_of_the_account: str = ""
    """In these it refused everything for long, and then no more: so they are not about rows."""
    bytes_done: int = 0
    """Of a step that takes several invocations (unpacking, joining the output files): how far it was at the last hand-over."""
    bytes_total: int = 0
    """Of that step; an estimate while unpacking."""
    fruitless: int = 0
    """Invocations in a row that were too short to unpack any further."""
    limits: JobLimits | None = None
    trying: bool = False
    """Some of its rows are tried first, and until they have come back no others are sent."""
    tried: int = 0
    """Rows of these that have come to their end."""
    tries_all: bool = False
    """There are no others."""
    learned: Learned | None = None
    """What its rows take, by those that were tried, or by earlier jobs with its recipe."""
    may_use: int | None = None
    """Micro-dollars that its batches may use in all, as somebody has approved. 0: nothing is approved, and it takes of what its
    team may use unasked. None: nobody is ever asked, as in jobs of earlier versions."""
    raised_to: int = 0
    """Micro-dollars that its batches may use in all whatever limits there are: an operator has lifted them for it alone."""
    question: Question | None = None
    cache: str = ""
    """How long the API keeps what its prompts begin with, as its recipe says it: `5m`, `1h`, `auto`, or empty for not at all."""
    cached: bool | None = None
    """Of `auto`: whether its prompts are cached. None: that is not decided yet, and those that are sent are."""
    about_cache: str = ""
    """Of `auto`: why, in a sentence."""
    warming: bool = False
    """One row is sent before all others, those aside that are tried: it writes the cache that the others read."""
    warmed: int = 0
    """Rows of its warm-up that have come to their end."""
    place: str = ""
    """While it is open: the purse (`domain.purses.open_jobs`) that counts it. Empty while it waits in line, and if an earlier
    version opened it."""
    waits_from: int = 0
    """The stack's virtual time (`Admission.virtual_time`) when its batches began to wait for admission."""
    group_key: str = ""
    """Of the Group that it belongs to; empty without a recipe."""
    group: GroupQuestion | None = None
    """While it asks: others of its folder ask the same."""
    mate: str = ""
    """While it is held for its price: the id of the job whose tried rows will tell it."""
    spare: Batch | None = None
    """The batch of rows that it tries itself, should those of its mate tell nothing."""
    expected: Expected | None = None
    """None: nobody knows, as for a model without a price."""
    approvals: tuple[Approval, ...] = ()
    completes: str = ""
    """The earlier job whose rows its own rows are, all of them: their answers belong into the whole table of that job."""
    base: str = ""
    """The job whose whole table its own rows are put into: that earlier job, or the one that last completed it."""
    completed_by: str = ""
    """The job that last put its rows into the whole table of this one."""
    told: Told | None = None
    untold: bool = False
    """It has ended, and `poll` has yet to tell subscribers."""
    revision: int = 0

    counts: Counts = Counts()
    """Stored flat, as the fields of the job itself."""
    batches_total: int = 0
    batches_waiting: int = 0
    """Batches to be admitted (`Batch.waiting`)."""
    batches_ended: int = 0
    batches_collected: int = 0
    splits: int = 0
    """Batches the API refused whole and that were cut in two."""
    releases: int = 0
    """How often a batch was sent, got no answer and left no trace."""
    batches_incomplete: int = 0
    """Ended batches whose results lack answers that the API counts: they are collected later."""
    rows_lost: int = 0
    """Rows that are in no output file, because pieces of the files were deleted. They count as missing."""
    rows_copied: int = 0
    """Rows that have the end of another one with the same request, and cost nothing."""
    used: int = 0
    """Micro-dollars that its batches have reserved or spent."""
    spent: int = 0
    """Micro-dollars billed, by the batches that are collected."""


class Batch(Record, frozen=True, kw_only=True):
    """One Message Batch of a job: a span of rows and one attempt at answering them.

    Identity: job, first line, attempt. Custom ids at the API are `<prefix>-<line>`.
    """

    job_id: str
    first_line: int
    attempt: int = 1
    state: BatchState
    span: Span
    last_line: int
    requests: int
    """Rows to send: valid ones only, and of those with the same request one."""
    copies: int = 0
    """Rows that are not sent, because another one of the batch has the same request: they get its end. 0: none are looked for."""
    invalid: int = 0
    """Rows in the span that are never sent."""
    invalid_key: str | None = None
    """The object in `work/` that lists them: line, error type, message. It may list more than this span's."""
    body_bytes: int = 0
    """Size of the request body."""
    priority: int = 5
    start_tag: datetime = msgspec.field(name="tag")
    """Fair-queueing start tag: waiting batches are admitted in order of priority, then tag."""
    waiting: bool = False
    """To be admitted, and counted in its job's `batches_waiting`. False in a waiting batch that version 0.1.0 left."""
    admitted_at: datetime | None = None
    """Capacity is reserved and a submit message was sent; None while waiting."""
    not_before: datetime | None = None
    refusals: int = 0
    """Definite refusals so far in a row."""
    refused_as: tuple[RefusedAs, ...] = ()
    """The latest last."""
    releases: int = 0
    """How often it was sent, got no answer and left no trace."""
    intent_at: datetime | None = None
    """Written before the POST."""
    first_intent_at: datetime | None = None
    """Of the first POST that was released: what it may have created can still appear."""
    prefixes: tuple[str, ...] | None = None
    """Of the custom ids of every POST so far, the newest last. None: stored by 0.1.0, which derived them from job and attempt."""
    lease_until: datetime | None = None
    """The POST cannot be under way after this."""
    key: str = ""
    """A fingerprint of the API key that the POST was sent with; empty if 0.1.0 sent it."""
    first_look_at: datetime | None = None
    """When `poll` first had a good look at the API's list after that."""
    no_trace_at: tuple[datetime, ...] = ()
    """Looks since then, spread over the grace, of which none found a trace of it. One that finds something empties this."""
    api_id: str | None = None
    adopted: bool = False
    """Found by reconciliation: the first result still has to confirm that it is ours."""
    not_found_since: datetime | None = None
    """While the API answers 404 for what was adopted: since when, and how often so far."""
    not_found: int = 0
    not_ours: tuple[str, ...] = msgspec.field(default=(), name="foreign")
    """API batches that looked like this one and proved to be somebody else's."""
    created_at: datetime | None = None
    """By the API's clock; results are kept 29 days from here."""
    ended_at: datetime | None = None
    message_sent_at: datetime | None = msgspec.field(default=None, name="handed_at")
    """When the message of the next step (submit, collect) was last sent, or seen to be back in its queue."""
    repairs: int = 0
    """How often `poll` sent that message again."""
    errors: int = 0
    """Of the deliveries of that message, those that ended in a handled error."""
    collected_at: datetime | None = None
    unsent: Unsent | None = msgspec.field(default=None, name="verdict")
    result_lines: int = msgspec.field(default=0, name="answers")
    """Result lines to expect: the sum of the API's request counts when it ended."""
    api_counts: ApiCounts | None = None
    """The API's counts by type, as they were last seen. Version 0.1.0 stored their sum alone."""
    incomplete_since: datetime | None = None
    """When its results were first seen to lack answers."""
    collect_at: datetime | None = None
    """While set: its results lacked answers, and are looked at again then."""
    counts: Counts | None = None
    usage: dict[str, Usage] = msgspec.field(default_factory=dict)
    results: Part | None = None
    failed: Part | None = None
    retry: Part | None = None
    """Rows that a follow-up batch (attempt + 1) tries again; that batch's parts then hold this batch's rows too."""
    table: Part | None = None
    """Of a job with a recipe: the piece of `results.csv` with every row of the span, written by its last attempt."""
    failed_table: Part | None = None
    """The piece of `failed.csv`, where the rows came from a table."""
    answer_counts: AnswerCounts | None = None
    """Of a job with a recipe: what its answers were worth."""
    rows_lost: int = 0
    """Of its rows that count as missing: those that are in no output file, because pieces were deleted."""
    sizes: Sizes = msgspec.field(default_factory=dict)
    """What its requests are expected to take. Empty in one that an earlier version cut."""
    tries: tuple[Sample, ...] = ()
    """Of a pilot, its rows by line. They lie all over its span, and count as rows of the batches that they lie in."""
    settled: tuple[Settled, ...] = ()
    """Rows of its span that the pilot has settled, by line: they are no requests of it, and its pieces hold their ends."""
    left_out: tuple[int, ...] = ()
    """Lines of its span that name a file which has gone since they were planned: they are not sent, and count as invalid."""
    reserved: int = 0
    """Micro-dollars that it has reserved in `purses` and has not settled."""
    purses: tuple[str, ...] = ()
    turn: str = ""
    """While it is admitted: the purse (`domain.purses.turn`) in which that counts. Empty if an earlier version admitted it."""
    turn_cost: int = 0
    """What it counts for there."""
    bill: Bill | None = None
    """Of a collected batch: what its answers cost."""
    revision: int = 0

    @property
    def name(self) -> str:
        """`<first line, 12 digits>.<attempt, 2 digits>`: sorts in input order."""
        return batch_name(self.first_line, self.attempt)

    @property
    def times_sent(self) -> int:
        """How often its rows are sent, with this attempt."""
        return max(1, self.attempt)

    @property
    def rows(self) -> int:
        """All rows of its span that come to their end with it, or go again after it."""
        return self.requests + self.copies + self.invalid + len(self.settled)


class Purse(Record, frozen=True, kw_only=True):
    """What was used of money in one scope and one span of time, such as the stack's month. Amounts are micro-dollars.

    What a team has sent is counted in the same way: `used` are requests then, and `spent` are batches.
    """

    name: str
    """As `domain.purses` writes it."""
    used: int = 0
    """Reserved or spent."""
    spent: int = 0
    """Billed."""


class Proof(Record, frozen=True, kw_only=True):
    """A batch that was accepted under an API key: another key that sees it belongs to the same workspace."""

    key: str
    """The fingerprint of the key."""
    api_id: str
    accepted_at: datetime


class Admission(Record, frozen=True, kw_only=True):
    """The stack's one record of what it has at the API and why it may be waiting."""

    queued: int = 0
    """Requests admitted and not ended: changed by atomic additions with the batch moves."""
    virtual_time: int = 0
    """How far the teams have come that wait: whoever begins to wait starts here. See `domain.fair_order`."""
    throttled_until: datetime | None = None
    throttles: int = 0
    """429 answers in a row."""
    blocked: str = ""
    """One sentence for people: why nothing is submitted (key refused, spend limit, no credit), or empty."""
    blocked_at: datetime | None = None
    probe_at: datetime | None = None
    """While blocked, one batch is admitted at this time to see whether it works again."""
    refused_jobs: tuple[str, ...] = ()
    """Those that met a refusal of the account, or were tried while blocked, since a batch was last accepted, the latest last."""
    notice: str = ""
    """The sentence that waiting jobs' `status.json` shows now."""
    proofs: tuple[Proof, ...] = ()
    """One for each of the last keys, the newest last."""
    revision: int = 0


class Arrivals(Record, frozen=True, kw_only=True):
    """How many recipes have arrived in a team so far: the stack's one record for each team.

    It is counted before any job is woken. So the count tells a job that has looked in vain whether one has arrived meanwhile, and
    a job that was held with another count is to look again.
    """

    team: str
    """As `keys.team_of` names it."""
    count: int = 0
    """Events, not files: one that is delivered twice counts twice."""
    revision: int = 0


class Taught(Record, frozen=True, kw_only=True):
    """What rows were guessed to cost at most, and what they did cost: sums in femto-dollars, at the same prices."""

    guessed_input: int = 0
    input: int = 0
    most_output: int = 0
    output: int = 0
    rows: int = 0

    def __add__(self, more: Taught) -> Taught:
        return Taught(**{name: getattr(self, name) + getattr(more, name) for name in self.__struct_fields__})


class Group(Record, frozen=True, kw_only=True):
    """What holds for the files of one folder with one recipe, as long as its prices are the same."""

    key: str
    """A hash of the three."""
    approval: Approval | None = None
    """The last one that was given to any of them."""
    covers: tuple[str, ...] = ()
    """`<job id>-<code>` of each question that the last answer for several was given to."""
    covered_by: Approval | None = None
    """That answer."""
    taught: Taught = Taught()
    """By those of them that have ended."""
    limit: int = 0
    """Micro-dollars that later files may cost in all without another question."""
    until: datetime | None = None
    """They may do so until then."""
    revision: int = 0


WARM_UP = "000000000000.00"
"""The name of the batch of one row that writes the cache before others read it: no attempt has the number 0."""
PILOT = "000000000000.01"
"""The name of a job's pilot: its first line is 0, which no other batch but its warm-up has."""


PILOT_ROWS = 20
FEWEST_TRIED = 5
"""Of a pilot that the budget leaves so small: fewer rows tell too little of the others."""


def batch_name(first_line: int, attempt: int) -> str:
    return f"{first_line:012d}.{attempt:02d}"
