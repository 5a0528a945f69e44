"""CloudWatch as far as the template's alarms need it: metrics from log lines and from services, and the state of each alarm.

States follow the Amazon CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data": an alarm looks at more
periods than it evaluates, judges the most recent ones that have data, and fills in what is missing only if these are too few.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from batchdrop.adapters.metrics import PowertoolsMetrics
from batchdrop.ports import Clock

# The guide's examples look at five periods where three are evaluated.
_MORE_PERIODS = 2
_STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max, "Minimum": min}
_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}
OK, ALARM = "OK", "ALARM"


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class CloudWatch:
    def __init__(self) -> None:
        self._values: dict[Metric, list[tuple[datetime, float]]] = defaultdict(list)

    def put(self, metric: Metric, at: datetime, value: float) -> None:
        self._values[metric].append((at, value))

    def ingest(self, line: str, at: datetime) -> None:
        """One log line. What is not in the embedded metric format is no metric, and no error either, as in CloudWatch Logs."""
        try:
            document = json.loads(line)
        except ValueError:
            return
        directives = document.get("_aws", {}).get("CloudWatchMetrics", []) if isinstance(document, dict) else []
        for directive in directives:
            for names in directive["Dimensions"]:
                dimensions = tuple(sorted((name, str(document[name])) for name in names))
                for one in directive["Metrics"]:
                    values = document[one["Name"]]
                    for value in values if isinstance(values, list) else [values]:
                        self.put(Metric(directive["Namespace"], one["Name"], dimensions), at, value)

    def known(self, namespace: str) -> set[Metric]:
        """Those that have ever had a value: what is paid for."""
        return {metric for metric in self._values if metric.namespace == namespace}

    def periods(self, metric: Metric, statistic: str, period: timedelta, number: int, now: datetime) -> list[float | None]:
        """The last complete periods, the latest first; None where there is no value."""
        start = now - timedelta(seconds=now.timestamp() % period.total_seconds())
        found: list[float | None] = []
        for place in range(number):
            end = start - place * period
            inside = [value for at, value in self._values.get(metric, []) if end - period <= at < end]
            found.append(_STATISTICS[statistic](inside) if inside else None)
        return found


class Alarm:
    """An alarm of the template. It begins as OK: what is not known yet rings nothing."""

    def __init__(self, properties: Mapping[str, Any], resolve: Callable[[object], str]) -> None:
        self._of = properties
        dimensions = tuple(sorted((one["Name"], resolve(one["Value"])) for one in properties["Dimensions"]))
        self.metric = Metric(properties["Namespace"], properties["MetricName"], dimensions)
        self.state = OK

    def evaluate(self, watch: CloudWatch, now: datetime) -> str:
        number = self._of["EvaluationPeriods"]
        period = timedelta(seconds=self._of["Period"])
        seen = watch.periods(self.metric, self._of["Statistic"], period, number + _MORE_PERIODS, now)
        values = [value for value in seen if value is not None]
        breaches = _BREACHES[self._of["ComparisonOperator"]]
        judged = [breaches(value, self._of["Threshold"]) for value in values[:number]]
        missing = number - len(judged)
        match self._of["TreatMissingData"]:
            case "ignore" if missing:
                return self.state
            case "breaching":
                judged += [True] * missing
            case "notBreaching":
                judged += [False] * missing
        self.state = ALARM if sum(judged) >= self._of.get("DatapointsToAlarm", number) else OK
        return self.state


class LoggedMetrics:
    """The metrics of a deployed function: log lines, of which CloudWatch Logs makes metrics. The time is the test's."""

    def __init__(self, clock: Clock, watch: CloudWatch) -> None:
        self._clock = clock
        self._watch = watch
        self._metrics = PowertoolsMetrics()

    def count(self, name: str, value: float = 1, **dimensions: str) -> None:
        lines = io.StringIO()
        with redirect_stdout(lines):
            self._metrics.count(name, value, **dimensions)
        for line in lines.getvalue().splitlines():
            self._watch.ingest(line, self._clock.now())


def evaluate(alarms: Mapping[str, Alarm], watch: CloudWatch, now: datetime) -> Iterable[str]:
    """The names of those that ring."""
    return [name for name, alarm in alarms.items() if alarm.evaluate(watch, now) == ALARM]
