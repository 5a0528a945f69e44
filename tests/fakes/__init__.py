"""In-memory fakes of every port. They behave as the adapters do; `tests/adapters/` runs one suite over both."""

from tests.fakes.claude import FakeClaude
from tests.fakes.clock import FakeDeadline, ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.fakes.small import FakeEvents, FakeMetrics, FakeNotices, FakeQueues, FakeSwitch

__all__ = [
    "FakeClaude",
    "FakeDeadline",
    "FakeEvents",
    "FakeLedger",
    "FakeMetrics",
    "FakeNotices",
    "FakeObjects",
    "FakeQueues",
    "FakeSwitch",
    "Hooks",
    "ManualClock",
]
