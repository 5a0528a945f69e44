"""Jobs with a recipe in trouble: long files, kills at any call, and people who delete objects under `work/`."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable

import pytest

from batchdrop.domain import keys
from batchdrop.domain.records import JobState
from batchdrop.domain.transitions import TERMINAL_JOB_STATES
from tests.stack import Stack
from tests.stages.row_jobs import EXPIRED, RECIPE, label, prompt_of, stack_of, table
from tests.stages.test_resumed import Slow

ROWS = 30
CSV = b"id,text\n" + b"".join(b'%d,"Good\nrow %d"\n' % (number, number) for number in range(ROWS))
JSONL = b"".join(b'{"text": "Good row %d", "f%d": %d}\n' % (number, number % 7, number) for number in range(ROWS))
FILES = {
    "a.csv": CSV,
    "a.csv.gz": gzip.compress(CSV, mtime=0),
    "a.jsonl": JSONL,
}


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchdrop.stages.plan.prepare._CHUNK", 20)
    monkeypatch.setattr("batchdrop.formats.gzip_stream._PIECE_BYTES", 250)
    monkeypatch.setattr("batchdrop.stages.plan.render._BLOCK_BYTES", 400)


def play(name: str, kills: Iterable[int] = (), *, after: bool = False) -> tuple[Stack, Slow]:
    stack = stack_of(max_requests=12)
    stack.objects.part_bytes = 1_000
    stack.objects.drop("inbox/team/recipe.yaml", RECIPE)
    slow = Slow(stack, kills, after=after)
    stack.drop(f"inbox/team/{name}", FILES[name])
    stack.run()
    assert stack.job().state is JobState.done, stack.job().reason
    return stack, slow


OUTPUTS = ("results.jsonl", "results.csv", "recipe.yaml")


def same(stack: Stack, whole: Stack) -> None:
    assert stack.objects.uploads == {}
    assert stack.audit() == []
    for name in OUTPUTS:
        assert stack.output(name) == whole.output(name)


@pytest.mark.parametrize("name", FILES)
def test_a_long_file_is_rendered_by_several_invocations(name: str) -> None:
    stack, slow = play(name)
    assert len(slow.made["objects.resume"]) >= 3
    assert stack.failures == []
    assert stack.job().counts.succeeded == ROWS
    same(stack, stack)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", FILES)
def test_a_kill_at_any_call_changes_no_byte(name: str, after: bool) -> None:
    whole, slow = play(name)
    invocations = len(slow.made["objects.resume"])
    window = range(whole.hooks.calls.index("objects.resume"), whole.hooks.calls.index("ledger.commit.planned") + 2)
    for call in window[:: 3 if name == "a.csv" else 11]:
        stack, slow = play(name, [call], after=after)
        assert len(slow.made["objects.resume"]) <= invocations + 1
        same(stack, whole)


def test_many_kills_end_too() -> None:
    whole, _ = play("a.csv")
    for step in range(11, 30, 7):
        stack, _ = play("a.csv", range(step, len(whole.hooks.calls), step))
        same(stack, whole)


def test_a_slow_stack_renders_a_row_at_a_time() -> None:
    """Less than a part is done in each invocation: the checkpoint has what S3 has not."""
    stack = stack_of()
    stack.objects.drop("inbox/team/recipe.yaml", RECIPE)

    def slow(name: str) -> None:
        if name == "objects.resume":
            stack.clock.advance(50)

    stack.hooks.after = slow
    stack.drop("inbox/team/a.csv", CSV)
    stack.run()
    assert stack.job().state is JobState.done, stack.job().reason
    assert stack.hooks.calls.count("objects.resume") > 3
    assert [row[-3] for row in table(stack)[1:]] == [str(number) for number in range(2, ROWS + 2)]


def test_how_far_rendering_is_only_grows() -> None:
    said: list[int] = []
    stack = stack_of(max_requests=12)
    stack.objects.part_bytes = 1_000
    stack.objects.drop("inbox/team/recipe.yaml", RECIPE)
    Slow(stack)
    passing = stack.hooks.after

    def listen(name: str) -> None:
        passing(name)
        if name == "ledger.commit.unpacked_in_part":
            said.append(stack.job().bytes_done)

    stack.hooks.after = listen
    stack.drop("inbox/team/a.csv", CSV)
    stack.run()
    assert len(said) >= 2
    assert said == sorted(set(said))


# ---------------------------------------------------------------- objects that somebody deletes


def _is_form(key: str) -> bool:
    return key.endswith("/form.json")


def _is_header(key: str) -> bool:
    return "/header-" in key


def _is_lines(key: str) -> bool:
    return "/rows-" in key


def _is_checkpoint(key: str) -> bool:
    return "/rendered-" in key


def _is_table(key: str) -> bool:
    return key.endswith(".csv") and "header" not in key


def _is_no_piece(key: str) -> bool:
    """Pieces of lines are lost in `test_finish.py`."""
    return not key.endswith(".jsonl") or _is_lines(key)


DELETED_OF = 14
WHAT = {
    "form": _is_form,
    "header": _is_header,
    "lines": _is_lines,
    "checkpoint": _is_checkpoint,
    "table": _is_table,
    "all": _is_no_piece,
}


def harmed(what: Callable[[str], bool], at: int) -> tuple[Stack, bool, int]:
    """Purges what matches right before the `at`-th call; whether there was anything, and how many calls there were."""
    stack = stack_of(max_requests=4, max_attempts=2)
    stack.objects.part_bytes = 1_000

    def answer(custom_id: str, params: dict[str, object]) -> object:
        if "row 3" in prompt_of(params) and stack.attempt_of(custom_id) == 1:
            return EXPIRED
        return label(custom_id, params)

    stack.claude.answer = answer  # type: ignore[assignment]
    stack.objects.drop("inbox/team/recipe.yaml", RECIPE)
    calls, purged = 0, False

    def purge(name: str) -> None:
        nonlocal calls, purged
        calls += 1
        if calls == at:
            for key in [key for key in stack.objects.keys(keys.WORK) if what(key)]:
                stack.objects.purge(key)
                purged = True

    stack.hooks.before = purge
    stack.hooks.after = lambda name: stack.clock.advance(12 if name == "objects.add_part" else 0)
    stack.drop("inbox/team/a.csv", b"id,text\n" + b"".join(b"%d,Good row %d\n" % (n, n) for n in range(DELETED_OF)))
    stack.run(3 * 24 * 60)
    stack.hooks.clear()
    return stack, purged, calls


@pytest.mark.parametrize("what", WHAT)
def test_a_job_ends_whatever_is_deleted(what: str) -> None:
    length = harmed(lambda key: False, 0)[2]
    purged = 0
    for at in range(1, length, 17):
        stack, did, _ = harmed(WHAT[what], at)
        purged += did
        job = stack.job()
        assert job.state in TERMINAL_JOB_STATES, (at, job.state, stack.failures[-1:])
        manifest, status = stack.document("manifest.json"), stack.document("status.json")
        told = manifest["message"] + status["message"] + status["next"]["text"]
        assert "failed.csv" not in told or "failed.csv" in manifest["files"], at
        lines = len(stack.lines("results.jsonl")) + len(stack.lines("failed.jsonl"))
        if job.state is JobState.done:
            assert manifest["counts"]["total"] == DELETED_OF
            assert lines + job.rows_lost == DELETED_OF
            if "results.csv" not in manifest["files"]:
                assert "results.csv" in status["message"], at
        else:
            assert status["message"]
    assert purged
