"""Who goes first where many teams wait: each has its share, however many files it makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from batchdrop.domain.keys import team_of
from batchdrop.domain.messages import Queue
from batchdrop.domain.purses import turn
from tests.money import purses_kept
from tests.stack import Killed, Stack, rows
from tests.stages.harm import fail, minutes, refused

HIGH = {"batchdrop-priority": "high"}
LOW = {"batchdrop-priority": "low"}


def files(stack: Stack, team: str, number: int, requests: int, metadata: dict[str, str] | None = None) -> None:
    for n in range(number):
        stack.drop(f"inbox/{team}/{n:05d}.jsonl", rows(requests), metadata)


def sent(stack: Stack, start: int = 0) -> Iterator[tuple[str, int]]:
    """Team and requests of each batch that the API has accepted, in that order, from a number on."""
    of_batch = {one.api_id: (one.job_id, one.requests) for one in stack.ledger.stored.values() if one.api_id}
    for api_id in stack.claude.ids[start:]:
        job_id, requests = of_batch[api_id]
        yield team_of(stack.ledger.jobs[job_id].input.key), requests


def shares(stack: Stack, start: int = 0) -> Counter[str]:
    """Requests by team."""
    found: Counter[str] = Counter()
    for team, requests in sent(stack, start):
        found[team] += requests
    return found


def hour(stack: Stack) -> Counter[str]:
    """What each team sends in the next one."""
    before = len(stack.claude.ids)
    minutes(stack, 60)
    return shares(stack, before)


def test_a_thousand_files_of_one_team_do_not_keep_the_one_file_of_another_waiting() -> None:
    stack = Stack(max_requests=10, queue_limit=100)
    stack.claude.seconds = 600
    files(stack, "many", 1000, 10)
    minutes(stack, 2)
    files(stack, "one", 1, 10)
    before = len(stack.claude.ids)
    minutes(stack, 11)
    assert next(sent(stack, before))[0] == "one", "it goes when the next batch of any team ends"
    assert stack.audit() == []


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [
        pytest.param((20, 100), (20, 100), (20, 100), id="equal batches"),
        pytest.param((10, 200), (200, 10), (40, 50), id="large and small ones"),
    ],
)
def test_teams_with_as_much_to_do_have_equal_shares_in_every_hour(
    a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]
) -> None:
    stack = Stack(max_requests=200, queue_limit=600)
    stack.claude.seconds = 600
    stack.switch.text = "pause"
    for team, backlog in zip("abc", (a, b, c), strict=True):
        files(stack, team, *backlog)
    stack.switch.text = "run"
    total: Counter[str] = Counter()
    for _ in range(2):
        sent_now = hour(stack)
        total += sent_now
        if sum(total.values()) < 3 * 2000:
            assert len(sent_now) == 3
            assert max(sent_now.values()) - min(sent_now.values()) <= 200, "no more than a batch"
            assert max(total.values()) <= 1.1 * min(total.values())


def test_with_two_batches_at_a_time_three_teams_still_have_equal_shares() -> None:
    """As with the defaults: the room holds two of the largest batches."""
    stack = Stack(max_requests=100, queue_limit=200)
    stack.claude.seconds = 1800
    stack.switch.text = "pause"
    for team in "abc":
        files(stack, team, 20, 100)
    stack.switch.text = "run"
    minutes(stack, 300)
    had = shares(stack)
    assert max(had.values()) - min(had.values()) <= 100


def test_whoever_comes_later_neither_catches_up_nor_waits_for_the_others() -> None:
    stack = Stack(max_requests=100, queue_limit=300)
    stack.claude.seconds = 600
    files(stack, "a", 40, 100)
    minutes(stack, 60)  # it had all of the room
    files(stack, "b", 12, 100)
    before = len(stack.claude.ids)
    minutes(stack, 60)
    had = shares(stack, before)
    assert abs(had["a"] - had["b"]) <= 200
    minutes(stack, 90)
    files(stack, "c", 2, 100)  # and one that comes when the others have gone
    assert next(reversed(list(sent(stack)))) != ("c", 100)
    stack.pump()
    assert list(sent(stack))[-2:] == [("c", 100)] * 2


def test_many_tiny_files_do_not_take_every_call() -> None:
    stack = Stack(max_requests=1000, queue_limit=100_000, per_tick=5)
    stack.claude.seconds = 60
    stack.switch.text = "pause"
    files(stack, "tiny", 200, 1)
    stack.drop("inbox/large/a.jsonl", rows(10_000))
    stack.switch.text = "run"
    minutes(stack, 15)
    assert shares(stack)["large"] >= 6000


def test_high_goes_before_other_teams_but_not_for_ever() -> None:
    stack = Stack(max_requests=100, queue_limit=400)
    stack.claude.seconds = 600
    stack.switch.text = "pause"
    files(stack, "normal", 60, 100)
    stack.switch.text = "run"
    minutes(stack, 30)
    before = len(stack.claude.ids)
    files(stack, "urgent", 60, 100, HIGH)
    minutes(stack, 11)
    assert [team for team, _ in sent(stack, before)][:2] == ["urgent", "urgent"], "half of the room"
    minutes(stack, 60)
    had = shares(stack, before)
    assert had["normal"] >= had["urgent"] - 300


def test_a_flood_of_high_files_of_the_same_folder_leaves_the_others_one_batch_in_five() -> None:
    stack = Stack(max_requests=100, queue_limit=400)
    stack.claude.seconds = 600
    stack.switch.text = "pause"
    for n in range(4):
        stack.drop(f"inbox/team/normal{n}.jsonl", rows(100))
    stack.switch.text = "run"
    stack.claude.seconds = 600
    for n in range(120):
        stack.drop(f"inbox/team/high{n}.jsonl", rows(100), HIGH)
        stack.step()
    names = [stack.ledger.jobs[stack.ledger.claims[api_id][0]].input.key for api_id in stack.claude.ids]
    normal = [n for n, name in enumerate(names) if "normal" in name]
    assert len(normal) == 4
    assert max(normal) <= 4 * 5 + 4


def test_low_waits_for_others_but_not_for_ever() -> None:
    stack = Stack(max_requests=100, queue_limit=400)
    stack.claude.seconds = 600
    stack.switch.text = "pause"
    files(stack, "later", 20, 100, LOW)
    files(stack, "normal", 60, 100)
    stack.switch.text = "run"
    minutes(stack, 11)
    assert [team for team, _ in sent(stack)][:2] == ["normal", "normal"]
    minutes(stack, 60)
    had = shares(stack)
    assert had["normal"] - 400 <= had["later"] < had["normal"]


def test_a_batch_that_needs_all_the_room_has_its_turn_among_small_ones_of_other_teams() -> None:
    stack = Stack(max_requests=400, queue_limit=400, per_tick=2)
    stack.claude.seconds = 600
    stack.switch.text = "pause"
    files(stack, "small", 150, 20)
    files(stack, "whole", 2, 400)
    stack.switch.text = "run"
    minutes(stack, 90)
    had = shares(stack)
    assert had["whole"] == 800
    first = [team for team, _ in sent(stack)].index("whole")
    assert first <= 20 + 10, "the others have passed it by half of the room at most"


def test_what_is_refused_is_not_charged_to_the_team() -> None:
    stack = Stack(max_requests=100, queue_limit=100)
    stack.claude.seconds = 600
    stack.switch.text = "pause"
    files(stack, "a", 6, 100)
    files(stack, "b", 6, 100)
    stack.switch.text = "run"
    fail(stack, "claude.create", refused(529, "overloaded_error"), times=3)
    minutes(stack, 150)
    had = [team for team, _ in sent(stack)]
    assert all(abs(had[:n].count("a") - had[:n].count("b")) <= 1 for n in range(1, len(had)))
    assert list(purses_kept(stack.ledger)) == []


def test_a_tick_that_is_killed_at_any_commit_counts_no_turn_twice_and_none_too_few() -> None:
    stack = Stack(max_requests=10, queue_limit=60)
    stack.switch.text = "pause"
    for team in "ab":
        files(stack, team, 5, 10)
    stack.switch.text = "run"
    for number in range(6):
        left = [number]

        def die(name: str, left: list[int] = left) -> None:
            if name.startswith("ledger.commit"):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed

        stack.hooks.after = die
        stack.tick()
        stack.hooks.clear()
        assert list(purses_kept(stack.ledger)) == []
    stack.run()
    assert shares(stack) == {"a": 50, "b": 50}
    assert stack.audit() == []


def test_two_ticks_at_once_do_not_lift_a_team_twice() -> None:
    stack = Stack(max_requests=10, queue_limit=1000)
    files(stack, "a", 50, 10)
    minutes(stack, 1)
    stack.switch.text = "pause"
    files(stack, "b", 4, 10)
    stack.switch.text = "run"
    others = [2]

    def overtake(name: str) -> None:
        if name == "ledger.commit.admitted" and others[0]:
            others[0] -= 1
            stack.tick()

    stack.hooks.before = overtake
    stack.tick()
    stack.hooks.clear()
    b, virtual_time = stack.ledger.purses[turn("b")], stack.ledger.get_admission().virtual_time
    assert virtual_time - 100 <= b.used <= virtual_time + 4 * 10 + 100
    assert b.spent == 4
    stack.run()
    assert stack.audit() == []


def test_jobs_from_before_the_upgrade_have_their_share() -> None:
    """They begin to wait at no virtual time, and their batches were charged to nobody."""
    stack = Stack(max_requests=10, queue_limit=50)
    stack.claude.seconds = 600
    files(stack, "old", 20, 10)
    for key, batch in stack.ledger.stored.items():
        stack.ledger.stored[key] = type(batch)(**{**{n: getattr(batch, n) for n in batch.__struct_fields__}, "turn": ""})
    stack.ledger.purses.clear()
    files(stack, "new", 20, 10)
    minutes(stack, 90)
    had = shares(stack)
    assert had == {"old": 200, "new": 200}
    assert stack.queues.messages(Queue.submit) == []
    stack.run()
    assert stack.audit() == []


def test_a_tick_reads_a_bounded_number_of_those_that_wait() -> None:
    stack = Stack(max_requests=100, queue_limit=150)
    stack.claude.seconds = 86_000
    stack.drop("inbox/a/first.jsonl", rows(100))
    stack.pump()
    for team in range(30):
        files(stack, f"team{team}", 30, 100)
    before = len(stack.hooks.calls)
    stack.poll.admit()
    calls = Counter(stack.hooks.calls[before:])
    assert calls["ledger.list_waiting_batches"] <= 230
    assert calls["ledger.get_job"] <= 200
    assert calls["ledger.list_open_jobs"] == 1
    before = len(stack.hooks.calls)
    stack.drop("inbox/late/large.jsonl", rows(100))
    assert "ledger.list_waiting_batches" not in stack.hooks.calls[before:], "there is no room for it: it is left to the tick"


def test_a_planner_admits_its_own_file_alone() -> None:
    """Others that wait have their turn by the tick, in fair order."""
    stack = Stack(max_requests=10, queue_limit=60)
    files(stack, "a", 1, 10)
    stack.switch.text = "pause"
    files(stack, "a", 3, 10)
    stack.switch.text = "run"

    def admitted() -> str:
        return "".join(
            sorted(team_of(stack.ledger.jobs[one.job_id].input.key) for one in stack.ledger.stored.values() if one.admitted_at)
        )

    assert admitted() == "a"
    stack.drop("inbox/b/late.jsonl", rows(10))
    assert admitted() == "ab"
    stack.drop("inbox/b/later.jsonl", rows(10))
    assert admitted() == "ab", "its team has had as many turns as the other, which has waited longer"
    stack.run()
    assert stack.audit() == []


def test_without_anything_that_waits_a_tick_reads_no_turns() -> None:
    stack = Stack()
    stack.poll.admit()
    # Of no purse: that is no call of the table.
    assert stack.hooks.calls == [
        "switch.state",
        "ledger.get_admission",
        "ledger.list_open_jobs",
        "ledger.list_open_batches",
        "ledger.get_purses",
    ]
