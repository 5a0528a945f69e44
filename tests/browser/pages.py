"""Reports in every state that people see, and indexes of jobs, with friendly and with hostile data: what tests look at."""

from __future__ import annotations

from datetime import timedelta
from itertools import repeat

from msgspec.structs import replace

from batchdrop.domain.records import Counts, Expected, Job, JobState, ObjectRef, Question
from batchdrop.reports.index_page import index_page
from batchdrop.reports.job_index import merged
from batchdrop.reports.page import Details, page, read_outcome
from batchdrop.reports.samples import Sample
from batchdrop.reports.status import pretty
from tests.adapters.records import job
from tests.fakes.clock import START

REGION = "eu-central-1"
NAME = "inbox/marketing/reviews-q3.csv"
EVIL = "\"><img src=x onerror=alert(1)><script>alert(document.domain)</script>'`{{ 7*7 }}</style>&lt;\x00\x1b[31m"
BIDI = "\u202egnp.exe\u202c \u2066x\u2069 \ufeff\u200f"
ARABIC = "منتج ممتاز، أنصح به بشدة لكل من يبحث عن الجودة"


def _job(state: JobState, counts: Counts, **fields: object) -> Job:
    key = str(fields.pop("key", NAME))
    ref = ObjectRef(bucket="example-bucket", key=key, version_id="v1", size=1_900_000)
    recipe = ObjectRef(bucket="example-bucket", key="inbox/marketing/recipe.yaml", version_id="3HL4kqtJ")
    known = {"input": ref, "counts": counts, "state": state, "kind": "csv", "recipe": recipe, "spent": 1_840_000}
    return job(**(known | {"used": 1_840_000} | fields))


def _samples(*texts: str) -> list[Sample]:
    labels = ("positive", "negative", "neutral")
    return [
        Sample(
            line=2 + 400 * place,
            row={"id": str(place), "Review": text, "stars": "4"},
            output={"label": labels[place % 3], "reason": "says so"},
        )
        for place, text in enumerate(texts)
    ]


_REVIEWS = (
    "The zipper broke on day two and the seller never answered.",
    "Best headphones I have owned.",
    ARABIC,
    "It is a chair.",
)
_SAMPLES = [
    *_samples(*(_REVIEWS * 5)[:19]),
    Sample(line=8019, row={"id": "8018", "Review": "x" * 200}, error="The answer was cut off."),
]


def _outcome(**more: object) -> bytes:
    known: dict[str, object] = {
        "answers": {
            "values": {"label": {"positive": 4120, "negative": 2331, "neutral": 1550}, "reason": None},
            "lengths": [0, 0, 4, 900, 4000, 2900, 180, 5, 12],
        },
        "failures": [
            {
                "status": "errored",
                "error": "truncated",
                "message": "The answer was cut off.",
                "messages": [{"message": "The answer was cut off.", "rows": 12}],
                "rows": 12,
                "lines": [40, 212, 377],
            },
            {
                "status": "invalid",
                "error": "empty_prompt",
                "message": "`prompt` comes out empty.",
                "messages": [{"message": "`prompt` comes out empty.", "rows": 6}],
                "rows": 6,
                "lines": [18, 19, 20],
            },
        ],
        "batches": [
            {"requests": 4000, "created_at": "2026-11-22T00:31:15Z", "ended_at": "2026-11-22T00:59:15Z"},
            {"requests": 4013, "created_at": "2026-11-22T00:32:15Z", "ended_at": "2026-11-22T01:10:15Z"},
            {"requests": 12, "created_at": "2026-11-22T01:11:15Z", "ended_at": "2026-11-22T01:21:15Z"},
        ],
        "files": {
            name: {"lines": 8019, "size": size, "checksum": "sha256:0"}
            for name, size in (
                ("results.jsonl", 9_200_000),
                ("failed.jsonl", 4_000),
                ("results.csv", 1_900_000),
                ("failed.csv", 3_000),
            )
        },
        "cost": {"usd": 1.84, "real_time_usd": 3.69},
    }
    return pretty(known | more)


