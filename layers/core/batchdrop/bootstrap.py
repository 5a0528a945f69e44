"""The composition root: the one place where clients are made and parts are put together, one function for each stage.

A stage is built over `Ports`: the real ones, or fakes. Imports that only some stages need are inside their functions, so that a
function that never calls Claude never loads its SDK.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import boto3
import msgspec
from botocore.config import Config

from batchdrop.adapters.clock import SystemClock
from batchdrop.adapters.dynamodb import DynamoLedger
from batchdrop.adapters.s3 import S3Objects, of_owner
from batchdrop.adapters.sqs import SqsQueues
from batchdrop.domain.admission import AdmissionLimits
from batchdrop.domain.call_headers import AllowedHeaders
from batchdrop.domain.messages import Queue
from batchdrop.jobs.cancel import CancelBatch, CancelJob
from batchdrop.jobs.commit import Commit
from batchdrop.jobs.deliver import Deliver
from batchdrop.jobs.publish import Publish
from batchdrop.jobs.report import Report
from batchdrop.ports import Claude, Clock, Events, Inspector, Ledger, Metrics, Notices, Objects, Queues, Switch

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from batchdrop.adapters.claude import Key
    from batchdrop.domain.records import Job, ObjectRef
    from batchdrop.jobs.admit import Admit
    from batchdrop.jobs.announce import Announce
    from batchdrop.jobs.budget import Budget
    from batchdrop.jobs.pause import Pause
    from batchdrop.settings import (
        CollectSettings,
        ControlSettings,
        FinishSettings,
        PlanSettings,
        PollSettings,
        Settings,
        SubmitSettings,
    )
    from batchdrop.stages.collect.ended_batch import Collect
    from batchdrop.stages.control.commands import Control
    from batchdrop.stages.finish.outputs import Finish
    from batchdrop.stages.plan.name_files import NameFiles
    from batchdrop.stages.plan.open_rows import OpenRows
    from batchdrop.stages.plan.prepare import Made, Source, Text, Unpacking
    from batchdrop.stages.plan.upload import Plan
    from batchdrop.stages.poll.tick import Poll
    from batchdrop.stages.submit.post import Submit

# Short enough for a function, long enough for a throttled table: botocore's standard mode backs off up to 20 s.
_AWS = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)


class Ports(Protocol):
    """What a stage reaches the outside through. Only those that it uses are ever asked for."""

    @property
    def region(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def objects(self) -> Objects: ...
    @property
    def inspector(self) -> Inspector: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def queues(self) -> Queues: ...
    @property
    def switch(self) -> Switch: ...
    @property
    def claude(self) -> Claude: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def events(self) -> Events: ...
    @property
    def metrics(self) -> Metrics: ...


class RealPorts:
    """AWS and Anthropic, by a function's settings. Each client is made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Mapping[str, Any] = msgspec.structs.asdict(settings)

    @property
    def region(self) -> str:
        return os.environ.get("AWS_REGION", "")

    @cached_property
    def clock(self) -> Clock:
        return SystemClock()

    @cached_property
    def objects(self) -> Objects:
        return S3Objects(of_owner(boto3.client("s3", config=_AWS), self._settings["account"]), self._settings["bucket"])

    @cached_property
    def inspector(self) -> Inspector:
        from batchdrop.adapters.inspector import ChildInspector

        return ChildInspector()

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        return boto3.client("dynamodb", config=_AWS)

    @cached_property
    def ledger(self) -> Ledger:
        return DynamoLedger(self._dynamodb, self._settings["table"], self.clock)

    @cached_property
    def queues(self) -> Queues:
        """Those whose URL is among the settings, as `<queue>_queue`."""
        urls = {queue: self._settings[f"{queue}_queue"] for queue in Queue if f"{queue}_queue" in self._settings}
        return SqsQueues(boto3.client("sqs", config=_AWS), urls)

    @cached_property
    def switch(self) -> Switch:
        from batchdrop.adapters.switch import StackSwitch

        ssm = boto3.client("ssm", config=_AWS)
        return StackSwitch(self._dynamodb, self._settings["table"], ssm, self._settings["switch"], self.clock)

    @cached_property
    def claude(self) -> Claude:
        from batchdrop.adapters.claude import AnthropicClaude

        workspace = self._settings["workspace"]
        return AnthropicClaude(self._key, self._settings["anthropic_base_url"], self.clock, workspace=workspace)

    @cached_property
    def _key(self) -> Key:
        if self._settings["workspace"]:
            from batchdrop.adapters.minted import MintedKey

            return MintedKey(self.clock)
        from batchdrop.adapters.secrets import SecretKey

        return SecretKey(boto3.client("secretsmanager", config=_AWS), self._settings["api_key_secret"], self.clock)

    @cached_property
    def notices(self) -> Notices:
        from batchdrop.adapters.sns import SnsNotices

        return SnsNotices(boto3.client("sns", config=_AWS), self._settings["topic"])

    @cached_property
    def events(self) -> Events:
        from batchdrop.adapters.eventbridge import BusEvents

        return BusEvents(boto3.client("events", config=_AWS), self._settings["event_bus"])

    @cached_property
    def metrics(self) -> Metrics:
        from batchdrop.adapters.metrics import PowertoolsMetrics

        return PowertoolsMetrics()


