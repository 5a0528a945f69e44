"""The stages of Batchdrop, measured in a process of their own: `python -m bench.stage JSON`.

The order is `{"runs": [{"stages": [...], "key", "version", "most", "unpriced"}, ...]}`: what to do, with which object of
the inbox, how many of its batches to submit and collect at most (all), and whether money is left out. The answer is
one line of JSON with what each stage of each run took. Everything is wired by `bootstrap` and talks to servers over sockets, as
in a deployed function.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property, partial
from typing import Any, TypedDict
from unittest.mock import patch

import boto3

from batchdrop import bootstrap
from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain import ids
from batchdrop.domain.messages import CollectBatch, FinishJob, SubmitBatch, Upload
from batchdrop.domain.records import BatchState
from batchdrop.money.billing import Biller
from batchdrop.money.sizing import Sizer
from batchdrop.ports import Metrics
from batchdrop.settings import CollectSettings, FinishSettings, PlanSettings, PollSettings, SubmitSettings
from batchdrop.stages.plan.pilot_draw import PilotDraw
from bench.process import cpu_seconds, peak_bytes
from local.claude.client import Control


class Figures(TypedDict):
    wall: float
    """seconds"""
    cpu: float
    """seconds of this process, in user and kernel mode"""
    times: int
    """invocations"""
    calls: dict[str, int]
    """to AWS"""
    list_calls: int
    """to the API"""


class Whole:
    """A deadline that does not come near: Lambda's longest."""

    def remaining(self) -> float:
        return 900.0


class _NoMetrics:
    def count(self, name: str, value: float = 1, **dimensions: str) -> None: ...


class _Ports(bootstrap.RealPorts):
    @cached_property
    def metrics(self) -> Metrics:
        """None: a metric is a line on standard output, where the figures go."""
        return _NoMetrics()


class Measured:
    """The functions of one deployment, and what each call of them took."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.figures: list[dict[str, Figures]] = []
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION.events.register("before-call", self._called)  # type: ignore[union-attr]  # it was just set up
        self._plan = bootstrap.plan(PlanSettings.from_env())
        self._submit = bootstrap.submit(SubmitSettings.from_env())
        polling = PollSettings.from_env()
        self._poll = bootstrap.poll(polling, _Ports(polling))
        self._collect = bootstrap.collect(CollectSettings.from_env())
        self._finish = bootstrap.finish(FinishSettings.from_env())
        self._objects = S3Objects(boto3.client("s3"), os.environ["BATCHDROP_BUCKET"])
        self._ledger = DynamoLedger(boto3.client("dynamodb"), os.environ["BATCHDROP_TABLE"], SystemClock())
        self._control = Control(os.environ["ANTHROPIC_BASE_URL"])

    def run(
        self, stages: list[str], key: str = "", version: str = "", most: int | None = None, *, unpriced: bool = False
    ) -> None:
        """Adds what each stage took to `figures`. `unpriced`: without sizing, drawing and billing."""
        with ExitStack() as changed:
            for counter, method in ((Sizer, "add"), (PilotDraw, "add"), (Biller, "bill")) if unpriced else ():
                changed.enter_context(patch.object(counter, method, lambda *_: None))
            self._run(stages, key, version, most)

    def _run(self, stages: list[str], key: str, version: str, most: int | None) -> None:
        self.figures.append({})
        upload, job_id = self._found(key, version) if key else (None, "")
        for stage in stages:
            match stage:
                case "plan" if upload is not None:
                    self._one(stage, partial(self._plan, upload, Whole()))
                case "submit":
                    names = [
                        one.name for one in self._ledger.list_batches(job_id) if one.state is BatchState.ready and one.admitted_at
                    ]
                    self._one(
                        stage, *(partial(self._submit, SubmitBatch(job_id=job_id, batch=name), Whole()) for name in names[:most])
                    )
                case "end":
                    # The provider's time: no figure has it.
                    self._control.advance(3600)
                case "poll":
                    self._one(stage, self._poll)
                case "collect":
                    names = [one.name for one in self._ledger.list_batches(job_id) if one.state is BatchState.ended]
                    self._one(stage, *(partial(self._collect, CollectBatch(job_id=job_id, batch=name)) for name in names[:most]))
                case "finish":
                    self._one(stage, partial(self._finish, FinishJob(job_id=job_id), Whole()))
                case _:
                    raise ValueError(stage)

    def _found(self, key: str, version: str) -> tuple[Upload, str]:
        """The event of an object, and the id of its job."""
        found = self._objects.head(key, version)
        upload = Upload(key=key, version_id=version, etag=found.ref.etag, size=found.ref.size, at=found.written_at)
        return upload, ids.job_id(found.ref, found.written_at)

    def _one(self, stage: str, *steps: Callable[[], None]) -> None:
        before, listed = Counter(self.calls), self._control.count("list")
        wall, cpu = time.perf_counter(), cpu_seconds()
        for step in steps:
            step()
        self.figures[-1][stage] = Figures(
            wall=time.perf_counter() - wall,
            cpu=cpu_seconds() - cpu,
            times=len(steps),
            calls=dict(self.calls - before),
            list_calls=self._control.count("list") - listed,
        )

    def _called(self, model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's event
        self.calls[f"{model.service_model.service_id}.{model.name}"] += 1


def main(order: dict[str, Any]) -> None:
    measured = Measured()
    for run in order["runs"]:
        measured.run(**run)
    print(json.dumps({"runs": measured.figures, "peak": peak_bytes()}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