_ALL = Counts(total=8019, succeeded=8001, errored=12, invalid=6)
_ESTIMATE = Expected(low=1_600_000, high=2_100_000, by="text")
_DONE = {"finished_at": START + timedelta(minutes=51), "expected": _ESTIMATE, "batches_total": 3}
_QUESTION = Question(code="7kq2mx", low=1_710_000, high=2_040_000, rows=7999, asked_at=START)


def pages() -> dict[str, bytes]:
    """By the word for the state."""
    done = Details(_SAMPLES, read_outcome(_outcome()))
    eval_of = {
        "accuracy": 0.9213,
        "confusion": {
            "positive": {"positive": 3900, "negative": 40, "": 6},
            "negative": {"negative": 2200, "positive": 120, "neutral": 80},
            "neutral": {"neutral": 1400, "positive": 260},
        },
    }
    nothing = _outcome(
        answers={"values": {}, "lengths": []},
        failures=[
            {"status": "errored", "error": "invalid_request_error", "message": "model: not found", "rows": 9, "lines": [2, 3, 4]}
        ],
        batches=[],
        cost={"usd": 0, "real_time_usd": 0},
    )
    shown: dict[str, tuple[Job, Details]] = {
        "reading": (_job(JobState.planning, Counts(), spent=0, used=0, recipe=None), Details()),
        "waiting-for-a-recipe": (
            _job(
                JobState.held,
                Counts(),
                needs="recipe",
                reason="Waiting for a recipe that says what to ask about each row. Columns of the file: id, Review, stars.",
                spent=0,
                recipe=None,
            ),
            Details(),
        ),
        "waiting-for-approval": (
            _job(
                JobState.held,
                Counts(total=8019, succeeded=20),
                needs="approval",
                question=_QUESTION,
                reason="20 of 8,019 rows were tried for $0.005. The other 7,999 will cost $1.71 to $2.04. Look at report.html. "
                "To go on, approve with the code 7kq2mx.",
                spent=5_000,
                expected=_ESTIMATE,
                tried=20,
            ),
            Details(_SAMPLES, read_outcome(_outcome(files={}, batches=[], cost={}, failures=[]))),
        ),
        "running": (
            _job(JobState.running, Counts(total=8019, succeeded=3120, errored=4), expected=_ESTIMATE, spent=710_000),
            Details(),
        ),
        "done": (_job(JobState.done, _ALL, **_DONE), done),
        "done-with-expected": (_job(JobState.done, _ALL, **_DONE), Details(_SAMPLES, read_outcome(_outcome(expected=eval_of)))),
        "no-answers": (
            _job(JobState.done, Counts(total=9, errored=9), **(_DONE | {"spent": 0})),
            Details((), read_outcome(nothing)),
        ),
        "rejected": (
            _job(
                JobState.rejected,
                Counts(),
                reason="Nothing was sent or paid: reviews-q3.xlsx is encrypted. Save it without a password and put it in again.",
                spent=0,
                finished_at=START,
            ),
            Details(),
        ),
        "stopped": (_job(JobState.canceled, Counts(total=8019, succeeded=3120, canceled=4899), **_DONE), done),
        "many-columns": _many_columns(),
        "right-to-left": _right_to_left(),
        "hostile": _hostile(),
    }
    now = START + timedelta(minutes=52)
    reports = {name: page(one, now, region=REGION, details=details) for name, (one, details) in shown.items()}
    return reports | _indexes([one for one, _ in shown.values()])