def plan(settings: PlanSettings, ports: Ports | None = None) -> Plan:
    from batchdrop.domain.high_priority import HighPriority
    from batchdrop.stages.plan.batches import CutFile
    from batchdrop.stages.plan.cutter import Limits
    from batchdrop.stages.plan.dropped_document import DroppedDocument
    from batchdrop.stages.plan.find_recipe import FindRecipe
    from batchdrop.stages.plan.improve import Improve
    from batchdrop.stages.plan.kinds import LookAt
    from batchdrop.stages.plan.try_first import TryFirst
    from batchdrop.stages.plan.upload import Plan
    from batchdrop.stages.plan.wake import Wake

    ports = ports or RealPorts(settings)
    # It reads files of strangers, so it reads no answers.
    publish = _publish(ports, pages=True, answers=False)
    commit = _commit(ports)
    limits = Limits.of_a_stack(
        max_requests=min(settings.max_batch_requests, settings.queued_requests_limit),
        max_body_bytes=settings.max_batch_bytes,
        spool_bytes=settings.spool_bytes,
    )
    look_at = LookAt(objects=ports.objects)
    find_recipe = FindRecipe(objects=ports.objects, ledger=ports.ledger, look_at=look_at)
    budget = _budget(ports, settings)
    return Plan(
        **_core(ports, publish),
        admit=_admit(ports, settings, budget, publish),
        pause=_pause(ports, budget, publish),
        try_first=TryFirst(objects=ports.objects, budget=budget),
        # It has no key: what is at the API is left for `poll`.
        cancel_job=_cancel_job(ports, CancelBatch(clock=ports.clock, commit=commit), publish),
        wake=Wake(ledger=ports.ledger, clock=ports.clock, commit=commit),
        look_at=look_at,
        find_recipe=find_recipe,
        dropped_document=DroppedDocument(objects=ports.objects, find_recipe=find_recipe),
        improve=Improve(
            objects=ports.objects,
            ledger=ports.ledger,
            commit=commit,
            publish=publish,
            find_recipe=find_recipe,
            check=_check_recipe(settings, ports, budget),
        ),
        render=_render(settings, ports, budget),
        list_documents=_list_documents(ports),
        fill_requests=_fill_requests(settings, ports),
        cut_file=CutFile(
            objects=ports.objects,
            ledger=ports.ledger,
            clock=ports.clock,
            commit=commit,
            limits=limits,
            prices=budget.prices,
        ),
        headers=_headers(settings),
        bucket=settings.bucket,
        max_input_bytes=settings.max_input_bytes,
        separate_teams=settings.separate_teams,
        high_priority=HighPriority.of(settings.high_priority_folders),
        open_jobs=settings.open_jobs_per_folder,
    )


def _headers(settings: PlanSettings) -> AllowedHeaders:
    return AllowedHeaders.of(settings.allowed_api_versions, settings.allowed_betas)


