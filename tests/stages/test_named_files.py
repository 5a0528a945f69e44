"""Rows that name files: what is sent of them, and what becomes of a row whose file cannot be sent."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from batchdrop.domain.records import Job, JobState
from tests.fakes.claude import FakeClaude
from tests.named_files import gif, jpeg, pdf, png, webp
from tests.stack import Killed, Stack, once
from tests.stages.row_jobs import said, table

RECIPE = b"""\
model: claude-haiku-4-5
documents: ["{{ path }}"]
prompt: What is the total?
"""


class Api:
    """Answers each request with what it was sent."""

    def __init__(self) -> None:
        self._sent: dict[str, dict[str, Any]] = {}

    def __call__(self, custom_id: str, params: dict[str, Any]) -> dict[str, Any]:
        self._sent[custom_id] = params
        return said("12.50")

    @property
    def sent(self) -> list[dict[str, Any]]:
        return list(self._sent.values())

    @property
    def sources(self) -> list[dict[str, Any]]:
        blocks = [block for params in self.sent for message in params["messages"] for block in message["content"]]
        return [block["source"] for block in blocks if "source" in block]

    @property
    def files(self) -> set[bytes]:
        return {base64.b64decode(one["data"]) if one["type"] == "base64" else one["data"].encode() for one in self.sources}


@pytest.fixture
def api() -> Api:
    return Api()


def stack_of(api: Api, **more: Any) -> Stack:
    return Stack(api=lambda clock, hooks: FakeClaude(clock, hooks, answer=api), **more)


def done(stack: Stack) -> Job:
    stack.run()
    job = stack.job()
    assert job.state is JobState.done, job.reason
    assert stack.audit() == []
    return job


def request(*sources: object, block: str = "document", **more: object) -> bytes:
    blocks = [{"type": block, "source": source} for source in sources]
    content = [*blocks, {"type": "text", "text": "What is it?"}]
    params = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
    return json.dumps({**more, "params": params}).encode() + b"\n"


def url(key: str, bucket: str = "bucket") -> str:
    return f"s3://{bucket}/{key}"


def failed(stack: Stack) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stack.output("failed.jsonl").splitlines()]


def errors(stack: Stack) -> list[str]:
    return [row["_batchdrop"]["error"]["type"] for row in failed(stack)]


# ---------------------------------------------------------------- what is sent


def test_a_row_of_a_table_sends_the_file_that_it_names(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf(2))
    stack.objects.drop("inbox/bills/2026/b.txt", 'Süm: "12"\n'.encode())
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    stack.drop("inbox/bills/bills.csv", b"id,path\n1,a.pdf\n2,2026/b.txt\n3,s3://bucket/inbox/bills/a.pdf\n")
    done(stack)
    assert api.files == {pdf(2), 'Süm: "12"\n'.encode()}
    assert {(one["type"], one["media_type"]) for one in api.sources} == {("base64", "application/pdf"), ("text", "text/plain")}
    assert [block["type"] for block in api.sent[0]["messages"][0]["content"]] == ["document", "text"]
    assert [row[-1] for row in table(stack)][1:] == ["", "", ""]


def test_images_of_all_kinds_are_sent_by_their_content(api: Api) -> None:
    stack = stack_of(api)
    images = {"a.jpg": png(), "b.png": jpeg(), "c.png": gif(), "d.png": webp()}
    for name, body in images.items():
        stack.objects.drop(f"inbox/shop/{name}", body)
    stack.drop("inbox/shop/recipe.yaml", RECIPE.replace(b"documents", b"images"))
    stack.drop("inbox/shop/shop.csv", b"id,path\n" + b"".join(f"1,{name}\n".encode() for name in images))
    done(stack)
    assert api.files == set(images.values())
    assert sorted(one["media_type"] for one in api.sources) == ["image/gif", "image/jpeg", "image/png", "image/webp"]


def test_a_request_sends_the_files_that_its_blocks_name_and_everything_else_byte_for_byte(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    tool = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {"source": url("inbox/bills/a.pdf")}}],
    }
    asked = json.loads(request(url("inbox/bills/a.pdf"), {"type": "url", "url": url("inbox/bills/a.pdf")}))
    asked["params"]["messages"].append(tool)
    stack.drop(
        "inbox/bills/x.jsonl", json.dumps(asked).encode() + b"\n\n" + request({"type": "url", "url": "https://a.example/b.pdf"})
    )
    done(stack)
    first, second = sorted(api.sent, key=lambda params: -len(params["messages"]))
    assert [block["source"]["type"] for block in first["messages"][0]["content"][:2]] == ["base64", "base64"]
    assert first["messages"][1] == tool
    assert second["messages"][0]["content"][0]["source"] == {"type": "url", "url": "https://a.example/b.pdf"}


def test_the_version_that_was_planned_is_sent_whatever_lies_there_now(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf(1))
    stack.switch.text = "pause"
    stack.drop("inbox/bills/x.jsonl", request(url("inbox/bills/a.pdf")))
    stack.run()
    stack.objects.drop("inbox/bills/a.pdf", pdf(7))
    stack.switch.text = "run"
    done(stack)
    assert api.files == {pdf(1)}


def test_batches_are_cut_by_the_size_of_their_files_in_base64(api: Api) -> None:
    stack = stack_of(api, max_body_bytes=1_000_000)
    for number in range(7):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(1, 300_000 + number))
    stack.drop("inbox/bills/x.jsonl", b"".join(request(url(f"inbox/bills/{number}.pdf")) for number in range(7)))
    done(stack)
    bodies = [batch.body_bytes for batch in stack.batches()]
    assert len(bodies) == 4
    assert max(bodies) <= 1_000_000
    assert sum(bodies) > 7 * 400_000
    assert len(api.files) == 7


def test_a_file_that_many_rows_name_is_read_once(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.drop("inbox/bills/x.jsonl", request(url("inbox/bills/a.pdf")) * 50)
    done(stack)
    assert len(api.sent) == 50


# ---------------------------------------------------------------- what cannot be sent


@pytest.mark.parametrize(
    ("body", "block", "error"),
    [
        pytest.param(pdf(encrypted=True), "document", "encrypted_file", id="password"),
        pytest.param(b"%PDF-1.7 and nothing else", "document", "unreadable_file", id="damaged"),
        pytest.param(b"PK\x03\x04\x00\x00\xff", "document", "unsupported_file", id="zip"),
        pytest.param(b"", "document", "empty_file", id="empty"),
        pytest.param(b" \n", "document", "empty_file", id="blank"),
        pytest.param(png(), "document", "wrong_kind_of_file", id="image as document"),
        pytest.param(pdf(), "image", "wrong_kind_of_file", id="document as image"),
        pytest.param(pdf(101), "document", "too_many_pages", id="pages"),
        pytest.param(png(8001, 10), "image", "image_too_large", id="pixels"),
        pytest.param(png(10, 10, 7_500_000), "image", "file_too_large", id="large image"),
        pytest.param(pdf(1, 24_000_000), "document", "file_too_large", id="large document"),
        pytest.param(b"\x89PNG\r\n\x1a\nrest", "image", "unreadable_file", id="damaged image"),
    ],
)
def test_a_file_that_the_api_would_refuse_makes_its_row_invalid(api: Api, body: bytes, block: str, error: str) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/bad", body)
    stack.objects.drop("inbox/bills/good", pdf())
    good, bad = request(url("inbox/bills/good")), request(url("inbox/bills/bad"), block=block)
    stack.drop("inbox/bills/x.jsonl", good + bad + good)
    done(stack)
    assert errors(stack) == [error]
    assert len(api.sent) == 2
    assert {name: value for name, value in failed(stack)[0].items() if name == "params"} == json.loads(bad)


def test_limits_count_all_files_of_a_request(api: Api) -> None:
    stack = stack_of(api, max_body_bytes=100_000_000)
    stack.objects.drop("inbox/a/60.pdf", pdf(60))
    stack.objects.drop("inbox/a/13mb.pdf", pdf(1, 13_000_000))
    stack.objects.drop("inbox/a/wide.png", png(2001, 10))
    stack.drop(
        "inbox/a/x.jsonl",
        request(*[url("inbox/a/60.pdf")] * 2)
        + request(*[url("inbox/a/13mb.pdf")] * 2)
        + request(*[url("inbox/a/wide.png")] * 21, block="image")
        + request(*[url("inbox/a/wide.png")] * 20, block="image"),
    )
    done(stack)
    assert errors(stack) == ["too_many_pages", "request_too_large", "image_too_large"]
    assert len(api.sent) == 1


@pytest.mark.parametrize(
    "name",
    [
        "s3://bucket/inbox/other/secret.pdf",
        "s3://bucket/inbox/secret.pdf",
        "s3://bucket/outbox/bills/secret.pdf",
        "s3://bucket/work/secret.pdf",
        "s3://elsewhere/bills/secret.pdf",
        "s3://bucket/inbox/bills/not-there.pdf",
        "not-there.pdf",
        "s3://bucket/inbox/bills/closed.pdf",
    ],
)
def test_what_is_missing_forbidden_or_not_for_this_folder_gets_the_same_sentence(api: Api, name: str) -> None:
    stack = stack_of(api)
    for key in (
        "inbox/other/secret.pdf",
        "inbox/secret.pdf",
        "outbox/bills/secret.pdf",
        "work/secret.pdf",
        "inbox/bills/closed.pdf",
    ):
        stack.objects.drop(key, pdf())
    stack.objects.drop("s3://elsewhere/bills/secret.pdf", pdf())
    stack.objects.forbid("inbox/bills/closed.pdf", head=True)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    stack.drop("inbox/bills/bills.csv", f"id,path\n1,{name}\n2,a.pdf\n".encode())
    done(stack)
    (row,) = failed(stack)
    assert row["_batchdrop"]["error"]["type"] == "file_not_found"
    assert row["_batchdrop"]["error"]["message"] == (
        "The document of this row is not there, or rows of this folder may not name it. They may name files of their team's "
        "folder in the inbox, and what an operator gives to the folder in config/sources.json."
    )


@pytest.mark.parametrize(
    "name",
    [
        "../other/secret.pdf",
        "./a.pdf",
        "/a.pdf",
        "a//b.pdf",
        "%2e%2e/a.pdf",
        "a.pdf?versionId=1",
        "a%2Epdf",
        "\\ud800.pdf",
        "s3://other%20bucket/a.pdf",
        "https://a.example/a.pdf",
        "s3://",
        "s3:///a",
    ],
)
def test_a_name_leads_nowhere_but_to_an_object(api: Api, name: str) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/other/secret.pdf", pdf())
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    stack.drop("inbox/bills/bills.csv", f"id,path\n1,{name}\n2,a.pdf\n".encode())
    done(stack)
    assert errors(stack) == ["invalid_file_name"]
    assert len(api.sent) == 1


def test_a_folder_may_name_files_of_the_prefixes_that_operators_give_it(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("config/sources.json", b'{"folders":{"bills":["s3://archive/2026/"]}}')
    for key in ("s3://archive/2026/a.pdf", "s3://archive/2025/a.pdf"):
        stack.objects.drop(key, pdf())
    lines = request(url("2026/a.pdf", "archive")) + request(url("2025/a.pdf", "archive"))
    stack.drop("inbox/bills/x.jsonl", lines)
    done(stack)
    assert errors(stack) == ["file_not_found"]
    assert api.files == {pdf()}


@pytest.mark.parametrize(
    ("said", "closed", "told"),
    [
        (None, False, ""),
        (b'{"folders": {"bills": ["s3://archive/', False, "config/sources.json is faulty on line 1."),
        (b'{"folders":\n {"bills": "s3://archive/2026/"}}', False, "config/sources.json is faulty on line 2."),
        (b"", False, "config/sources.json is faulty on line 1."),
        (b'{"folders":{"bills":["s3://archive/2026/"]}}', True, "config/sources.json cannot be read: S3 answers "),
    ],
    ids=["missing", "half written", "another form", "empty", "closed"],
)
def test_a_list_of_sources_that_cannot_be_used_opens_nothing_and_says_so(
    api: Api, said: bytes | None, closed: bool, told: str
) -> None:
    """Nothing is paid for such rows, those of the team's own folder go, and the failed rows can be dropped again."""
    stack = stack_of(api)
    if said is not None:
        stack.objects.drop("config/sources.json", said)
    if closed:
        stack.objects.forbid("config/sources.json", head=True, when=lambda: closed)
    stack.objects.drop("s3://archive/2026/a.pdf", pdf(2))
    stack.objects.drop("inbox/bills/b.pdf", pdf())
    names = (url("2026/a.pdf", "archive"), url("inbox/bills/b.pdf"), url("inbox/bills/none.pdf"))
    stack.drop("inbox/bills/x.jsonl", b"".join(map(request, names)))
    done(stack)
    elsewhere, missing = [row["_batchdrop"]["error"]["message"] for row in failed(stack)]
    assert errors(stack) == ["file_not_found"] * 2
    assert api.files == {pdf()}
    # What is not in the folder of the team says so whether it exists or not; what is, says nothing of the list.
    assert elsewhere.startswith(missing)
    assert elsewhere.removeprefix(missing).strip().startswith(told)
    assert bool(elsewhere.removeprefix(missing)) is bool(told)
    assert "archive" not in elsewhere
    again = stack.output("failed.jsonl").splitlines(keepends=True)[0]
    closed = False
    stack.objects.drop("config/sources.json", b'{"folders":{"bills":["s3://archive/2026/"]}}')
    stack.clock.advance(60)
    stack.drop("inbox/bills/again.jsonl", again)
    stack.run()
    assert api.files == {pdf(), pdf(2)}


