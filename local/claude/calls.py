"""What all calls of the API have in common: who calls, which fault applies, the answer's headers, the journal."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from local.claude import minted, wire
from local.claude.batches import Batches
from local.claude.clock import Clock
from local.claude.errors import ApiError, invalid
from local.claude.faults import Faults, Plan
from local.claude.identifiers import Identifiers
from local.claude.intake import mapped
from local.claude.journal import Entry, Journal
from local.claude.limits import RequestRate
from local.claude.offload import Offload
from local.claude.options import Settings, workspace_of
from local.claude.wire import CallerLeft, Reply

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
_EDGE_PAGE = b"<html>\r\n<head><title>%(status)d</title></head>\r\n<body><h1>%(status)d</h1></body>\r\n</html>\r\n"
_LIMITED = frozenset({"create", "list", "retrieve", "cancel", "delete", "results"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """Everything one emulator consists of."""

    settings: Settings
    keys: Mapping[str, str]
    workspaces: frozenset[str]
    clock: Clock
    identifiers: Identifiers
    offload: Offload
    batches: Batches
    faults: Faults
    journal: Journal
    rate: RequestRate
    spool: Path
    late: set[asyncio.Task[None]]
    """Batches that will be accepted though their caller has gone."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One call while it is handled."""

    scope: Scope
    receive: Receive
    headers: Headers
    query: dict[str, str]
    path: dict[str, str]
    entry: Entry
    workspace: str = ""
    version: str = ""
    plan: Plan

    @property
    def origin(self) -> str:
        """Scheme and host as the caller named them."""
        return f"{self.scope['scheme']}://{self.headers.get('host', '127.0.0.1')}"

    def all_of(self, name: str) -> list[str]:
        """Every value of a name in the query."""
        return parse_qs(self.scope["query_string"].decode("latin-1")).get(name, [])

    @property
    def betas(self) -> frozenset[str]:
        """The beta features this call asks for."""
        return frozenset(beta.strip() for beta in ",".join(self.headers.getlist("anthropic-beta")).split(",") if beta)


type Handler = Callable[[Emulator, Call], Awaitable[Reply]]