def open_rows(objects: Objects, ledger: Ledger) -> OpenRows:
    """For recipes that were let through before."""
    from batchdrop.stages.plan.open_rows import OpenRows

    return OpenRows(objects=objects, ledger=ledger, clock=SystemClock(), headers=None)


def _open_rows(settings: PlanSettings, ports: Ports, budget: Budget) -> OpenRows:
    from batchdrop.stages.plan.open_rows import OpenRows

    return OpenRows(
        objects=ports.objects,
        ledger=ports.ledger,
        clock=ports.clock,
        headers=_headers(settings),
        tools=frozenset(filter(None, map(str.strip, settings.allowed_tools.split(",")))),
        has_price=budget.has_price,
    )


def _render(settings: PlanSettings, ports: Ports, budget: Budget) -> Callable[[Job, ObjectRef, bool, Callable[[], bool]], Made]:
    def render(job: Job, recipe: ObjectRef, packed: bool, go_on: Callable[[], bool]) -> Made:
        # Only a job with a recipe loads what reads recipes and tables.
        from batchdrop.stages.plan.render_file import RenderFile

        rows = _open_rows(settings, ports, budget)
        return RenderFile(
            objects=ports.objects, open_rows=rows, name_files=_name_files(settings, ports), max_bytes=settings.max_input_bytes
        )(job, recipe, packed, go_on)

    return render


def _list_documents(ports: Ports) -> Callable[[Job, ObjectRef, Callable[[], bool]], Text | Unpacking | None]:
    def list_documents(job: Job, recipe: ObjectRef, go_on: Callable[[], bool]) -> Text | Unpacking | None:
        # Only the start of a folder.
        from batchdrop.stages.plan.list_documents import ListDocuments

        return ListDocuments(objects=ports.objects, ledger=ports.ledger)(job, recipe, go_on)

    return list_documents


def _fill_requests(settings: PlanSettings, ports: Ports) -> Callable[[Job, ObjectRef, Callable[[], bool]], Source | Unpacking]:
    def fill(job: Job, lines: ObjectRef, go_on: Callable[[], bool]) -> Source | Unpacking:
        # Only a job that names files.
        from batchdrop.stages.plan.fill_requests import FillRequests

        return FillRequests(objects=ports.objects, name_files=_name_files(settings, ports), max_bytes=settings.max_input_bytes)(
            job, lines, go_on
        )

    return fill


def _name_files(settings: PlanSettings, ports: Ports) -> NameFiles:
    from batchdrop.jobs import config_files
    from batchdrop.stages.plan.name_files import NameFiles

    return NameFiles(
        objects=ports.objects,
        clock=ports.clock,
        inspect=ports.inspector,
        sources=config_files.sources(ports.objects),
        bucket=settings.bucket,
    )


def _check_recipe(settings: PlanSettings, ports: Ports, budget: Budget) -> Callable[[Job, ObjectRef], None]:
    def check(job: Job, recipe: ObjectRef) -> None:
        from batchdrop.recipes.form import Kind

        rows = _open_rows(settings, ports, budget)
        with rows(job, recipe, job.text or job.input, Kind(job.kind)):
            pass

    return check


def submit(settings: SubmitSettings, ports: Ports | None = None) -> Submit:
    from batchdrop.jobs import config_files
    from batchdrop.stages.submit.post import Submit

    ports = ports or RealPorts(settings)
    return Submit(
        **_core(ports, _publish(ports)),
        claude=ports.claude,
        switch=ports.switch,
        cancel_batch=_cancel_batch(ports),
        prices=config_files.prices(ports.objects),
    )


