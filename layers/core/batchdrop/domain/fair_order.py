"""Whose batch is the next one to go: teams take turns, and within a team priority and tag decide.

Between teams it is start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996), counted in
requests. Each team has a virtual time of its own, which its batches move on as they are admitted, and the team that is behind the
others goes next. The stack's virtual time is where the last of them started. A team whose files begin to wait starts there, or at
its own time if that is later: it is not punished for what it has sent while nobody else waited, and has saved up nothing by
having sent little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from math import inf

from batchdrop.domain import purses
from batchdrop.domain.purses import Charge
from batchdrop.domain.records import NORMAL, Batch, Purse

# Most batches end within an hour (Anthropic, "Batch processing"): then the room is used once in so many ticks.
_TICKS = 60
# Batches without room that one tick looks at, of a team and in all: each costs two reads, and the room only shrinks.
_PASSED_IN_TEAM = 20
_PASSED = 200
# Of so many batches of a team one is the one that has waited longest, whatever its priority.
EVERY = 5


def least_cost(room: int, creates_per_tick: int) -> int:
    """Requests that a call counts for at least: an hour's calls are worth an hour's room.

    By its rows alone a team with files of one row would be behind the others for ever, and take every call.
    """
    return max(1, room // (_TICKS * creates_per_tick))


def given_back(batch: Batch) -> tuple[Charge, ...]:
    """Of a batch that was admitted and is not sent after all."""
    return (Charge(purse=batch.turn, used=-batch.turn_cost, spent=-1),) if batch.turn else ()


class WaitingTeam:
    """A team's batches that wait: those of each priority, by tag.

    `turn`: the purse of its turns. `since`: the stack's virtual time when the first of its waiting jobs began to wait.
    """

    def __init__(self, turn: Purse, since: int, queues: Mapping[int, Iterator[Batch]]) -> None:
        self.turn = turn
        self.since = since
        self.passed = 0
        """Its batches for which there was no room."""
        self._queues = dict(queues)
        self._heads: dict[int, Batch] = {}

    @property
    def priority(self) -> int:
        """The highest that waits."""
        return min(self._queues, default=NORMAL)

    @property
    def is_empty(self) -> bool:
        return not self._queues

    def next(self) -> Batch | None:
        """None: nothing of that priority waits any more, or nothing at all."""
        highest = self.priority
        for priority in sorted(self._queues) if self._goes_by_age else [highest]:
            self._look(priority)
        if not self._heads or (highest not in self._queues and not self._goes_by_age):
            return None
        priority = min(self._heads, key=self._age_of) if self._goes_by_age else highest
        return self._heads.pop(priority)

    @property
    def _goes_by_age(self) -> bool:
        return len(self._queues) > 1 and self.turn.spent % EVERY == EVERY - 1

    def _age_of(self, priority: int) -> tuple[object, ...]:
        head = self._heads[priority]
        return head.start_tag, priority

    def _look(self, priority: int) -> None:
        if priority in self._heads or priority not in self._queues:
            return
        head = next(self._queues[priority], None)
        if head is None:
            del self._queues[priority]
        else:
            self._heads[priority] = head


class FairOrder:
    """Goes through what waits in the order in which it may be admitted.

    `room`: what the stack may have at the API, in requests. By half of that a team's files of high priority may be ahead of the
    other teams, and its files of low priority behind them; and by twice that a team may be behind at most, whatever kept it.
    `least_cost`: as the function of that name says.
    """

    def __init__(self, teams: Iterable[WaitingTeam], virtual_time: int, *, room: int, least_cost: int) -> None:
        self.virtual_time = virtual_time
        self._least_cost = least_cost
        self._lead = room // 2
        self._earliest = virtual_time - 2 * room
        self._teams = {team.turn.name: team for team in teams}
        self._order = [(self._place(team), name) for name, team in self._teams.items()]
        heapify(self._order)
        self._nobody_behind: float = inf
        self._passed = 0

    def next(self) -> Batch | None:
        """The one that goes next of those that were not looked at; None: no other may go."""
        while self._order:
            place, name = self._order[0]
            team = self._teams[name]
            if place > self._nobody_behind:
                return None
            if self._place(team) != place:
                heapreplace(self._order, (self._place(team), name))
            elif (batch := team.next()) is not None:
                return batch
            elif team.is_empty:
                heappop(self._order)
        return None

    def does_not_fit(self, batch: Batch, *, holds: bool) -> None:
        """There is no room for the last one. Other teams may pass it by as many requests as it has itself.

        `holds`: nothing else of its own team may pass it.
        """
        if not self._order:  # all were looked at before, to choose one of them
            return
        place, name = self._order[0]
        self._nobody_behind = min(self._nobody_behind, place + min(self.cost_of(batch), self._lead))
        team = self._teams[name]
        team.passed += 1
        self._passed += 1
        if self._passed == _PASSED:
            self._order.clear()
        elif holds or team.passed == _PASSED_IN_TEAM:
            heappop(self._order)

    def cost_of(self, batch: Batch) -> int:
        """What its admission moves on its team's virtual time."""
        return max(self._least_cost, batch.requests)

    def charge(self, team: str, batch: Batch) -> Charge:
        """What the batch's admission adds to its team's turns.

        Where the team starts later than it was, nobody else may have moved it there meanwhile: that is the limit.
        """
        found = self._teams[purses.turn(team)]
        start, cost = self._start(found), self.cost_of(batch)
        lifted = start > found.turn.used
        return Charge(
            purse=found.turn.name,
            used=start + cost - found.turn.used,
            spent=1,
            limit=start + cost if lifted else None,
        )

    def admitted(self, charge: Charge) -> None:
        team = self._teams[charge.purse]
        self.virtual_time = max(self.virtual_time, min(self._start(team), self._place(team)))
        team.turn = Purse(name=charge.purse, used=team.turn.used + charge.used, spent=team.turn.spent + charge.spent)

    def _start(self, team: WaitingTeam) -> int:
        return max(team.turn.used, team.since, self._earliest)

    def _place(self, team: WaitingTeam) -> int:
        """The smallest goes next."""
        if team.priority == NORMAL:
            return self._start(team)
        return self._start(team) + (self._lead if team.priority > NORMAL else -self._lead)
