"""Tables in the documents say what the code and the template say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from batchdrop.adapters.version_0_1_0 import partition
from batchdrop.domain.errors import Refused
from batchdrop.domain.marks import MARKED
from batchdrop.domain.open_work import OpenWork, waiting_in
from batchdrop.domain.records import Streak
from batchdrop.domain.refusals import Cause
from batchdrop.domain.transitions import BATCH_EDGES, JOB_EDGES
from batchdrop.formats import lines, rawjson
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from batchdrop.reports import sentences
from local.stages import STAGES
from tests.adapters.records import job
from tests.docs.pages import METRICS, ROOT, code, commands, first_cells, section, table_rows
from tests.fakes.clock import START
from tests.template import facts
from tests.template.facts import of_type

_LAYER = ROOT / "layers" / "core" / "batchdrop"
_ARCHITECTURE = ROOT / "docs" / "architecture.md"
_LIMITS = ROOT / "docs" / "limits.md"
_LOCAL = ROOT / "docs" / "local-development.md"
_OPERATIONS = ROOT / "docs" / "operations.md"
_SECURITY = ROOT / "docs" / "security.md"
_TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
_TEMPLATE = facts.source()
_TABLE_WORDS = {
    "dynamodb:GetItem": "get",
    "dynamodb:BatchGetItem": "get",
    "dynamodb:PutItem": "put",
    "dynamodb:UpdateItem": "update",
    "dynamodb:ConditionCheckItem": "check",
    "dynamodb:Query": "query",
    "dynamodb:DeleteItem": "delete",
}


def _bare(cell: str) -> str:
    return cell.strip("`")


def test_transitions() -> None:
    job, batch = section(_ARCHITECTURE, "States").split("\nBatch:\n")
    for text, edges in ((job, JOB_EDGES), (batch, BATCH_EDGES)):
        told = {(_bare(before), _bare(after)) for before, after, _ in table_rows(text)}
        pairs = {(source, target) for edge in edges.values() for source in edge.sources for target in edge.leads_to(source)}
        assert told == {(source.value, target.value) for source, target in pairs if source is not target}


def test_open_work() -> None:
    told = {_bare(row[0]) for row in table_rows(section(_ARCHITECTURE, "The table"))}
    partitions = {partition(work) for work in OpenWork}
    assert partitions <= told
    assert told - partitions == {
        "JOB#<job id>",
        "API#<batch id>",
        "ADMISSION",
        "SWITCH",
        "MODELS",
        "GROUP#<key>",
        "MARK#<job id>",
        "MONEY#<purse>",
        "RECIPES#<team>",
        MARKED,
        waiting_in("<job id>"),
    }


def test_functions() -> None:
    assert sorted(_bare(row[0]) for row in table_rows(section(_ARCHITECTURE, "The functions"))) == list(STAGES)


def test_each_alarm_has_a_page() -> None:
    titles = re.findall(r"^### (\w+Alarm)$", _OPERATIONS.read_text(), re.MULTILINE)
    assert sorted(titles) == sorted(of_type(_TEMPLATE["Resources"], "AWS::CloudWatch::Alarm"))
    for title in titles:
        page = section(_OPERATIONS, title)
        assert all(word in page for word in ("**Means**", "**Look at**", "**Do**", "**Over when**")), title


def test_alarms_and_metrics_are_counted() -> None:
    alarms = of_type(_TEMPLATE["Resources"], "AWS::CloudWatch::Alarm")
    [told] = re.findall(r"\| (\d+ alarms, \d+ metrics) \|", (ROOT / "docs" / "cost.md").read_text())
    assert told == f"{len(alarms)} alarms, {len(METRICS)} metrics", "docs/cost.md counts them"
    assert {one["MetricName"] for one in alarms.values() if one["Namespace"] == "Batchdrop"} <= METRICS
    assert set(code(_ARCHITECTURE)) >= METRICS


def test_log_lines_exist() -> None:
    """What operators are told to search the logs for, a few lowercase words between backticks, is logged somewhere."""
    named = {text for text in code(_OPERATIONS) if re.fullmatch(r"[a-z]+(?: [A-Za-z]+)+", text)}
    logged = {
        text
        for path in (ROOT / "layers" / "core" / "batchdrop").rglob("*.py")
        for text in re.findall(r'log\.\w+\(\s*"([^"]+)"', path.read_text())
    }
    assert {"message failed", "create refused"} <= named
    assert sorted(named - logged) == []


def test_quoted_sentences_exist() -> None:
    """What a person sees, between quotation marks in a first column, is said by a report or by the laptop system."""
    cells = "\n".join(first_cells(_TROUBLESHOOTING.read_text()))
    quoted = {text.replace("...", "").strip() for text in re.findall(r'"([^"\n]+)"', cells)}
    said = [text for text in vars(sentences).values() if isinstance(text, str)]
    said.append(sentences.blocked(Refused("no", status=401, kind="authentication_error"), Cause.key))
    streak = Streak(error_type="invalid_request_error", message="no", since=START, next_at=START)
    said.append(sentences.refused_so_far(streak))
    said.append(sentences.out_of_reach(Refused("no", status=401, kind="authentication_error"), Cause.key))
    said.append(sentences.sent_without_answer(3, None))
    said += [sentences.waits_for_recipe("inbox/a/b.csv"), sentences.faulty_recipe(""), sentences.unfit_table("a", "")]
    said += [sentences.no_recipe_came(""), sentences.power_not_allowed("a"), sentences.waits_in_line("a", 1)]
    said += [sentences.text_before_its_recipe("inbox/a/b.txt"), sentences.misnamed_recipe("inbox/a/Recipe.yaml")]
    said += [sentences.documents_taken("inbox/a/", 1, job(), several=False), sentences.is_a_document("inbox/a/b.txt")]
    said += [path.read_text() for path in (ROOT / "local").glob("*.py")]
    said += [path.read_text() for floor in ("domain", "formats", "recipes") for path in (_LAYER / floor).glob("*.py")]
    assert len(quoted) > 1
    assert sorted(text for text in quoted if not any(text in one for one in said)) == []


def test_outputs_exist() -> None:
    named = set(
        re.findall(
            r"(?:\$\((?:output|arn)|^output|^arn) ([A-Z]\w+)",
            "\n".join([*commands(_OPERATIONS), *code(_OPERATIONS)]),
            re.MULTILINE,
        )
    )
    assert named <= set(_TEMPLATE["Outputs"])
    assert "AlarmTopic" in named


def test_parameters_of_the_limits() -> None:
    told = {_bare(row[0]): row[1] for row in table_rows(section(_LIMITS, "Parameters"))}
    numbers = {name: str(one["Default"]) for name, one in _TEMPLATE["Parameters"].items() if one["Type"] == "Number"}
    assert told == numbers


def test_constants_of_the_limits() -> None:
    text = _LIMITS.read_text()
    assert f"| one line | {lines.MAX_LINE_BYTES:,} bytes |" in text
    assert f"| nesting of a line | {rawjson.MAX_DEPTH} |" in text
    assert f"| one number | {rawjson.MAX_NUMBER_CHARS:,} characters" in text


def test_how_many_run_at_once() -> None:
    functions = of_type(_TEMPLATE["Resources"], "AWS::Serverless::Function")
    bounded = {
        name.removesuffix("Function").lower()
        for name, function in functions.items()
        for event in function.get("Events", {}).values()
        if event["Properties"]["ScalingConfig"]
    }
    told = section(_LIMITS, "Speed")
    assert "plan and collect: `MaxConcurrency` each" in told
    assert bounded == {"plan", "collect"}


@pytest.mark.parametrize("stage", STAGES)
def test_permissions(stage: str) -> None:
    """The row of each function in docs/security.md, rebuilt from its role."""
    role = f"{stage.capitalize()}Role"
    granted: dict[str, set[str]] = {}
    listed: set[str] = set()
    for statement in facts.statements(_TEMPLATE["Resources"]):
        if statement.role == role:
            for action in statement.actions:
                granted.setdefault(action, set()).update(json.dumps(resource) for resource in statement.resources)
            if "s3:ListBucket" in statement.actions:
                listed |= _folders({f"/{prefix}" for prefix in statement.condition["StringLike"]["s3:prefix"]})
    told = next(row for row in table_rows(section(_SECURITY, "What each function may do")) if _bare(row[0]) == stage)
    table = {word for action, word in _TABLE_WORDS.items() if action in granted}
    table |= {"index" for one in granted.get("dynamodb:Query", set()) if "index/open" in one}
    assert set(re.findall(r"`(\w+)/`", told[1])) == _folders(granted.get("s3:GetObject", set()))
    assert set(re.findall(r"`(\w+)/`", told[2])) == _folders(granted["s3:PutObject"])
    assert set(re.findall(r"`(\w+)/`", told[3])) == _folders(
        granted.get("s3:DeleteObject", set()) | granted.get("s3:DeleteObjectVersion", set())
    )
    assert set(told[4].split(", ")) == table
    queues = {queue for one in granted.get("sqs:SendMessage", set()) for queue in re.findall(r"(\w+)Queue", one)}
    assert set(re.findall(r"\w+", told[5])) == queues
    assert told[6] == ("yes" if "secretsmanager:GetSecretValue" in granted else "no")
    assert told[7] == ("yes" if "ssm:GetParameter" in granted else "no")
    assert ("publish" in told[8]) == ("sns:Publish" in granted)
    # Said below the table, of all functions alike; poll lists the folders that it may remove.
    assert listed == _folders(granted.get("s3:GetObject", set())) | ({"work"} if stage == "poll" else set())
    assert ("sqs:ReceiveMessage" in granted) == (stage != "poll")


def test_permissions_without_a_key() -> None:
    prefix = "aws-external-anthropic:"
    granted = {
        statement.role.removesuffix("Role").lower(): sorted(action.removeprefix(prefix) for action in statement.actions)
        for statement in facts.statements(_TEMPLATE["Resources"], facts.KEYLESS)
        if statement.sid == "Workspace"
    }
    told = {_bare(row[0]): sorted(re.findall(r"`(\w+)`", row[1])) for row in table_rows(section(_SECURITY, "Without a key"))}
    assert told == granted


def test_who_may_delete() -> None:
    """The sentences below the table, each with "Only" and the names of functions."""
    may = {
        kind: {
            entry.role.removesuffix("Role").lower() for entry in facts.statements(_TEMPLATE["Resources"]) if kind in entry.actions
        }
        for kind in ("dynamodb:DeleteItem", "s3:DeleteObject", "s3:DeleteObjectVersion")
    }
    text = section(_SECURITY, "What each function may do")
    for kind, words in (
        ("dynamodb:DeleteItem", "delete an item"),
        ("s3:DeleteObject", "delete an object"),
        ("s3:DeleteObjectVersion", "remove versions"),
    ):
        (told,) = re.findall(rf"Only ([^.:]+?) may {words}", text)
        assert re.findall(r"`(\w+)`", told) == sorted(may[kind])


def _folders(resources: set[str]) -> set[str]:
    return {folder for one in resources for folder in re.findall(r"/(config|inbox|outbox|work|control)/\*", one)}


def test_each_function_is_shown_in_a_container() -> None:
    assert sorted(re.findall(r"^make invoke FUNCTION=(\w+)$", "\n".join(commands(_LOCAL)), re.MULTILINE)) == list(STAGES)


def test_the_broken_rows_of_the_example() -> None:
    told = {int(row[0]): row[2] for row in _rows_by_number(ROOT / "examples" / "README.md")}
    judged = [
        REQUESTS.check(Line(number, 0, 0, data, cut=False))
        for number, data in enumerate((ROOT / "examples" / "reviews.jsonl").read_bytes().splitlines(), 1)
    ]
    invalid = {row.line: f"`invalid` (`{row.type}`)" for row in judged if isinstance(row, InvalidLine)}
    assert {line: end for line, end in told.items() if line in invalid} == invalid
    assert sorted(set(told) - set(invalid)) == [35, 46]  # a repeated id, which no line shows alone, and what the API finds


def _rows_by_number(page: Path) -> list[list[str]]:
    return [re.split(r" *\| *", line.strip("| ")) for line in page.read_text().splitlines() if re.match(r"\| \d", line)]