def poll(settings: PollSettings, ports: Ports | None = None) -> Poll:
    from batchdrop.stages.poll.delete_batches import DeleteBatches
    from batchdrop.stages.poll.fetch_models import FetchModels
    from batchdrop.stages.poll.held import WakeHeld
    from batchdrop.stages.poll.in_turn import InTurn
    from batchdrop.stages.poll.index_jobs import IndexJobs
    from batchdrop.stages.poll.measure import Measure
    from batchdrop.stages.poll.pages import RunningPages
    from batchdrop.stages.poll.paused import LetGo
    from batchdrop.stages.poll.repair import Repair
    from batchdrop.stages.poll.settle import Settle
    from batchdrop.stages.poll.subscribers import TellSubscribers
    from batchdrop.stages.poll.sweep import Sweep
    from batchdrop.stages.poll.tick import CANCELING, Poll
    from batchdrop.stages.poll.watch import Watch

    ports = ports or RealPorts(settings)
    publish = _publish(ports, pages=True)
    commit, cancel_batch = _commit(ports), _cancel_batch(ports)
    budget = _budget(ports, settings)
    let_go = LetGo(
        ledger=ports.ledger,
        clock=ports.clock,
        commit=commit,
        budget=budget,
        pause=_pause(ports, budget, publish),
        publish=publish,
    )
    return Poll(
        ledger=ports.ledger,
        switch=ports.switch,
        clock=ports.clock,
        metrics=ports.metrics,
        commit=commit,
        watch=Watch(ledger=ports.ledger, claude=ports.claude, clock=ports.clock, commit=commit),
        settle=Settle(
            ledger=ports.ledger,
            claude=ports.claude,
            clock=ports.clock,
            commit=commit,
            cancel_batch=cancel_batch,
            grace=timedelta(seconds=settings.grace_seconds),
        ),
        repair=Repair(
            ledger=ports.ledger,
            clock=ports.clock,
            metrics=ports.metrics,
            commit=commit,
            visibility=timedelta(seconds=settings.visibility_seconds),
        ),
        admit=_admit(ports, settings, budget, publish),
        cancel_batch=cancel_batch,
        cancel_job=_cancel_job(ports, cancel_batch, publish),
        in_turn=InTurn(ports.ledger, CANCELING),
        wake_held=WakeHeld(ports.ledger, ports.clock, commit, settings.open_jobs_per_folder),
        let_go=let_go,
        measure=Measure(ledger=ports.ledger, clock=ports.clock, metrics=ports.metrics, budget=budget, let_go=let_go),
        publish=publish,
        running_pages=RunningPages(ledger=ports.ledger, clock=ports.clock, publish=publish),
        index_jobs=IndexJobs(
            objects=ports.objects,
            ledger=ports.ledger,
            clock=ports.clock,
            metrics=ports.metrics,
            region=ports.region,
            month_limit=budget.stack.month,
        ),
        sweep=Sweep(
            ports.objects,
            ports.ledger,
            ports.clock,
            DeleteBatches(ports.ledger, ports.claude, ports.clock) if settings.delete_batches else None,
        ),
        fetch_models=FetchModels(ledger=ports.ledger, claude=ports.claude, clock=ports.clock, official=settings.official),
        tell_subscribers=TellSubscribers(ports.ledger, ports.clock, commit, cache(lambda: _announce(ports))),
    )


def collect(settings: CollectSettings, ports: Ports | None = None) -> Collect:
    from batchdrop.jobs import config_files
    from batchdrop.stages.collect.ended_batch import Collect

    ports = ports or RealPorts(settings)
    return Collect(
        **_core(ports, _publish(ports)),
        claude=ports.claude,
        metrics=ports.metrics,
        prices=config_files.prices(ports.objects),
        spool_bytes=settings.spool_bytes,
        max_attempts=settings.max_attempts,
    )


def finish(settings: FinishSettings, ports: Ports | None = None) -> Finish:
    from batchdrop.stages.finish.complete_table import CompleteTable
    from batchdrop.stages.finish.merge_rows import MergeRows
    from batchdrop.stages.finish.outputs import Finish
    from batchdrop.stages.finish.sort_rows import SortRows
    from batchdrop.stages.finish.table_pieces import TablePieces

    ports = ports or RealPorts(settings)
    core = _core(ports, _publish(ports, pages=True))
    return Finish(
        **core,
        announce=_announce(ports),
        metrics=ports.metrics,
        table_pieces=TablePieces(objects=ports.objects),
        complete_table=CompleteTable(
            objects=ports.objects,
            ledger=ports.ledger,
            commit=core["commit"],
            sort_rows=SortRows(objects=ports.objects),
            merge_rows=MergeRows(objects=ports.objects),
        ),
        tidies=not settings.delete_batches,
    )


