"""Faults on demand: what goes wrong, on which calls, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from local.claude.errors import TYPE_BY_STATUS, ApiError

type Kind = Literal[
    "refuse",
    "spend-cap",
    "not-found",
    "drop-before",
    "accept-then-drop",
    "accept-late",
    "accept-then-error",
    "accept-then-500",
    "truncated-json",
    "cut",
    "duplicate-lines",
    "missing-lines",
    "late-list",
    "page",
    "slow",
    "stall",
]
type Route = Literal[
    "create",
    "list",
    "retrieve",
    "results",
    "cancel",
    "delete",
    "messages",
    "count_tokens",
    "models",
    "model",
    "*",
]
# These change nothing about the answer itself, so that they go together with one that does.
_COMPANIONS = frozenset({"late-list", "slow", "stall"})
_ONLY_ON: dict[str, tuple[str, ...]] = {
    "accept-late": ("create",),
    "late-list": ("create",),
    "slow": ("create",),
    "duplicate-lines": ("results",),
    "missing-lines": ("results",),
}
# Calls that are about one batch, so that its body is known, or brought.
_ABOUT_A_BATCH = frozenset({"create", "retrieve", "results", "cancel", "delete", "*"})
_STATUS = {
    "refuse": 500,
    "spend-cap": 429,
    "not-found": 404,
    "accept-then-error": 500,
    "accept-then-500": 500,
}
_MESSAGES = {
    400: "Your request was refused.",
    401: "invalid x-api-key",
    402: "There is an issue with your billing or payment information.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "Not found",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit.",
    504: "The request timed out while processing.",
    529: "Overloaded",
}


class Fault(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault as it is ordered.

    ``route`` and, when given, ``batch_id``, ``key`` (the API key of the caller) and ``text`` (anywhere in the body of the batch
    that the call is about) say which calls it meets; it lets the first ``skip`` of them pass, then happens ``times`` times
    (null: always).

    ``status``, ``type``, ``message``, ``retry_after`` (seconds), ``details`` shape an error answer; ``html`` makes it a page
    of the network's edge instead of JSON; ``read_body: false`` answers before the request's body is read. A ``page`` is one
    with a status of 200.
    ``seconds`` is how long a ``stall`` lasts or an ``accept-late`` waits after it has closed the connection (real time), how
    long a batch stays out of the list, or how much later than others a ``slow`` one ends (emulated time);
    ``when`` places a stall before the call is acted on or after. ``calls`` hides a batch from that many list calls.
    ``bytes`` or ``lines`` say where a ``cut`` falls, ``rows`` how many result lines are missing or doubled.
    """

    kind: Kind
    route: Route = "*"
    batch_id: str | None = None
    key: str | None = None
    text: str | None = None
    times: Annotated[int, Meta(ge=1)] | None = 1
    skip: Annotated[int, Meta(ge=0)] = 0
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    type: str | None = None
    message: str | None = None
    retry_after: Annotated[float, Meta(ge=0)] | None = None
    details: dict[str, Any] | None = None
    html: bool = False
    read_body: bool = True
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    when: Literal["before", "after"] = "before"
    calls: Annotated[int, Meta(ge=0)] = 0
    bytes: Annotated[int, Meta(ge=0)] | None = None
    lines: Annotated[int, Meta(ge=0)] | None = None
    rows: Annotated[int, Meta(ge=1)] = 1

    def error(self) -> ApiError:
        """The error this fault answers with."""
        status = self.status or _STATUS.get(self.kind, 500)
        details = self.details
        if self.kind == "spend-cap":
            details = {"error_code": "enforced_spend_limit_reached", **(details or {})}
        return ApiError(
            status,
            self.message or _MESSAGES.get(status, "Internal server error"),
            kind=self.type or TYPE_BY_STATUS.get(status, "api_error"),
            retry_after=self.retry_after,
            details=details,
        )


class Standing(Struct, kw_only=True):
    """A fault that was ordered, with how many calls it has met and how many it has struck."""

    id: int
    fault: Fault
    met: int = 0
    struck: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not happen again."""
        return self.fault.times is not None and self.struck >= self.fault.times


class Plan(Struct):
    """What goes wrong in one call: at most one fault that shapes the answer, and any companions."""

    main: Fault | None = None
    companions: list[Fault] = msgspec.field(default_factory=list)

    def struck(self, kind: Kind) -> Fault | None:
        """The fault of this kind, if this call has it."""
        every = [*([self.main] if self.main else ()), *self.companions]
        return next((fault for fault in every if fault.kind == kind), None)

    def stall(self, when: Literal["before", "after"]) -> float:
        """Real seconds to wait at this point of the call."""
        return sum(fault.seconds for fault in self.companions if fault.kind == "stall" and fault.when == when)

    def join(self, other: Plan) -> None:
        """Adds what goes wrong besides: of two faults that shape the answer, the first one does."""
        self.main = self.main or other.main
        self.companions += other.companions

    def names(self) -> str | None:
        """The kinds of all its faults, for the journal; None if nothing goes wrong."""
        kinds = [fault.kind for fault in (self.main, *self.companions) if fault]
        return "+".join(kinds) or None


class Faults:
    """The faults in force; of those that apply to a call, the oldest comes first."""

    def __init__(self) -> None:
        self._standing: list[Standing] = []
        self._ids = itertools.count(1)

    def order(self, faults: list[Fault]) -> list[Standing]:
        """Adds faults. Raises ValueError for one that could never strike; then none is added."""
        for fault in faults:
            routes = _ONLY_ON.get(fault.kind)
            if routes and fault.route not in (*routes, "*"):
                raise ValueError(f"{fault.kind} only happens on {' and '.join(routes)}")
            if fault.kind == "cut" and fault.bytes is None and fault.lines is None:
                raise ValueError("cut needs bytes or lines")
            if fault.text is not None and (fault.route not in _ABOUT_A_BATCH or fault.kind == "drop-before"):
                raise ValueError("text needs a call about one batch, and a fault that lets its body be read")
        added = [Standing(id=next(self._ids), fault=fault) for fault in faults]
        self._standing += added
        return added

    def standing(self) -> list[Standing]:
        """Every fault that was ordered since the last clear, spent ones included."""
        return self._standing

    def clear(self) -> None:
        """Removes all faults."""
        self._standing = []

    def meet(self, route: str, batch_id: str | None, key: str, holds: Callable[[str], bool] | None = None) -> Plan:
        """Decides what goes wrong in this call and counts it.

        With ``holds`` (whether the batch's body holds a text), of the faults that ask for a text; else of the others.
        """
        plan = Plan()
        for standing in self._standing:
            fault = standing.fault
            if fault.route not in (route, "*") or route not in _ONLY_ON.get(fault.kind, (route,)):
                continue
            if standing.spent or fault.batch_id not in (None, batch_id) or fault.key not in (None, key):
                continue
            if (fault.text is None) != (holds is None) or (fault.text and holds and not holds(fault.text)):
                continue
            if plan.main is not None and fault.kind not in _COMPANIONS:
                continue  # one of them is enough: this one waits for its own call
            standing.met += 1
            if standing.met <= fault.skip:
                continue
            standing.struck += 1
            if fault.kind in _COMPANIONS:
                plan.companions.append(fault)
            else:
                plan.main = fault
        return plan
