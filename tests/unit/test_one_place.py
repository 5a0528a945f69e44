"""A state is written in one module: every other place asks `domain.transitions` for the move."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import batchdrop

LAYER = Path(batchdrop.__path__[0])
TRANSITIONS = LAYER / "domain" / "transitions.py"
# Records come into being in these places, in the state with which `opened` and `added` store them.
BEGINNINGS = {
    "stages/plan/upload.py": {"Job": "planning"},
    "stages/plan/batches.py": {"Batch": "ready ended"},
    "stages/plan/try_first.py": {"Batch": "ready"},
}
# What only a transition may change: the state, and what goes with a state.
FIELDS = {"state", "outcome", "revision", "admitted_at", "intent_at", "lease_until", "api_id", "ended_at", "message_sent_at"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a module, with the last part of the name that is called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            yield called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""), node


def modules() -> list[Path]:
    return [path for path in LAYER.rglob("*.py") if path != TRANSITIONS]


def test_no_other_module_makes_a_move_or_replaces_a_state() -> None:
    found = [
        f"{path.relative_to(LAYER)}:{call.lineno}: {name}"
        for path in modules()
        for name, call in calls(path)
        if name in {"Move", "Guard"} or (name == "replace" and FIELDS & {keyword.arg for keyword in call.keywords})
    ]
    # An adapter counts the revision; the collector forgets the results that Anthropic has deleted, without storing that.
    allowed = {"adapters/transaction.py", "adapters/dynamodb.py", "stages/collect/ended_batch.py"}
    assert {line.split(":")[0] for line in found} <= allowed, found


def test_records_begin_where_the_plan_stage_makes_them() -> None:
    for path in modules():
        for name, call in calls(path):
            states = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "state"]
            if name in {"Job", "Batch"} and states:
                allowed = BEGINNINGS.get(str(path.relative_to(LAYER)), {}).get(name, "")
                named = {part for state in states for part in state.replace(".", " ").split() if part.islower()}
                assert named - {"if", "else"} <= set(allowed.split()), f"{path}:{call.lineno}"


def test_the_commit_is_the_only_writer() -> None:
    writers = {
        str(path.relative_to(LAYER))
        for path in modules()
        for name, call in calls(path)
        if name == "commit" and ast.unparse(call.func).endswith("ledger.commit")
    }
    assert writers == {"jobs/commit.py"}
    senders = {
        str(path.relative_to(LAYER))
        for path in modules()
        for name, call in calls(path)
        if name == "send" and ast.unparse(call.func).endswith("queues.send")
    }
    assert senders == {"jobs/commit.py"}