def control(settings: ControlSettings, ports: Ports | None = None) -> Control:
    from batchdrop.stages.control.approve_all import ApproveAll
    from batchdrop.stages.control.commands import Control
    from batchdrop.stages.control.retry import DropAgain

    ports = ports or RealPorts(settings)
    publish = _publish(ports, pages=True)
    return Control(
        **_core(ports, publish),
        metrics=ports.metrics,
        cancel_job=_cancel_job(ports, _cancel_batch(ports), publish),
        drop_again=DropAgain(objects=ports.objects),
        approve_all=ApproveAll(ledger=ports.ledger, clock=ports.clock, commit=_commit(ports), publish=publish),
        separate_teams=settings.separate_teams,
    )


def deliver(queue: Queue, ports: Ports) -> Deliver:
    """Brings the messages of a function's own queue to its stage."""
    return Deliver(
        queue=queue,
        queues=ports.queues,
        ledger=ports.ledger,
        clock=ports.clock,
        commit=_commit(ports),
        publish=_publish(ports),
    )


# ---------------------------------------------------------------- what several stages are made of


class _Core(TypedDict):
    objects: Objects
    ledger: Ledger
    clock: Clock
    commit: Commit
    publish: Publish


def _core(ports: Ports, publish: Publish) -> _Core:
    return _Core(
        objects=ports.objects,
        ledger=ports.ledger,
        clock=ports.clock,
        commit=_commit(ports),
        publish=publish,
    )


def _commit(ports: Ports) -> Commit:
    return Commit(ledger=ports.ledger, queues=ports.queues)


def _publish(ports: Ports, *, pages: bool = False, answers: bool = True) -> Publish:
    """`pages`: the stage moves jobs from one word that people have for them to another, and writes their reports.

    `answers`: it may read them.
    """
    report = None
    if pages:
        report = Report(
            objects=ports.objects,
            ledger=ports.ledger,
            clock=ports.clock,
            metrics=ports.metrics,
            region=ports.region,
            answers=answers,
        )
    return Publish(objects=ports.objects, ledger=ports.ledger, clock=ports.clock, report=report, region=ports.region)


def _announce(ports: Ports) -> Announce:
    from batchdrop.jobs.announce import Announce

    return Announce(notices=ports.notices, events=ports.events, metrics=ports.metrics, region=ports.region)


def _cancel_batch(ports: Ports) -> CancelBatch:
    return CancelBatch(clock=ports.clock, commit=_commit(ports), claude=ports.claude)


def _cancel_job(ports: Ports, cancel_batch: CancelBatch, publish: Publish) -> CancelJob:
    return CancelJob(
        ledger=ports.ledger,
        clock=ports.clock,
        commit=_commit(ports),
        publish=publish,
        cancel_batch=cancel_batch,
    )


def _budget(ports: Ports, settings: PlanSettings | PollSettings) -> Budget:
    from batchdrop.jobs import config_files
    from batchdrop.jobs.budget import Budget, StackLimits

    return Budget(
        ledger=ports.ledger,
        prices=config_files.prices(ports.objects),
        limits=config_files.limits(ports.objects),
        stack=StackLimits(
            day=settings.amount("daily_limit_usd"),
            month=settings.amount("monthly_limit_usd"),
            ask_above=settings.amount("ask_above_usd"),
        ),
    )


def _pause(ports: Ports, budget: Budget, publish: Publish) -> Pause:
    from batchdrop.jobs.pause import Pause

    return Pause(ledger=ports.ledger, clock=ports.clock, commit=_commit(ports), budget=budget, publish=publish)


def _admit(ports: Ports, settings: PlanSettings | PollSettings, budget: Budget, publish: Publish) -> Admit:
    from batchdrop.jobs.admit import Admit

    return Admit(
        ledger=ports.ledger,
        switch=ports.switch,
        clock=ports.clock,
        commit=_commit(ports),
        budget=budget,
        pause=_pause(ports, budget, publish),
        limits=AdmissionLimits(queued_requests=settings.queued_requests_limit, per_tick=settings.creates_per_tick),
    )
