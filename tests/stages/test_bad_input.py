"""Every kind of bad input: a clear error with its line; the good rows go, nothing is lost, nothing hopeless is sent."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from batchdrop.domain.errors import ObjectGone, OutOfDisk
from batchdrop.domain.open_work import OpenWork
from batchdrop.domain.records import BatchState, Counts, JobState
from batchdrop.stages.plan.seen_ids import IdSet
from tests.faults.scenarios import EXPIRED
from tests.stack import Stack, row, rows
from tests.stages.row_jobs import RECIPE
from tests.workbooks import packed

GOOD = row("good")
NUMBER = b"1" * 10_000


def line_with(**params: object) -> bytes:
    fields: dict[str, object] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], **params}
    return json.dumps({"params": {name: value for name, value in fields.items() if value is not ...}}).encode()


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "not utf-8": (b'{"params": {"model": "\xff"}}', "not_utf8"),
    "not json": (b"hello", "not_json"),
    "two values": (GOOD + b" {}", "not_json"),
    "an array": (b"[1, 2]", "not_an_object"),
    "a string": (b'"x"', "not_an_object"),
    "duplicate key": (GOOD[:-1] + b', "custom_id": "again"}', "duplicate_key"),
    "duplicate key in params": (GOOD.replace(b'"max_tokens": 10', b'"max_tokens": 10, "max_tokens": 11'), "duplicate_key"),
    "NaN": (line_with(temperature=float("nan")), "not_a_number"),
    "Infinity": (line_with(temperature=float("inf")), "not_a_number"),
    "lone surrogate": (GOOD.replace(b"Hello", b"\\ud800"), "lone_surrogate"),
    "100,000 deep": (b'{"params": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
    "10,000 digits": (GOOD.replace(b'"max_tokens": 10', b'"max_tokens": 10, "x": ' + NUMBER), "number_out_of_range"),
    "no params": (b'{"custom_id": "a"}', "missing_params"),
    "params a string": (b'{"params": "x"}', "invalid_params"),
    "no model": (line_with(model=...), "missing_model"),
    "model a number": (line_with(model=5), "invalid_model"),
    "no max_tokens": (line_with(max_tokens=...), "missing_max_tokens"),
    "max_tokens 0": (line_with(max_tokens=0), "invalid_max_tokens"),
    "max_tokens negative": (line_with(max_tokens=-1), "invalid_max_tokens"),
    "max_tokens float": (line_with(max_tokens=1.5), "invalid_max_tokens"),
    "max_tokens string": (line_with(max_tokens="5"), "invalid_max_tokens"),
    "max_tokens true": (line_with(max_tokens=True), "invalid_max_tokens"),
    "no messages": (line_with(messages=...), "missing_messages"),
    "messages empty": (line_with(messages=[]), "invalid_messages"),
    "messages a string": (line_with(messages="x"), "invalid_messages"),
    "stream": (line_with(stream=True), "unsupported_parameter"),
    "custom_id empty": (row(""), "invalid_custom_id"),
    "custom_id a number": (GOOD.replace(b'"good"', b"5"), "invalid_custom_id"),
    "custom_id an object": (GOOD.replace(b'"good"', b"{}"), "invalid_custom_id"),
    "custom_id repeated": (GOOD, "duplicate_custom_id"),
    "unknown field": (GOOD[:-1] + b', "paramz": 1}', "unknown_field"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_reported_and_the_good_ones_go(name: str) -> None:
    bad, error = BAD_LINES[name]
    stack = Stack()
    stack.drop("inbox/mixed.jsonl", b"\n".join([GOOD, bad, row("last")]))
    stack.run()
    assert [result["custom_id"] for result in stack.lines("results.jsonl")] == ["good", "last"]
    (failed,) = stack.lines("failed.jsonl")
    note = failed["_batchdrop"]
    assert (note["line"], note["status"], note["attempts"]) == (2, "invalid", 0)
    assert note["error"]["type"] == error
    assert len(note["error"]["message"]) > 15
    counts = stack.document("manifest.json")["counts"]
    assert (counts["total"], counts["succeeded"], counts["invalid"]) == (3, 2, 1)
    assert len(stack.claude.custom_ids()) == 2


@pytest.mark.parametrize("name", [name for name in BAD_LINES if name != "custom_id repeated"])
def test_a_file_of_one_bad_line_is_rejected(name: str) -> None:
    stack = Stack()
    stack.drop("inbox/bad.jsonl", BAD_LINES[name][0])
    stack.run()
    status = stack.document("status.json")
    assert status["state"] == "rejected"
    assert status["message"] == "The only row cannot be sent; failed.jsonl gives the reason."
    assert stack.document("manifest.json")["state"] == "rejected"
    assert len(stack.lines("failed.jsonl")) == 1
    assert not stack.claude.bodies


def test_a_repeated_custom_id_is_found_across_batches() -> None:
    stack = Stack(max_requests=2)
    stack.drop("inbox/a.jsonl", b"\n".join(row(name) for name in "abcdefa"))
    stack.run()
    (failed,) = stack.lines("failed.jsonl")
    assert failed["_batchdrop"]["line"] == 7


@pytest.mark.parametrize(
    ("body", "sentence"),
    [(b"", "The file is empty"), (b"\n \r\n\t\n", "has no rows"), (gzip.compress(b"", mtime=0), "The file is empty")],
    ids=["empty", "blank", "empty gzip"],
)
def test_a_file_without_rows_is_rejected(body: bytes, sentence: str) -> None:
    stack = Stack()
    stack.drop("inbox/none.jsonl", body)
    stack.run()
    assert sentence in stack.document("status.json")["message"]
    assert stack.document("manifest.json")["counts"]["total"] == 0


@pytest.mark.parametrize(
    "body",
    [b"\xef\xbb\xbf" + GOOD, GOOD + b"\r\n", GOOD, b"\n\n" + GOOD + b"\n\n", gzip.compress(GOOD, mtime=0)],
    ids=["bom", "crlf", "no newline", "blank lines", "gzip by content"],
)
def test_harmless_spellings_are_read(body: bytes) -> None:
    stack = Stack()
    stack.drop("inbox/ok.jsonl", body)
    stack.run()
    assert stack.document("manifest.json")["counts"]["succeeded"] == 1


def test_a_line_beyond_the_limit_costs_one_row() -> None:
    stack = Stack(max_input_bytes=100_000_000)
    stack.drop("inbox/long.jsonl", GOOD + b"\n" + b'{"x": "' + b"y" * 40_000_000 + b'"}\n' + row("last"))
    stack.run()
    (failed,) = stack.lines("failed.jsonl")
    assert failed["_batchdrop"]["error"]["type"] == "line_too_long"
    assert len(failed["_batchdrop"]["raw"]) == 1000
    assert len(stack.lines("results.jsonl")) == 2


class TestGzip:
    def test_several_members(self) -> None:
        stack = Stack()
        stack.drop("inbox/a.jsonl.gz", gzip.compress(row("a") + b"\n") + gzip.compress(row("b") + b"\n"))
        stack.run()
        assert [result["custom_id"] for result in stack.lines("results.jsonl")] == ["a", "b"]

    def test_plain_text_with_a_gz_name(self) -> None:
        stack = Stack()
        stack.drop("inbox/a.jsonl.gz", row("a"))
        stack.run()
        assert stack.document("manifest.json")["counts"]["succeeded"] == 1

    def test_truncated(self) -> None:
        stack = Stack()
        text = b"\n".join(row(f"id {i}", str(zlib.crc32(b"%d" % i)) * 5) for i in range(500))
        stack.drop("inbox/a.jsonl.gz", gzip.compress(text)[:-2000])
        stack.run()
        failed = stack.lines("failed.jsonl")[-1]
        assert failed["_batchdrop"]["error"]["type"] == "gzip_truncated"
        counts = stack.document("manifest.json")["counts"]
        assert counts["invalid"] == 1
        assert 100 < counts["succeeded"] < 500
        assert failed["_batchdrop"]["line"] == counts["succeeded"] + 1

    def test_corrupt(self) -> None:
        stack = Stack()
        packed = bytearray(gzip.compress(GOOD))
        packed[-8] ^= 0xFF
        stack.drop("inbox/a.jsonl.gz", bytes(packed))
        stack.run()
        assert stack.document("manifest.json")["counts"]["invalid"] == 1
        assert stack.lines("failed.jsonl")[0]["_batchdrop"]["error"]["type"] == "gzip_corrupt"

    def test_a_bomb_is_rejected_and_leaves_nothing(self) -> None:
        stack = Stack(max_input_bytes=1_000_000)
        stack.drop("inbox/bomb.jsonl.gz", gzip.compress(b"x" * 20_000_000))
        stack.run()
        assert stack.document("status.json")["state"] == "rejected"
        assert "1,000,000" in stack.document("status.json")["message"]
        assert not stack.objects.keys("work/")


def test_a_file_over_the_limit_is_rejected() -> None:
    stack = Stack(max_input_bytes=100)
    stack.drop("inbox/big.jsonl", row("a") * 3)
    stack.run()
    assert "limit" in stack.document("status.json")["message"]


@pytest.mark.parametrize(
    "name",
    [
        "a+b.jsonl",
        "a b.jsonl",
        "a%20b.jsonl",
        "ü/日本 «x».jsonl",
        "\"'&<>.jsonl",
        "x" * 900 + ".jsonl",
        "no-ending",
        "UPPER.JSONL.GZ",
    ],
)
def test_odd_keys(name: str) -> None:
    stack = Stack()
    stack.drop(f"inbox/{name}", GOOD)
    stack.run()
    (key,) = [key for key in stack.objects.keys("outbox/") if key.endswith("manifest.json")]
    assert len(key.encode()) <= 1024
    assert stack.document("manifest.json")["counts"]["succeeded"] == 1


def test_the_longest_key_s3_allows() -> None:
    stack = Stack()
    stack.drop("inbox/" + "ü" * 509, GOOD)
    stack.run()
    assert all(len(key.encode()) <= 1024 for key in stack.objects.keys("outbox/"))
    assert stack.document("manifest.json")["counts"]["succeeded"] == 1


@pytest.mark.parametrize("key", ["inbox/folder/", "inbox/team/recipe.yaml"])
def test_folder_markers_and_recipes_are_no_work(key: str) -> None:
    stack = Stack()
    stack.drop(key, b"")
    stack.run()
    assert not stack.jobs()
    assert not stack.objects.keys("outbox/")


def test_an_object_deleted_before_it_is_read() -> None:
    stack = Stack()
    upload = stack.drop("inbox/gone.jsonl", GOOD, deliver=False)
    stack.objects.purge("inbox/gone.jsonl")
    stack.deliver(upload)
    (status,) = [key for key in stack.objects.keys("outbox/") if key.endswith("status.json")]
    document = json.loads(stack.objects.body(status))
    assert document["state"] == "rejected"
    assert "deleted before it could be read" in document["message"]


def test_an_object_deleted_while_it_is_read() -> None:
    stack = Stack()

    def gone(name: str) -> None:
        if name == "objects.read":
            raise ObjectGone("gone")

    stack.hooks.before = gone
    stack.drop("inbox/gone.jsonl", GOOD)
    stack.hooks.clear()
    assert stack.document("status.json")["state"] == "rejected"
    assert not stack.failures


def test_an_input_deleted_before_submission_ends_its_rows() -> None:
    stack = Stack()
    stack.drop("inbox/gone.jsonl", GOOD)
    stack.objects.purge("inbox/gone.jsonl")
    stack.run()
    counts = stack.document("manifest.json")["counts"]
    assert (counts["total"], counts["errored"]) == (1, 1)
    assert stack.lines("failed.jsonl")[0]["_batchdrop"]["error"]["type"] == "input_deleted"
    assert not stack.claude.bodies


def test_an_input_deleted_before_collection_keeps_its_answers() -> None:
    stack = Stack()
    stack.drop("inbox/gone.jsonl", b"\n".join([row("a"), b"bad", row("b")]))
    stack.pump()
    stack.objects.purge("inbox/gone.jsonl")
    stack.run()
    assert [(result["line"], result["custom_id"]) for result in stack.lines("results.jsonl")] == [(1, "line-1"), (3, "line-3")]
    assert stack.document("manifest.json")["counts"]["invalid"] == 1


def test_failed_jsonl_can_be_dropped_again() -> None:
    stack = Stack()
    stack.drop("inbox/first.jsonl", b"\n".join([GOOD, b"bad", line_with(max_tokens=0)]))
    stack.run()
    failed = stack.output("failed.jsonl")
    stack.clock.advance(1)
    stack.drop("inbox/again.jsonl", failed)
    stack.run()
    second = stack.jobs()[-1]
    types = [row["_batchdrop"]["error"]["type"] for row in stack.lines("failed.jsonl", second)]
    assert len(types) == 2
    assert types[1] == "invalid_max_tokens"
    assert stack.lines("failed.jsonl", second)[1]["custom_id"] == "line-3"


def test_a_file_that_goes_away_half_read_is_rejected_and_leaves_nothing_waiting() -> None:
    stack = Stack(max_requests=1000, timeout=60)

    def slow_and_then_gone(name: str) -> None:
        if name == "ledger.commit.added":
            stack.clock.advance(50)
            stack.objects.purge("inbox/long.jsonl")

    stack.hooks.after = slow_and_then_gone
    stack.drop("inbox/long.jsonl", b"\n".join(row(f"id {i}") for i in range(9000)))
    stack.hooks.clear()
    assert stack.job().batches_total > 0
    stack.run()
    manifest = stack.document("manifest.json")
    assert manifest["state"] == "rejected"
    assert "deleted while it was being read" in manifest["message"]
    assert manifest["counts"]["canceled"] == manifest["counts"]["total"] == stack.job().counts.total
    assert not stack.claude.bodies
    assert not list(stack.ledger.list_open_batches(OpenWork.waiting))


def test_more_custom_ids_than_the_disk_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: IdSet, digests: list[bytes]) -> list[bool]:
        raise OutOfDisk(f"no room for {len(digests)}")

    monkeypatch.setattr(IdSet, "add_all", full)
    stack = Stack()
    stack.drop("inbox/ids.jsonl", GOOD)
    assert "more custom_id values than this stack can check" in stack.document("status.json")["message"]


def test_a_repeated_custom_id_of_millions_of_characters_stops_nobody() -> None:
    """The list of invalid lines is read again by submit and collect: a message in it must not outgrow a line."""
    stack = Stack(max_input_bytes=10**9)
    huge = b'{"custom_id":"%b",' % (b'\\"' * 10_700_000) + row("x").split(b",", 1)[1].lstrip()
    stack.drop("inbox/a.jsonl", b"\n".join([huge, huge, row("good")]))
    lists = [key for key in stack.objects.keys("work/") if "invalid-" in key]
    assert [len(stack.objects.body(key)) < 2_000 for key in lists] == [True]
    stack.run(60)
    assert stack.failures == []
    assert stack.job().state == "done"
    assert stack.job().counts == Counts(total=3, succeeded=2, invalid=1)
    assert stack.ledger.get_admission().queued == 0


def test_a_late_event_of_a_deleted_version_leaves_its_running_job_alone() -> None:
    stack = Stack()
    upload = stack.drop("inbox/a.jsonl", rows(2))
    stack.pump()
    stack.objects.purge("inbox/a.jsonl")
    stack.deliver(upload)
    assert stack.document("status.json")["state"] == "running"
    stack.run()
    assert stack.document("manifest.json")["state"] == "done"
    assert stack.document("status.json")["state"] == "done"


def test_a_row_whose_input_is_gone_is_not_sent_again() -> None:
    """There is nothing left to send."""
    stack = Stack()
    stack.claude.answer = lambda custom_id, params: EXPIRED
    stack.drop("inbox/gone.jsonl", rows(2))
    stack.pump()
    stack.objects.purge("inbox/gone.jsonl")
    stack.run()
    assert stack.document("manifest.json")["counts"]["expired"] == 2
    assert len(stack.claude.bodies) == 1


MIXED = b"\n".join([row("a"), b"bad", row("a"), row("b"), b""])
"""Rows 1 and 4 can be sent."""


def _damage(stack: Stack, how: str) -> None:
    for key in stack.objects.keys("work/"):
        body = stack.objects.body(key)
        stack.objects.purge(key)
        if how != "gone":
            stack.objects.drop(key, body[:-20] if how == "cut" else body.replace(b'"type"', b'"typo"', 1))


@pytest.mark.parametrize("how", ["gone", "cut", "not ours"])
@pytest.mark.parametrize("sent", [False, True])
def test_a_list_of_invalid_rows_that_cannot_be_read_ends_its_job(how: str, *, sent: bool) -> None:
    """Rows that have an answer keep it; of the others nobody knows which are invalid."""
    stack = Stack()
    stack.drop("inbox/a.jsonl", MIXED)
    if sent:
        stack.pump()
    _damage(stack, how)
    stack.run()
    assert stack.document("status.json")["state"] == "done"
    assert [line["line"] for line in stack.lines("results.jsonl")] == ([1, 4] if sent else [])
    failed = [line["_batchdrop"] for line in stack.lines("failed.jsonl")]
    assert [note["line"] for note in failed] == ([2, 3] if sent else [1, 2, 3, 4])
    assert {(note["status"], note["error"]["type"]) for note in failed} == {("invalid", "unlisted")}
    assert stack.ledger.get_admission().queued == 0
    assert stack.failures == []
    assert stack.audit() == []


def test_rows_that_are_not_known_to_be_valid_can_be_dropped_again() -> None:
    stack = Stack()
    stack.drop("inbox/first.jsonl", MIXED)
    _damage(stack, "gone")
    stack.run()
    again = stack.output("failed.jsonl")
    stack.clock.advance(1)
    stack.drop("inbox/again.jsonl", again)
    stack.run()
    assert [line["custom_id"] for line in stack.lines("results.jsonl", stack.jobs()[-1])] == ["a", "b"]


@pytest.mark.parametrize("sent", [False, True])
def test_input_and_list_may_both_be_gone(*, sent: bool) -> None:
    stack = Stack()
    stack.drop("inbox/a.jsonl", MIXED)
    if sent:
        stack.pump()
    _damage(stack, "gone")
    stack.objects.purge("inbox/a.jsonl")
    stack.run()
    counts = stack.document("manifest.json")["counts"]
    assert (counts["total"], counts["succeeded"]) == (4, 2 if sent else 0)
    assert stack.failures == []


def test_answers_are_waited_for_though_the_list_cannot_be_read() -> None:
    stack = Stack()
    stack.claude.line_lag = lambda custom_id: 3600.0 if custom_id.endswith("4") else 0.0
    stack.drop("inbox/a.jsonl", MIXED)
    stack.pump()
    _damage(stack, "gone")
    stack.run()
    assert [line["line"] for line in stack.lines("results.jsonl")] == [1, 4]
    assert stack.audit() == []


@pytest.mark.parametrize("submitted", [False, True])
def test_a_read_that_leaves_rows_out_is_repeated(monkeypatch: pytest.MonkeyPatch, submitted: bool) -> None:
    """Neither are the others sent without them, nor collected."""
    stack = Stack()
    stack.drop("inbox/a.jsonl", rows(3))
    if submitted:
        stack.pump()
    whole = stack.objects.cut
    with monkeypatch.context() as patch:
        patch.setattr(stack.objects, "cut", lambda ref, start, end: whole(ref, start, end).partition(b"\n")[0])
        stack.step()
    (batch,) = stack.batches()
    assert batch.state is (BatchState.ended if submitted else BatchState.ready)
    stack.run()
    assert len(stack.lines("results.jsonl")) == 3
    assert stack.audit() == []


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("scan.tiff", b"II*\0\x08\0\0\0\n\xff\n\xfe", "This is a TIFF image, which is not read. Save it as PNG or PDF."),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "This is a HEIC image"),
        ("old.bmp", b"BM\x36\0\0\0\0\0\0\0\x36\0", "This is a BMP image"),
        ("letter.rtf", b"{\\rtf1\\ansi", "This is an RTF document, which is not read. Save it as PDF."),
        ("letter.docx", packed({"_rels/.rels": "", "word/document.xml": ""}), "This is a Word document, which is not read."),
        ("scan", b"%PDF-1.7\n", "Name it so that it ends in .pdf"),
        ("letter.csv", b"%PDF-1.7\n", "Name it so that it ends in .pdf"),
        ("Recipe.yaml", RECIPE, "looks like a recipe. Name it recipe.yaml"),
        ("recipe.txt", RECIPE, "looks like a recipe. Name it recipe.yaml"),
        ("Recipe.yaml.txt", RECIPE, "looks like a recipe. Name it recipe.yaml"),
        ("recipe.yml.txt", RECIPE, "looks like a recipe. Name it recipe.yaml"),
        (
            "notes.txt",
            "Was für ein Tag\n".encode(),
            "holds text, and no rows. To ask about each document of the folder, put a recipe",
        ),
        ("notes.md", b"# Notes\nmodel: T", 'with documents: ["{{ path }}"], and create the folder start in it'),
    ],
)
def test_what_is_no_file_of_rows_is_told_what_it_is(name: str, body: bytes, says: str) -> None:
    stack = Stack()
    stack.drop(f"inbox/team/{name}", body)
    stack.run(5)
    assert stack.job().state is JobState.rejected
    assert says in stack.document("status.json")["message"]
    assert "Nothing was sent or paid" in stack.document("status.json")["message"]
    assert not [key for key in stack.objects.keys("outbox/") if key.endswith("failed.jsonl")]


@pytest.mark.parametrize("body", [b'{"custom_id": "a", params', b"[1]", row("a")])
def test_a_text_with_lines_of_json_is_a_file_of_requests_whatever_is_wrong_with_them(body: bytes) -> None:
    stack = Stack()
    stack.drop("inbox/team/rows.txt", body)
    stack.run(5)
    assert stack.job().counts.total == 1
