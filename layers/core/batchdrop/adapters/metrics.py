"""Numbers for CloudWatch, written as log lines in the embedded metric format: no API call, no permission."""

from __future__ import annotations

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

_MOST_CHARS = 255
_NONE = "(none)"


class PowertoolsMetrics:
    """Each number is written at once: an invocation that is killed afterwards has told it. Namespace and service come from the
    environment.
    """

    def count(self, name: str, value: float = 1, **dimensions: str) -> None:
        with single_metric(name=name, unit=MetricUnit.Count, value=value) as metric:
            for dimension, text in dimensions.items():
                metric.add_dimension(name=dimension, value=_ascii(text))


def _ascii(text: str) -> str:
    """CloudWatch takes ASCII of 1 to 255 characters here (Amazon CloudWatch API reference, "Dimension"; 1,024 by now)."""
    return text.encode("ascii", "backslashreplace").decode()[:_MOST_CHARS].strip() or _NONE