class Endpoint:
    """One route of the API as an ASGI application: the frame around a handler."""

    def __init__(self, emulator: Emulator, route: str, handler: Handler) -> None:
        self._emulator = emulator
        self._route = route
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one call."""
        call = self._open(scope, receive)
        try:
            await self._answer(call, send)
        except CallerLeft:
            call.entry.outcome = "disconnected"
        finally:
            if call.entry.outcome == "open":  # the server is being stopped, or the caller left while it waited
                call.entry.outcome = "disconnected"
            self._emulator.journal.close(call.entry)

    def _open(self, scope: Scope, receive: Receive) -> Call:
        query = scope["query_string"].decode("latin-1")
        entry = self._emulator.journal.open(
            route=self._route,
            method=scope["method"],
            path=scope["path"],
            query=query,
            request_id=self._emulator.identifiers.draw("req"),
        )
        path: dict[str, str] = scope.get("path_params", {})
        entry.batch_id = path.get("batch_id")
        if self._route == "create":
            entry.accepted = False
        headers = Headers(scope=scope)
        call = Call(
            scope=scope,
            receive=receive,
            headers=headers,
            query={name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()},
            path=path,
            entry=entry,
            plan=self._emulator.faults.meet(self._route, entry.batch_id, _key(headers)),
        )
        batch = self._emulator.batches.accepted(entry.batch_id) if entry.batch_id else None
        if batch is not None:
            meet_with_body(self._emulator, call, batch.body)
        return call

    async def _answer(self, call: Call, send: Send) -> None:
        entry, plan = call.entry, call.plan
        entry.fault = plan.names()
        if plan.struck("drop-before"):
            await self._drop(call, at_once=True)
            return
        try:
            reply = await self._reply(call)
        except CallerLeft:
            raise
        except ApiError as error:
            reply = _error_reply(error, entry)
        except Exception:
            # A fault of the emulator, not of the API: printed, and still answered, so that no caller waits forever.
            traceback.print_exc()
            reply = _error_reply(ApiError(500, "The emulator failed: its own output says why."), entry)
        await asyncio.sleep(plan.stall("after"))
        if plan.struck("accept-then-drop") or plan.struck("accept-late"):
            await self._drop(call, at_once=False)
            return
        late_error = plan.struck("accept-then-error") or plan.struck("accept-then-500")
        if late_error and reply.status < 400:
            reply = _error_reply(late_error.error(), entry, html=late_error.html)
        _break_off(reply, plan)
        entry.status = reply.status
        entry.bytes_out = await wire.send_reply(reply, {"request-id": entry.request_id}, call.scope, send)
        entry.outcome = "answered" if reply.broken_off is None else "cut"

    async def _drop(self, call: Call, *, at_once: bool) -> None:
        await wire.leave(call.scope, call.receive, at_once=at_once)
        call.entry.outcome = "dropped"

    async def _reply(self, call: Call) -> Reply:
        plan = call.plan
        call.workspace = self._workspace(call.headers)
        call.entry.workspace = call.workspace
        call.version = _version(call.headers)
        call.entry.version, call.entry.betas = call.version, sorted(call.betas)
        await asyncio.sleep(plan.stall("before"))
        refused = refusal(call, plan)
        if refused is not None:
            if plan.main is not None and plan.main.read_body:
                call.entry.bytes_in = await wire.discard_body(call.receive)
            return refused
        if self._route in _LIMITED:
            limit = self._emulator.settings.requests_per_minute
            self._emulator.rate.admit(call.workspace, self._emulator.clock.now(), limit)
        return await self._handler(self._emulator, call)

    def _workspace(self, headers: Headers) -> str:
        key = _key(headers)
        if not key:
            raise ApiError(401, "x-api-key header is required")
        keys, workspaces = self._emulator.keys, self._emulator.workspaces
        if key.startswith(minted.PREFIX) and (workspaces or not keys):
            workspace = minted.workspace_named(key, headers.get(minted.WORKSPACE_HEADER, ""))
            if workspaces and workspace not in workspaces:
                what = f"aws-external-anthropic:{self._route} on resource: workspace/{workspace}"
                raise ApiError(403, f"User: arn:aws:sts::000000000000:assumed-role/caller is not authorized to perform: {what}")
            return workspace
        if not (keys or workspaces):
            return workspace_of(key)
        if key not in keys:
            raise ApiError(401, "invalid x-api-key")
        return keys[key]


def meet_with_body(emulator: Emulator, call: Call, body: Path) -> Plan:
    """The faults that ask for a text in the body of the batch. They are met when it is known, and join the others."""

    def holds(text: str) -> bool:
        with mapped(body) as content:
            return content.find(text.encode()) >= 0

    plan = emulator.faults.meet(call.entry.route, call.entry.batch_id, _key(call.headers), holds)
    call.plan.join(plan)
    call.entry.fault = call.plan.names()
    return plan


def refusal(call: Call, plan: Plan) -> Reply | None:
    """The answer of a fault that keeps the call from being acted on."""
    if plan.struck("page"):
        return Reply(media_type="text/html", body=_EDGE_PAGE % {b"status": 200})
    refused = plan.struck("refuse") or plan.struck("spend-cap") or plan.struck("not-found")
    return None if refused is None else _error_reply(refused.error(), call.entry, html=refused.html)


def _key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _version(headers: Headers) -> str:
    version = headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if not _VERSION.fullmatch(version):
        raise invalid(f'anthropic-version: "{version}" is not a valid version')
    return version


def _error_reply(error: ApiError, entry: Entry, *, html: bool = False) -> Reply:
    entry.error = error.kind
    headers = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:.15g}"}
    if html:
        page = _EDGE_PAGE % {b"status": error.status}
        return Reply(status=error.status, media_type="text/html", headers=headers, body=page)
    return Reply(status=error.status, headers=headers, body=error.body(entry.request_id))


def _break_off(reply: Reply, plan: Plan) -> None:
    """Applies the faults that affect any answer; those of results alone are applied where results are read."""
    if isinstance(reply.body, bytes):
        if plan.struck("truncated-json"):
            reply.body = reply.body[: len(reply.body) * 2 // 3]
        cut = plan.struck("cut")
        if cut:
            reply.broken_off = min(cut.bytes or 0, len(reply.body))
