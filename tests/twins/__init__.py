"""In-memory twins of every port. They behave as the adapters do; `tests/adapters/` runs one suite over both."""

from tests.twins.claude import ClaudeTwin
from tests.twins.clock import DeadlineTwin, ManualClock
from tests.twins.hooks import Hooks
from tests.twins.ledger import LedgerTwin
from tests.twins.objects import ObjectsTwin
from tests.twins.small import MetricsTwin, NoticesTwin, QueuesTwin, SwitchTwin

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
