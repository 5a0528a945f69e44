"""Dropping files and rows from Python, and reading what comes back."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.errors import Forbidden
from batchdrop.domain.records import JobState, RowStatus
from batchdrop.recipes.reading import MAX_BYTES
from batchdrop_client import NotNamed, OtherRecipe, Stack, StackError
from batchdrop_client import uploading as uploading_module
from batchdrop_client.frames import data_frame
from batchdrop_client.rows import Row, merged
from tests.cli.ended_jobs import in_s3, requests_job, table_job
from tests.cli.live_stack import LiveStack, live_stack
from tests.stack import BUCKET, rows

RECIPE = 'model: claude-haiku-4-5\nprompt: "Say something about: {{ text }}"\n'


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveStack]:
    with live_stack(monkeypatch) as live:
        yield live


@pytest.fixture
def stack(live: LiveStack) -> Stack:
    return Stack(BUCKET)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


# ---------------------------------------------------------------- what goes up


def test_rows_become_a_file(live: LiveStack, stack: Stack, recipe: Path) -> None:
    job = stack.drop(({"text": text, "n": n} for n, text in enumerate(["a", "ö"])), "team", recipe=recipe)
    assert live.body("inbox/team/rows.jsonl") == '{"text":"a","n":0}\n{"text":"ö","n":1}\n'.encode()
    assert job.wait().is_complete
    assert [(row.line, row.fields["text"]) for row in job.results()] == [(1, "a"), (2, "ö")]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ([], "There are no rows"),
        ([{"a": 1}, "b"], "Row 2 is no mapping"),
        ([{"a": object()}], "Row 1 cannot be written as JSON"),
        ({"a": 1}, "Rows are mappings"),
        (7, "Rows are mappings"),
        ("missing.csv", "There is no file missing.csv"),
    ],
)
def test_what_are_no_rows(live: LiveStack, stack: Stack, what: Any, sentence: str) -> None:
    with pytest.raises(NotNamed, match=sentence):
        stack.drop(what)
    assert live.keys() == []


class Polars:
    def write_ndjson(self, path: Path) -> None:
        path.write_text('{"text":"a"}\n')


class Pandas:
    def to_json(self, path: Path, **options: object) -> None:
        assert options == {"orient": "records", "lines": True, "date_format": "iso", "force_ascii": False}
        path.write_text('{"text":"a"}\n')


@pytest.mark.parametrize("frame", [Polars(), Pandas()])
def test_a_data_frame_is_rows(live: LiveStack, stack: Stack, frame: Any) -> None:
    stack.drop(frame, name="frame.jsonl")
    assert live.body("inbox/frame.jsonl") == b'{"text":"a"}\n'


def test_a_recipe_may_be_as_long_as_the_stack_allows(live: LiveStack, stack: Stack, recipe: Path) -> None:
    recipe.write_text(f"{RECIPE}# ".ljust(MAX_BYTES, "-"))
    stack.drop([{"text": "a"}], recipe=recipe)
    recipe.write_text(recipe.read_text() + "-")
    with pytest.raises(NotNamed, match="65,537 bytes"):
        stack.drop([{"text": "a"}], recipe=recipe, replace_recipe=True)


def test_a_folder_of_the_stack_comes_first(live: LiveStack, recipe: Path) -> None:
    Stack(BUCKET, folder="red").drop([{"text": "a"}], "eu", recipe=recipe)
    assert live.keys() == ["inbox/red/eu/recipe.yaml", "inbox/red/eu/rows.jsonl"]


def test_what_a_job_is_dropped_with(live: LiveStack, stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rows(1))
    stack.drop(path, reference="order 7", priority="high")
    assert live.client.head_object(Bucket=BUCKET, Key="inbox/a.jsonl")["Metadata"] == {
        "batchdrop-reference": "order 7",
        "batchdrop-priority": "high",
        "batchdrop-sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    for wrong in ({"reference": "ö"}, {"reference": "x" * 201}, {"reference": "a\nb"}, {"priority": "higher"}):
        with pytest.raises(NotNamed):
            stack.drop(path, **wrong)  # type: ignore[arg-type]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading_module, "PART_BYTES", 1000)
    monkeypatch.setattr(uploading_module, "MIB", 1)
    monkeypatch.setattr("moto.settings.S3_UPLOAD_PART_MIN_SIZE", 1, raising=False)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1, raising=False)


@pytest.mark.usefixtures("small_parts")
def test_a_long_file_goes_in_parts(live: LiveStack, stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(rows(60))
    sent: list[int] = []
    job = stack.drop(path, sent=sent.append, reference="order 7")
    assert live.body("inbox/long.jsonl") == path.read_bytes()
    assert (sum(sent), max(sent)) == (path.stat().st_size, 1000)
    assert job.wait().reference == "order 7"


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, OSError])
def test_a_long_file_that_is_stopped_leaves_nothing(
    live: LiveStack, stack: Stack, tmp_path: Path, trouble: type[BaseException]
) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(rows(60))

    def stop(_: int) -> None:
        raise trouble

    with pytest.raises(trouble):
        stack.drop(path, sent=stop)
    assert live.keys() == []
    assert live.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_a_file_that_changes_is_told(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rows(1))
    with pytest.raises(StackError, match="was changed while it was read"):
        stack.drop(path, sent=lambda _: path.write_bytes(rows(2)))


def test_of_two_recipes_at_once_the_second_is_told(
    live: LiveStack, stack: Stack, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = S3Objects.put

    def late(self: S3Objects, key: str, body: bytes, **options: Any) -> bool:
        live.put(key, b"theirs")
        return put(self, key, body, **options)

    monkeypatch.setattr(S3Objects, "put", late)
    with pytest.raises(OtherRecipe, match=r"inbox/recipe\.yaml"):
        stack.drop([{"text": "a"}], recipe=recipe)
    assert live.keys() == ["inbox/recipe.yaml"]
    assert live.body("inbox/recipe.yaml") == b"theirs"


def test_of_two_who_put_the_same_recipe_at_once_both_go_on(
    live: LiveStack, stack: Stack, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = S3Objects.put

    def late(self: S3Objects, key: str, body: bytes, **options: Any) -> bool:
        live.put(key, body)
        return put(self, key, body, **options)

    monkeypatch.setattr(S3Objects, "put", late)
    stack.drop([{"text": "a"}], recipe=recipe)
    assert live.keys() == ["inbox/recipe.yaml", "inbox/rows.jsonl"]


def test_a_job_whose_answers_were_deleted_is_not_waited_for(live: LiveStack, stack: Stack, recipe: Path) -> None:
    job = stack.drop([{"text": "a"}], recipe=recipe)
    assert "has not been looked at yet" in job.status().message
    live.pass_time()
    assert job.status().has_ended
    live.client.delete_object(Bucket=BUCKET, Key=f"{job.folder}status.json")
    with pytest.raises(NotNamed, match="not any more"):
        next(job.watch())


def test_a_recipe_is_replaced_where_that_is_said(live: LiveStack, stack: Stack, recipe: Path) -> None:
    live.put("inbox/recipe.yml", b"theirs")
    with pytest.raises(OtherRecipe):
        stack.drop([{"text": "a"}], recipe=recipe)
    stack.drop([{"text": "a"}], recipe=recipe, replace_recipe=True)
    assert live.keys() == ["inbox/recipe.yml", "inbox/rows.jsonl"]
    assert live.body("inbox/recipe.yml") == RECIPE.encode()


def test_who_may_list_one_folder_alone_gets_403_for_what_is_not_there(
    live: LiveStack, stack: Stack, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = stack.bucket.objects.get

    def guarded(key: str) -> bytes:
        if key not in set(live.keys()):
            raise Forbidden(key, code="AccessDenied")
        return get(key)

    monkeypatch.setattr(stack.bucket.objects, "get", guarded)
    job = stack.drop([{"text": "a"}], "team", recipe=recipe)
    assert job.status().state is JobState.planning
    assert "has not been looked at yet" in job.status().message
    assert job.wait().is_complete


def test_who_may_not_look_at_what_they_dropped_is_told_where_it_is_answered(
    live: LiveStack, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rows(1))

    def closed(self: S3Objects, key: str, version_id: str | None = None) -> Any:
        raise Forbidden(key, code="403")

    monkeypatch.setattr(S3Objects, "head", closed)
    with pytest.raises(StackError, match=r"inbox/a\.jsonl was uploaded, and is answered in a folder below outbox/a/"):
        stack.drop(path)
    assert live.keys() == ["inbox/a.jsonl"]


def test_the_job_is_that_of_this_upload_and_no_later_one(
    live: LiveStack, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rows(1))
    head = stack.bucket.objects.head

    def late(key: str, version_id: str | None = None) -> Any:
        live.put(key, rows(3))
        return head(key, version_id)

    monkeypatch.setattr(stack.bucket.objects, "head", late)
    assert stack.drop(path).wait().counts.total == 1


def test_an_upload_that_is_denied(live: LiveStack, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(rows(1))

    def denied(**_: object) -> None:
        response: Any = {"Error": {"Code": "AccessDenied", "Message": "no \x1b[2J rights"}}
        raise ClientError(response, "PutObject")

    monkeypatch.setattr(stack.bucket.client, "put_object", denied)
    with pytest.raises(StackError, match=r"AWS did not carry out PutObject in the bucket bucket: no \[2J rights"):
        stack.drop(path)


# ---------------------------------------------------------------- what comes back


def test_rows_of_requests_in_order(live: LiveStack, stack: Stack) -> None:
    job = requests_job()
    in_s3(job, live.client, BUCKET)
    found = list(stack.job(job.job().id).results())
    assert [(row.line, row.custom_id, row.status) for row in found] == [
        (1, "row 1", RowStatus.succeeded),
        (2, "row 2", RowStatus.expired),
        (3, "row 3", RowStatus.succeeded),
        (4, "row 4", RowStatus.errored),
        (5, "row 5", RowStatus.errored),
        (6, "row 6", RowStatus.succeeded),
    ]
    assert found[0].message is not None
    assert found[0].answer == found[0].message["content"][0]["text"]
    assert isinstance(found[0].cost_usd, Decimal)
    assert (found[4].answer, found[4].error, found[4].fields) == (None, "Too long", {})


def test_rows_of_a_table_with_their_columns(live: LiveStack, stack: Stack) -> None:
    job = table_job()
    in_s3(job, live.client, BUCKET)
    found = list(stack.job(job.job().id).results())
    assert [row.line for row in found] == [2, 3, 4, 5, 6]
    assert found[0].fields == {"id": "1", "text": "What a great lamp"}
    assert (found[0].output, found[0].answer) == ({"label": "positive"}, "positive")
    assert found[1].fields["text"] == "=1+1 Bad. It broke"
    assert (found[1].status, found[1].cost_usd) == (RowStatus.expired, Decimal(0))


def test_a_job_that_goes_on_has_no_results(stack: Stack, recipe: Path) -> None:
    job = stack.drop([{"text": "a"}], recipe=recipe)
    with pytest.raises(StackError, match="has not ended"):
        job.results()


def test_a_message_that_no_parser_likes() -> None:
    line = (
        rb'{"custom_id":"a","line":1,"attempts":1,"cost_usd":0.1,"result":{"type":"succeeded","message":'
        rb'{"content":[{"type":"text","text":"half \ud83d"}],"x":1e999}}}'
    )
    (row,) = merged(BytesIO(line + b"\n"), None)
    assert (row.line, row.cost_usd) == (1, Decimal("0.1"))
    assert row.answer == "half \ud83d"


def test_a_line_that_is_not_ours() -> None:
    with pytest.raises(StackError, match="Line 2"):
        list(merged(BytesIO(b"\n{}\n"), None))


def test_files_are_read_as_they_come(live: LiveStack, stack: Stack) -> None:
    """Not all of it before the first row."""
    job = requests_job()
    in_s3(job, live.client, BUCKET)
    rows_of = stack.job(job.job().id).results()
    assert next(rows_of).line == 1
    rows_of.close()  # type: ignore[attr-defined]


def became(row: int, status: str, error: str, usd: float | None) -> dict[str, object]:
    return {"batchdrop_row": row, "batchdrop_status": status, "batchdrop_error": error, "batchdrop_usd": usd}


def test_a_frame_has_the_columns_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "polars"):
        module = ModuleType(name)
        module.DataFrame = lambda records, name=name, **options: (name, options, records)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    found = [
        Row(line=2, status=RowStatus.succeeded, fields={"id": "1"}, output={"label": "good"}, cost_usd=Decimal("0.5")),
        Row(line=3, status=RowStatus.expired, custom_id="x", error="late"),
    ]
    library, _, records = data_frame(found)
    assert library == "pandas"
    assert records == [
        {
            "id": "1",
            "label": "good",
            "batchdrop_row": 2,
            "batchdrop_status": "succeeded",
            "batchdrop_error": "",
            "batchdrop_usd": 0.5,
        },
        {"custom_id": "x", "batchdrop_row": 3, "batchdrop_status": "expired", "batchdrop_error": "late", "batchdrop_usd": None},
    ]
    assert data_frame(found, "polars")[:2] == ("polars", {"infer_schema_length": None})
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(StackError, match="There is no polars here"):
        data_frame(found, "polars")


def test_a_saved_file_has_the_rights_of_any_other(live: LiveStack, stack: Stack, tmp_path: Path) -> None:
    job = table_job()
    in_s3(job, live.client, BUCKET)
    path = stack.job(job.job().id).save(tmp_path / "a.csv")
    other = tmp_path / "other"
    other.touch()
    assert os.stat(path).st_mode == os.stat(other).st_mode
    assert json.loads(stack.job(job.job().id).save(tmp_path / "a.jsonl").read_text().splitlines()[0])["line"] == 2
