"""What becomes of rows with a recipe: unusable answers, second attempts, cancels, splits, and rows that are dropped again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchdrop.domain.records import PRIORITIES, Job, JobState
from tests.stack import Stack
from tests.stages.harm import refused
from tests.stages.row_jobs import EXPIRED, RECIPE, TABLE, label, prompt_of, run, said, stack_of, table

GOOD = json.dumps({"label": "positive", "explanation": "because"})
FATES: dict[str, Mapping[str, object]] = {
    "truncated": said('{"label": "pos', stop="max_tokens"),
    "refused": said("I would rather not.", stop="refusal"),
    "empty": said(""),
    "paused": said("Let me look that up", stop="pause_turn"),
    "tool_use": said("", stop="tool_use"),
    "not_json": said("It is positive."),
    "off_schema": said('{"label": "great", "explanation": "because"}'),
    "positive": said(GOOD),
    "expires": EXPIRED,
    "=bad": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}},
}
UNUSABLE = ("truncated", "refused", "empty", "paused", "tool_use", "not_json", "off_schema")


def fate_of(params: dict[str, Any]) -> list[str]:
    return prompt_of(params).removeprefix("Label this review: ").split()


def fated() -> Stack:
    """Each text says what the model makes of it, attempt after attempt."""
    stack = stack_of()

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        words = fate_of(params)
        return FATES[words[min(stack.attempt_of(custom_id), len(words)) - 1]]

    stack.claude.answer = answer
    return stack


def file_of(*texts: str) -> bytes:
    return ("id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate(texts, 1))).encode()


def column(stack: Stack, name: str, file: str = "results.csv", job: Job | None = None) -> list[str]:
    header, *rows = table(stack, file, job)
    return [row[header.index(name)] for row in rows]


def sent(stack: Stack) -> list[str]:
    return [prompt_of(one["params"]).removeprefix("Label this review: ").strip() for one in requests(stack)]


def requests(stack: Stack) -> list[dict[str, Any]]:
    return [request for body in stack.claude.bodies for request in json.loads(body)["requests"]]


# ---------------------------------------------------------------- unusable answers


def test_an_unusable_answer_is_told_kept_and_not_asked_for_again() -> None:
    stack = fated()
    job = run(stack, "a.csv", file_of("positive", *UNUSABLE))
    assert (job.counts.succeeded, job.counts.errored) == (1, len(UNUSABLE))
    assert len(requests(stack)) == 1 + len(UNUSABLE)
    failed = stack.lines("failed.jsonl")
    assert [line["_batchdrop"]["error"]["type"] for line in failed] == list(UNUSABLE)
    assert [line["_batchdrop"]["result"] for line in failed] == [FATES[name] for name in UNUSABLE]
    assert column(stack, "batchdrop_status") == ["succeeded"] + ["errored"] * len(UNUSABLE)
    assert all(column(stack, "batchdrop_error")[1:])
    texts = [FATES[name]["message"]["content"][1]["text"] for name in UNUSABLE]  # type: ignore[index]
    assert column(stack, "batchdrop_answer", "failed.csv") == texts
    manifest = stack.document("manifest.json")
    assert manifest["unusable"] == dict.fromkeys(UNUSABLE, 1)
    assert sum(usage["requests"] for usage in manifest["usage"].values()) == 1 + len(UNUSABLE)


def test_a_recipe_may_have_some_of_them_asked_for_again() -> None:
    stack = fated()
    job = run(stack, "a.csv", file_of("refused positive", "truncated positive", "refused"), RECIPE + b"retry: [refused]\n")
    assert (job.counts.succeeded, job.counts.errored) == (1, 2)
    assert len(requests(stack)) == 3 + 2
    assert [line["attempts"] for line in stack.lines("results.jsonl")] == [2]
    assert [line["_batchdrop"]["attempts"] for line in stack.lines("failed.jsonl")] == [1, 2]
    assert stack.document("manifest.json")["unusable"] == {"refused": 3, "truncated": 1}
    assert column(stack, "batchdrop_row") == ["2", "3", "4"]


@pytest.mark.parametrize(("recipe", "attempts"), [(b"attempts: 1\n", 1), (b"attempts: 2\n", 2), (b"attempts: 9\n", 3)])
def test_a_recipe_says_how_often_a_row_is_sent(recipe: bytes, attempts: int) -> None:
    stack = fated()
    job = run(stack, "a.csv", file_of("expires", "positive"), RECIPE + recipe)
    assert (job.counts.expired, len(requests(stack))) == (1, attempts + 1)


def test_answers_of_several_attempts_stand_in_row_order() -> None:
    stack = fated()
    texts = ["positive", "expires positive", "=bad", "expires expires positive", "positive", "expires refused"]
    run(stack, "a.csv", file_of(*texts))
    assert column(stack, "id") == ["1", "2", "3", "4", "5", "6"]
    assert column(stack, "batchdrop_status") == [
        "succeeded", "succeeded", "errored", "succeeded", "succeeded", "errored",
    ]  # fmt: skip
    assert column(stack, "id", "failed.csv") == ["3", "6"]
    assert stack.document("manifest.json")["files"]["results.csv"]["lines"] == 6


def test_expected_figures_are_added_up_over_batches_and_attempts() -> None:
    stack = stack_of(max_requests=2)

    def answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        if "later" in prompt_of(params) and stack.attempt_of(custom_id) == 1:
            return EXPIRED
        return FATES["refused"] if "refused" in prompt_of(params) else label(custom_id, params)

    stack.claude.answer = answer
    rows = ["Good,positive", "Good,negative", "Bad later,Negative", "Bad,", "refused,positive", "Good later,positive", ",neutral"]
    body = "text,truth\n" + "".join(f"{row}\n" for row in rows)
    run(stack, "a.csv", body.encode(), RECIPE + b"expected: truth\n")
    found = stack.document("manifest.json")["expected"]
    assert (found["rows"], found["right"], found["unanswered"]) == (6, 3, 2)


def test_a_batch_that_is_split_loses_no_row_of_the_table() -> None:
    stack = fated()
    create, refusals = stack.claude.create, [refused(413, "request_too_large")]

    def too_large(*given: Any, **named: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return create(*given, **named)

    stack.claude.create = too_large  # type: ignore[method-assign]
    run(stack, "a.csv", file_of(*["positive", "expires positive", "refused", "positive"]))
    assert len(stack.batches()) > 2
    assert column(stack, "id") == ["1", "2", "3", "4"]


@pytest.mark.parametrize("minutes", [0, 1, 3])
def test_a_canceled_job_has_every_row_in_its_table(minutes: int) -> None:
    stack = stack_of(max_requests=2)
    stack.claude.seconds = 300
    stack.drop("inbox/marketing/recipe.yaml", RECIPE)
    stack.drop("inbox/marketing/a.csv", file_of(*["Good"] * 7))
    for _ in range(minutes):
        stack.step()
    stack.command("cancel", stack.job().id)
    stack.run()
    assert stack.job().state is JobState.canceled
    assert column(stack, "id") == [str(number) for number in range(1, 8)]
    assert set(column(stack, "batchdrop_status")) <= {"succeeded", "canceled"}
    assert stack.audit() == []


# ---------------------------------------------------------------- what the recipe says of the whole job


def test_headers_and_priority_of_the_recipe_reach_the_api() -> None:
    stack = stack_of()
    more = b"betas: [output-300k-2026-03-24]\nanthropic_version: 2023-06-01\npriority: high\nmax_tokens: 200\n"
    job = run(stack, "a.csv", TABLE.encode(), RECIPE + more)
    assert [(one.api_version, one.betas) for one in stack.claude.headers.values()] == [
        ("2023-06-01", ("output-300k-2026-03-24",))
    ]
    assert job.priority == PRIORITIES["high"]
    assert {batch.priority for batch in stack.batches()} == {job.priority}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (b"betas: [files-api-2025-04-14]\n", "files-api-2025-04-14"),
        (b"anthropic_version: 2020-01-01\n", "2020-01-01"),
        (b"tools: [{type: web_search_20250305, name: web_search}]\n", "web_search_20250305"),
        (b"params: {mcp_servers: []}\n", "mcp_servers"),
        (b"params: {container: x}\n", "container"),
    ],
)
def test_what_the_operator_does_not_allow_waits_for_another_recipe(more: bytes, says: str) -> None:
    stack = stack_of()
    stack.drop("inbox/marketing/recipe.yaml", RECIPE + more)
    stack.drop("inbox/marketing/a.csv", TABLE.encode())
    stack.run(5)
    assert stack.job().state is JobState.held
    assert says in stack.job().reason
    assert "recipe.yaml, line" in stack.job().reason
    assert stack.claude.bodies == []


# ---------------------------------------------------------------- which recipe


def asks(word: str) -> bytes:
    return f'model: claude-haiku-4-5\nprompt: "{word} {{{{ text }}}}"\n'.encode()


def words(stack: Stack) -> list[str]:
    return [prompt_of(request["params"]).split()[0] for request in requests(stack)]


def test_the_nearest_recipe_wins_and_none_of_another_team() -> None:
    stack = stack_of()
    stack.drop("inbox/recipe.yaml", asks("root"))
    stack.drop("inbox/other/recipe.yaml", asks("other"))
    stack.drop("inbox/team/recipe.yaml", asks("team"))
    stack.drop("inbox/team/a/b/recipe.yml", asks("near"))
    for key, word in {"a/b/c/": "near", "a/": "team", "": "team"}.items():
        stack.drop(f"inbox/team/{key}x.csv", b"text\none\n")
        stack.run()
        assert words(stack)[-1] == word
    stack.drop("inbox/third/x.csv", b"text\none\n")
    stack.run(5)
    assert len(words(stack)) == 3


def test_a_job_keeps_its_recipe_and_the_next_one_has_the_new_one() -> None:
    stack = stack_of(max_requests=1)
    stack.drop("inbox/team/recipe.yaml", asks("old"))
    stack.drop("inbox/team/x.csv", b"text\none\ntwo\n")
    first = stack.job()
    stack.drop("inbox/team/recipe.yaml", asks("new"))
    stack.drop("inbox/team/y.csv", b"text\none\n")
    stack.run()
    second = next(job for job in stack.jobs() if job.id != first.id)
    assert sorted(words(stack)) == ["new", "old", "old"]
    for job, word in ((first, "old"), (second, "new")):
        assert stack.output("recipe.yaml", job) == asks(word)
        told = stack.document("manifest.json", job)["recipe"]
        assert told["key"] == "inbox/team/recipe.yaml"
        with stack.objects.read(stack.ledger.jobs[job.id].recipe) as stream:  # type: ignore[arg-type]
            assert stream.read() == asks(word)
        assert told["version_id"] == stack.ledger.jobs[job.id].recipe.version_id  # type: ignore[union-attr]
    assert stack.audit() == []


def test_the_pinned_version_is_read_if_a_newer_one_comes_while_the_job_is_planned() -> None:
    stack = stack_of()
    stack.drop("inbox/team/recipe.yaml", asks("old"))
    came: list[str] = []

    def newer(name: str) -> None:
        if name == "ledger.commit.pinned" and not came:
            came.append(name)
            stack.objects.drop("inbox/team/recipe.yaml", asks("new"))

    stack.hooks.after = newer
    stack.drop("inbox/team/x.csv", b"text\none\n")
    stack.run()
    assert came
    assert words(stack) == ["old"]
    assert stack.output("recipe.yaml") == asks("old")


def test_the_starter_has_the_columns_and_can_be_used_as_it_is() -> None:
    stack = stack_of()
    stack.drop("inbox/team/x.csv", b'id;the review;"a ""b"" {{ c }}"\n1;a good one;x\n')
    stack.run(3)
    starter = stack.output("recipe.yaml")
    for column_name in ("id", "the review"):
        assert column_name.encode() in starter
    stack.drop("inbox/team/recipe.yaml", starter)
    stack.run()
    assert stack.job().state is JobState.done
    assert stack.output("recipe.yaml") == starter
    assert stack.audit() == []


# ---------------------------------------------------------------- dropped again


def ended(*texts: str, recipe: bytes = RECIPE, folder: str = "inbox/marketing/") -> tuple[Stack, Job]:
    stack = fated()
    stack.drop(f"{folder}recipe.yaml", recipe)
    stack.drop(f"{folder}a.csv", file_of(*texts))
    stack.run()
    return stack, stack.job()


def again(stack: Stack, key: str, name: str) -> Job:
    before = {job.id for job in stack.jobs()}
    stack.drop(key, stack.output(name, stack.jobs()[0]))
    stack.run(60)
    return next(job for job in stack.jobs() if job.id not in before)


@pytest.mark.parametrize("name", ["failed.jsonl", "failed.csv"])
@pytest.mark.parametrize("folder", ["inbox/marketing/", "inbox/marketing/again/"])
def test_failures_are_dropped_again_beside_the_recipe(name: str, folder: str) -> None:
    stack, first = ended("positive", "refused", "off_schema", "", "=bad")
    job = again(stack, f"{folder}{name}", name)
    assert job.state is JobState.done
    assert job.counts.total == first.counts.total - first.counts.succeeded
    rows = [line for line in stack.lines("failed.jsonl", job) if line["_batchdrop"]["status"] != "invalid"]
    assert [line["text"] for line in rows] == ["refused", "off_schema", "=bad"]
    assert all(set(line) == {"id", "text", "_batchdrop"} for line in rows)
    assert table(stack, "results.csv", job)[0][:2] == ["id", "text"]
    assert stack.audit() == []


@pytest.mark.parametrize("name", ["failed.jsonl", "failed.csv"])
def test_a_folder_without_a_recipe_takes_the_one_of_the_earlier_job(name: str) -> None:
    stack, first = ended("positive", "refused", "refused", folder="inbox/team/a/")
    job = again(stack, f"inbox/team/b/{name}", name)
    assert job.state is JobState.done
    assert job.recipe == first.recipe
    assert stack.output("recipe.yaml", job) == RECIPE
    assert stack.audit() == []


@pytest.mark.parametrize("name", ["failed.jsonl", "failed.csv"])
def test_no_other_team_takes_it(name: str) -> None:
    stack, _ = ended("positive", "refused", folder="inbox/team/")
    for key in (f"inbox/other/{name}", f"inbox/{name}"):
        job = again(stack, key, name)
        assert (job.state, job.needs) == (JobState.held, "recipe")


@pytest.mark.parametrize("columns", ["id,text", "custom_id,text", "params,text", "text,custom id,parms"])
def test_a_retry_command_asks_for_the_rows_again_with_the_recipe(columns: str) -> None:
    stack = stack_of(max_attempts=1)
    expired = {"one": True}
    stack.claude.answer = lambda custom_id, params: (
        EXPIRED if "Bad" in prompt_of(params) and expired["one"] else label(custom_id, params)
    )
    cells = ["Good" if name == "text" else "7" for name in columns.split(",")]
    body = "\n".join([columns, ",".join(cells), ",".join(cells).replace("Good", "Bad"), ",".join(cells)]) + "\n"
    stack.drop("inbox/team/recipe.yaml", RECIPE)
    stack.drop("inbox/team/a.csv", body.encode())
    stack.run()
    first = stack.job()
    assert first.counts.expired == 1
    expired.clear()
    expired["one"] = False
    stack.command("retry", first.id)
    stack.run(5)
    key = f"inbox/team/a.retry-of-{first.id}.jsonl"
    stack.drop(key, stack.objects.body(key))
    stack.run()
    job = stack.jobs()[-1]
    assert (job.state, job.counts.succeeded, job.counts.total) == (JobState.done, 1, 1), job.reason
    assert stack.lines("results.jsonl", job)[0]["row"] == dict(
        zip(columns.split(","), ",".join(cells).replace("Good", "Bad").split(","), strict=True)
    )
    assert stack.audit() == []


def test_what_was_no_row_stays_none_when_it_is_dropped_again() -> None:
    stack = stack_of()
    run(stack, "a.jsonl", b'{"text": "Good"}\nnot json\n{"text": ""}\n')
    job = again(stack, "inbox/marketing/again.jsonl", "failed.jsonl")
    failed = stack.lines("failed.jsonl", job)
    assert failed[0]["_batchdrop"]["raw"] == "not json"
    assert [line["_batchdrop"]["error"]["type"] for line in failed] == ["not_json", "empty_row"]


@pytest.mark.parametrize("half", ["\ud83d", "\udc00 x", "\U0001f600\ud83d", "\\ud83d\ud83d"])
def test_an_answer_with_half_a_character_is_one_and_holds_up_no_other(half: str) -> None:
    stack = stack_of(lambda _, params: said(f"a{half}" if "Bad" in prompt_of(params) else "fine"))
    run(stack, "a.csv", b"id,text\n1,Bad\n2,Good\n", b"model: claude-haiku-4-5\nprompt: '{{ text }}'\n")
    whole = f"a{half}".encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert [row[2] for row in table(stack)[1:]] == [whole, "fine"]
    assert len(stack.claude.bodies) == 1
    assert stack.failures == []