def _indexes(jobs: list[Job]) -> dict[str, bytes]:
    """Of a team, of all jobs, of one where nothing has ended, and of more that wait than it shows."""
    now = START + timedelta(days=1)
    known = [_named(one, number) for number, one in enumerate(jobs)]
    team, everything = known[:9], known
    asks = _job(JobState.held, Counts(total=8019), needs="approval", question=_QUESTION, reason=EVIL)
    # axe needs minutes for a table of 500 rows.
    many = [_named(asks, number) for number in range(55)]
    limit = 100_000_000
    return {
        "index-of-a-team": index_page(merged(None, "outbox/marketing/", "example-bucket", team, now), region=REGION),
        "index-of-all": index_page(merged(None, "outbox/", "example-bucket", everything, now), region=REGION, month_limit=limit),
        "index-at-first": index_page(merged(None, f"outbox/{EVIL}/", "example-bucket", known[:1], now)),
        "index-of-many": index_page(merged(None, "outbox/marketing/", "example-bucket", many, now), region=REGION),
    }


def _named(one: Job, number: int) -> Job:
    return replace(one, id=f"202611{22 + number // 60 % 7}T00{number % 60:02}15Z-{number:016}")


def _many_columns() -> tuple[Job, Details]:
    """As a spreadsheet of a customer service is: short columns, long ones, and long words."""
    said = "Hallo, ich habe folgendes Problem: Reißverschluss klemmt, Rechnungsnummer fehlt; bitte schicken. Gruß, Jörg"
    rows = [
        Sample(
            line=2 + one,
            row={"Nr": f"{one:05}", "Datum": "10.11.2026", "Kanal": "E-Mail", "Kunde": "Müller & Söhne", "Kommentar": said},
            output={"Kategorie": "Lieferung", "Dringlichkeit": str(1 + one % 5), "Antwortentwurf": f"Kundenkommentar: {said}"},
        )
        for one in range(20)
    ]
    values = {"Dringlichkeit": {"5": 60, "1": 100, "10": 20, "3": 61}}
    outcome = read_outcome(_outcome(answers={"values": values, "lengths": [0, 241]}))
    return _job(JobState.done, _ALL, key="inbox/marketing/umfrage/Kundenkommentare November.csv", **_DONE), Details(rows, outcome)


def _right_to_left() -> tuple[Job, Details]:
    labels, texts = ("إيجابي", "سلبي", "محايد"), (ARABIC, "لا أنصح به، تعطّل بعد يومين", "כיסא עם ארבע רגליים, 49.90 ₪")
    rows = [
        Sample(line=2 + one, row={"رقم": f"R-{one:03}", "النص": texts[one % 3]}, output={"التصنيف": labels[one % 3]})
        for one in range(20)
    ]
    counted = dict(zip(labels, (4120, 2331, 1550), strict=True))
    outcome = _outcome(answers={"values": {"التصنيف": counted}, "lengths": [0, 0, 8001]})
    return _job(JobState.done, _ALL, key="inbox/تسويق/مراجعات الربع.csv", **_DONE), Details(rows, read_outcome(outcome))


def _hostile() -> tuple[Job, Details]:
    values = dict(zip((EVIL, BIDI, *(f"{EVIL}{number}" for number in range(14))), repeat(70), strict=False))
    outcome = _outcome(
        answers={"values": {EVIL: values}, "lengths": [1] * 21},
        failures=[{"status": EVIL, "error": EVIL, "message": EVIL, "rows": 10**12, "lines": [10**12]}],
        expected={"accuracy": 1.0, "confusion": {EVIL: {EVIL: 3, BIDI: 2}, ARABIC: {"": 10**9}}},
    )
    rows = [
        Sample(line=one, row={EVIL: EVIL * 5, BIDI: ARABIC * 4, "w" * 80: "w" * 200}, output={EVIL: BIDI}) for one in range(20)
    ]
    recipe = ObjectRef(bucket="example-bucket", key=f"inbox/{EVIL}/recipe.yaml", version_id="v")
    key = f"inbox/{EVIL}/{BIDI}{'a' * 400}{EVIL}.csv"
    counts = Counts(total=10**12, succeeded=1)
    return _job(JobState.done, counts, key=key, recipe=recipe, **_DONE), Details(rows, read_outcome(outcome))