def test_a_folder_names_what_its_own_list_opens_and_no_other_folder_does(api: Api) -> None:
    """Neither the team beside it, nor a folder whose name begins like it, nor one above it."""
    stack = stack_of(api)
    listed = {"bills/2026": ["s3://archive/2026/", "s3://bucket/inbox/shared/forms/"]}
    stack.objects.drop("config/sources.json", json.dumps({"folders": listed}).encode())
    names = [
        url(key, bucket)
        for bucket, key in (
            ("archive", "2026/a.pdf"),
            ("bucket", "inbox/shared/forms/a.pdf"),
            ("archive", "2026-other/a.pdf"),
            ("archive", "2026/../2025/a.pdf"),
            ("archive-2", "2026/a.pdf"),
            ("bucket", "inbox/shared/a.pdf"),
            ("bucket", "inbox/other/a.pdf"),
        )
    ]
    for name in names:
        stack.objects.drop(name.removeprefix("s3://bucket/"), pdf())
    ends = {}
    for folder in ("bills/2026", "bills", "bills/2026-other", "other", "bills/2026/deeper"):
        key = f"inbox/{folder}/x.jsonl"
        stack.drop(key, b"".join(map(request, names)))
        stack.run()
        (ends[folder],) = [job.counts.succeeded for job in stack.jobs() if job.input.key == key]
    assert ends == {"bills/2026": 2, "bills": 0, "bills/2026-other": 0, "other": 1, "bills/2026/deeper": 2}


