"""Numbers for CloudWatch, written as log lines in the embedded metric format: no API call, no permission."""

from __future__ import annotations

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit


class PowertoolsMetrics:
    """Each number is written at once: an invocation that is killed afterwards has told it. Namespace and service come from the
    environment.
    """

    def count(self, name: str, value: float = 1) -> None:
        with single_metric(name=name, unit=MetricUnit.Count, value=value):
            pass
