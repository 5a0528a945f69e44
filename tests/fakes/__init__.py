"""In-memory twins of every port. They behave as the adapters do; `tests/adapters/` runs one suite over both."""

from tests.fakes.claude import ClaudeTwin
from tests.fakes.clock import DeadlineTwin, ManualClock
from tests.fakes.hooks import Hooks
from tests.fakes.ledger import LedgerTwin
from tests.fakes.objects import ObjectsTwin
from tests.fakes.small import MetricsTwin, NoticesTwin, QueuesTwin, SwitchTwin

__all__ = [
    "ClaudeTwin",
    "DeadlineTwin",
    "Hooks",
    "LedgerTwin",
    "ManualClock",
    "MetricsTwin",
    "NoticesTwin",
    "ObjectsTwin",
    "QueuesTwin",
    "SwitchTwin",
]