def test_nobody_can_give_a_folder_what_batchdrop_keeps_for_itself(api: Api) -> None:
    stack = stack_of(api)
    prefixes = [f"s3://bucket/{folder}/" for folder in ("outbox", "work", "control", "config", "inbox/shared")]
    stack.objects.drop("config/sources.json", json.dumps({"folders": {"bills": prefixes}}).encode())
    keys = [f"{prefix.removeprefix('s3://bucket/')}a.pdf" for prefix in prefixes]
    for key in keys:
        stack.objects.drop(key, pdf())
    stack.drop("inbox/bills/x.jsonl", b"".join(request(url(key)) for key in keys))
    done(stack)
    assert errors(stack) == ["file_not_found"] * 4
    assert len(api.sent) == 1


def test_nobody_can_say_what_was_found_but_plan(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/other/secret.pdf", pdf(3))
    forged: dict[str, object] = {
        "type": "batchdrop_file",
        "name": "s3://bucket/inbox/bills/a.pdf",
        "bucket": "bucket",
        "key": "inbox/other/secret.pdf",
    }
    forged |= {"size": len(pdf(3)), "media_type": "application/pdf", "sent": 10}
    inner = json.loads(request("x"))
    inner["params"]["messages"][0]["content"][0] = {"type": "tool_use", "id": "1", "name": "n", "input": {"source": forged}}
    stack.drop("inbox/bills/x.jsonl", request(forged) + json.dumps(inner).encode() + b"\n")
    done(stack)
    assert errors(stack) == ["file_not_found"]
    assert not api.files
    assert api.sent[0]["messages"][0]["content"][0]["input"]["source"] == forged


def test_an_optional_second_file_may_be_left_out_but_not_every_file(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.drop(
        "inbox/bills/recipe.yaml",
        RECIPE.replace(b'["{{ path }}"]', b'["{{ path }}", "{{ more }}"]').replace(b"total", b"total of {{ id }}"),
    )
    stack.drop("inbox/bills/bills.csv", b"id,path,more\n1,a.pdf,\n2,,\n3,a.pdf,a.pdf\n")
    done(stack)
    assert errors(stack) == ["no_file_named"]
    assert sorted(len(params["messages"][0]["content"]) for params in api.sent) == [2, 3]


# ---------------------------------------------------------------- what happens meanwhile


@pytest.mark.parametrize("raw", [True, False], ids=["requests", "rows"])
def test_a_file_that_goes_before_it_is_sent_costs_its_rows_and_no_others(api: Api, raw: bool) -> None:
    stack = stack_of(api)
    for number in range(5):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(1 + number))
    stack.switch.text = "pause"
    if raw:
        stack.drop("inbox/bills/x.jsonl", b"".join(request(url(f"inbox/bills/{number}.pdf")) for number in range(5)))
    else:
        stack.drop("inbox/bills/recipe.yaml", RECIPE)
        stack.drop("inbox/bills/x.csv", b"path\n" + b"".join(b"%d.pdf\n" % number for number in range(5)))
    stack.run()
    stack.objects.purge("inbox/bills/1.pdf")
    stack.objects.purge("inbox/bills/4.pdf")
    stack.switch.text = "run"
    job = done(stack)
    assert errors(stack) == ["file_gone", "file_gone"]
    assert (job.counts.succeeded, job.counts.invalid) == (3, 2)
    assert api.files == {pdf(1), pdf(3), pdf(4)}
    assert stack.ledger.get_admission().queued == 0


def test_a_job_whose_files_are_all_gone_ends(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.switch.text = "pause"
    stack.drop("inbox/bills/x.jsonl", request(url("inbox/bills/a.pdf")) * 3)
    stack.run()
    stack.objects.purge("inbox/bills/a.pdf")
    stack.switch.text = "run"
    job = done(stack)
    assert job.counts.invalid == 3
    assert not api.sent
    assert stack.ledger.get_admission().queued == 0


def test_a_row_that_is_not_sent_since_files_of_many_others_are_gone_is_told_so(api: Api) -> None:
    """Equal requests are one, and their rows are left out one by one all the same."""
    stack = stack_of(api, max_requests=2_000)
    for name in ("gone", "there"):
        stack.objects.drop(f"inbox/bills/{name}.pdf", pdf())
    stack.switch.text = "pause"
    rows = request(url("inbox/bills/gone.pdf")) * 1_001 + request(url("inbox/bills/there.pdf"))
    stack.drop("inbox/bills/x.jsonl", rows, {"batchdrop-dedupe": "true"})
    stack.run(minutes=3)
    stack.objects.purge("inbox/bills/gone.pdf")
    stack.switch.text = "run"
    assert done(stack).counts.invalid == 1_002
    assert not api.sent
    message = failed(stack)[-1]["_batchdrop"]["error"]["message"]
    assert message.startswith("More than 1,000 rows that were to be sent together with this one name files which were deleted")


def test_a_file_that_is_closed_for_a_day_is_gone(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.objects.drop("inbox/bills/b.pdf", pdf(2))
    stack.switch.text = "pause"
    stack.drop("inbox/bills/x.jsonl", request(url("inbox/bills/a.pdf")) + request(url("inbox/bills/b.pdf")))
    stack.run()
    stack.objects.forbid("inbox/bills/a.pdf")
    stack.switch.text = "run"
    for _ in range(2000):
        stack.run()
        if stack.job().state is JobState.done:
            break
    assert errors(stack) == ["file_gone"]
    assert api.files == {pdf(2)}


def test_planning_goes_on_between_two_files(api: Api) -> None:
    stack = stack_of(api, timeout=60.0)
    for number in range(12):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(1 + number))
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    looks: list[str] = []

    def slow(name: str) -> None:
        if name.startswith("inspector"):
            looks.append(name)
            stack.clock.advance(12)

    stack.hooks.before = slow
    stack.drop("inbox/bills/x.csv", b"path\n" + b"".join(b"%d.pdf\n" % number for number in range(12)))
    done(stack)
    assert len(api.files) == 12
    assert len(looks) == 12
    assert stack.hooks.calls.count("objects.resumed.suspend") == 2
    assert not stack.failures


def test_a_row_of_more_files_than_there_is_time_for_is_invalid_and_no_other(api: Api) -> None:
    stack = stack_of(api, timeout=60.0)
    names = [f"inbox/bills/{number}.pdf" for number in range(6)]
    for number, key in enumerate(names):
        stack.objects.drop(key, pdf(1 + number))
    stack.hooks.before = lambda name: stack.clock.advance(12) if name.startswith("inspector") else None
    good = request(url(names[0]))
    stack.drop("inbox/bills/x.jsonl", good * 2 + request(*map(url, names)) + good * 2)
    job = done(stack)
    assert (job.counts.succeeded, job.counts.invalid) == (4, 1)
    assert errors(stack) == ["files_take_too_long"]
    assert failed(stack)[0]["params"] == json.loads(request(*map(url, names)))["params"]


def test_behind_a_file_that_cannot_be_sent_no_other_is_looked_at(api: Api) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    row = request(url("inbox/bills/a.pdf"), *(url(f"inbox/bills/{number}.pdf") for number in range(1_000)))
    stack.drop("inbox/bills/x.jsonl", row + request(url("inbox/bills/a.pdf")))
    done(stack)
    assert errors(stack) == ["file_not_found"]
    assert failed(stack)[0]["params"] == json.loads(row)["params"]
    assert stack.hooks.calls.count("objects.head") < 100


def test_a_row_of_too_many_images_is_told_before_one_is_read(api: Api) -> None:
    stack = stack_of(api)
    stack.drop("inbox/bills/x.jsonl", request(*(url(f"inbox/bills/{number}.png") for number in range(101)), block="image"))
    stack.run()
    assert errors(stack) == ["too_many_images"]
    assert stack.hooks.calls.count("objects.head") < 100


def test_a_row_that_was_paid_for_says_so_when_its_file_is_gone_before_it_goes_again(api: Api) -> None:
    def answer(custom_id: str, params: dict[str, Any]) -> dict[str, Any]:
        return said("12.50", stop="max_tokens" if stack.attempt_of(custom_id) == 1 else "end_turn")

    stack = Stack(api=lambda clock, hooks: FakeClaude(clock, hooks, answer=answer))
    for number in (1, 2):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(number))
    stack.drop("inbox/bills/recipe.yaml", RECIPE + b"retry: [truncated]\n")
    once(stack, "ledger.commit.collected", lambda: stack.objects.purge("inbox/bills/1.pdf"))
    stack.drop("inbox/bills/x.csv", b"path\n1.pdf\n2.pdf\n")
    done(stack)
    (gone,) = [json.loads(line, parse_float=Decimal)["_batchdrop"] for line in stack.output("failed.jsonl").splitlines()]
    assert (gone["error"]["type"], gone["attempts"]) == ("file_gone", 1)
    (answered,) = [json.loads(line, parse_float=Decimal) for line in stack.output("results.jsonl").splitlines()]
    manifest = json.loads(stack.output("manifest.json"), parse_float=Decimal)
    assert gone["cost_usd"] > 0
    assert gone["cost_usd"] + answered["cost_usd"] == manifest["cost"]["usd"]


def test_rows_that_name_files_behind_many_that_name_none_are_told_to_come_first(api: Api) -> None:
    stack = stack_of(api, max_requests=1000)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    plain = (
        json.dumps(
            {"params": {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}}
        ).encode()
        + b"\n"
    )
    named = request(url("inbox/bills/a.pdf"))
    stack.drop("inbox/bills/x.jsonl", plain * 4_500 + named)
    done(stack)
    assert errors(stack) == ["file_not_looked_at"]


def test_a_failed_row_can_be_dropped_again_as_it_is(api: Api) -> None:
    stack = stack_of(api)
    named = request(url("inbox/bills/a.pdf"), custom_id="mine")
    stack.drop("inbox/bills/x.jsonl", named + request(url("inbox/bills/a.pdf")))
    stack.run()
    body = stack.output("failed.jsonl")
    assert json.loads(body.splitlines()[0])["params"] == json.loads(named)["params"]
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.drop("inbox/bills/again.jsonl", body)
    stack.run()
    assert len(api.sent) == 2


def test_a_file_that_is_replaced_while_a_killed_planner_is_replaced(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first planner has written more than it knew of when it was killed, and with other files than the second one finds."""
    monkeypatch.setattr("batchdrop.stages.plan.render._BLOCK_BYTES", 500)
    stack = stack_of(api)
    stack.objects.part_bytes = 600
    for number in range(30):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(1 + number % 9))
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    looks = 0

    def kill(name: str) -> None:
        nonlocal looks
        looks += name.startswith("inspector")
        if looks == 25:
            looks = 100
            raise Killed

    stack.hooks.before = kill
    body = b"path\n" + b"".join(b"%d.pdf\n" % number for number in range(30))
    stack.drop("inbox/bills/x.csv", body)
    stack.hooks.before = lambda name: None
    for number in range(30):
        stack.objects.drop(f"inbox/bills/{number}.pdf", b"x" * number + pdf(3) + b"\n" * (30 - number))
    done(stack)
    assert len(stack.lines("results.jsonl")) == 30
    assert api.files == {b"x" * number + pdf(3) + b"\n" * (30 - number) for number in range(30)}


def test_rows_that_ask_for_the_same_go_with_their_file(api: Api) -> None:
    stack = stack_of(api)
    for number in range(3):
        stack.objects.drop(f"inbox/bills/{number}.pdf", pdf(1 + number))
    stack.switch.text = "pause"
    lines = b"".join(request(url(f"inbox/bills/{number}.pdf")) for number in (0, 1, 0, 1, 2, 1))
    stack.drop("inbox/bills/x.jsonl", lines, {"batchdrop-dedupe": "true"})
    stack.run()
    stack.objects.purge("inbox/bills/1.pdf")
    stack.switch.text = "run"
    job = done(stack)
    assert (job.counts.succeeded, job.counts.invalid) == (3, 3)
    assert len(api.sent) == 2
    assert stack.ledger.get_admission().queued == 0


def test_the_same_name_is_not_the_same_request_once_its_file_was_replaced(api: Api) -> None:
    """What stands for a request is what will be sent of it."""
    stack = stack_of(api)
    stack.drop("inbox/bills/recipe.yaml", RECIPE + b"dedupe: true\n")
    for name, body in (("a", pdf(1)), ("b", pdf(1))):
        stack.objects.drop(f"inbox/bills/{name}.pdf", body)
    stack.drop("inbox/bills/x.csv", b"path\na.pdf\nb.pdf\na.pdf\n")
    done(stack)
    assert len(api.sent) == 2


@pytest.mark.parametrize("name", ["a.pdf", "B.PDF", "c.png", "d.jpg", "e.JPEG", "f.gif", "g.webp"])
def test_documents_and_images_are_no_jobs_by_themselves(api: Api, name: str) -> None:
    stack = stack_of(api)
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    stack.drop(f"inbox/bills/{name}", pdf())
    stack.run()
    assert not list(stack.jobs())
    assert stack.objects.keys("outbox/") == ["outbox/bills/how-to-start.txt"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("https://bucket.s3.amazonaws.com/a.pdf", "web address"),
        ("S3://bucket/inbox/bills/a.pdf", "small letters"),
        ("2026\\a.pdf", "Write / between folders"),
        ("/a.pdf", "without that slash"),
        ("a%20b.pdf", "as the S3 console shows it"),
        ("a.pdf?versionId=1", "without a version"),
        ("a\u200b.pdf", "invisible"),
        ("../a.pdf", "`..`"),
        ("none.pdf", "is not there, or rows of this folder may not name it"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_what_is_odd_about_it(api: Api, name: str, says: str) -> None:
    stack = stack_of(api)
    stack.objects.drop("inbox/bills/a.pdf", pdf())
    stack.drop("inbox/bills/recipe.yaml", RECIPE)
    stack.drop("inbox/bills/rows.jsonl", json.dumps({"path": name}).encode())
    stack.run()
    (row,) = failed(stack)
    assert says in row["_batchdrop"]["error"]["message"]
    assert api.sent == []
