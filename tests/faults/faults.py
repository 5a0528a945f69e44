"""Every fault, as something that happens before or after one call that leaves the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from batchdrop.domain.errors import Ambiguous, BatchdropError, Incomplete, NotFound, Refused, Throttled, Unavailable
from batchdrop.domain.refusals import KEY_MISSING, ROLE_REFUSED
from tests.stack import Killed, Stack

type Act = Callable[[Stack], None]
"""Does harm; usually raises."""


class Fault(NamedTuple):
    name: str
    before: Act | None = None
    after: Act | None = None
    same_outputs: bool = True
    """Whether it leaves no trace in the outputs."""


# ---------------------------------------------------------------- the process


def _kill(stack: Stack) -> None:
    raise Killed


def _time_out(stack: Stack) -> None:
    """The call hangs until the function's time is over."""
    stack.clock.advance(stack.timeout)
    raise Killed


# ---------------------------------------------------------------- somebody else at the same time


def _same_message(stack: Stack) -> None:
    """The queue delivers the message again while it is being handled."""
    if stack.invocation is not None:
        with suppress(BatchdropError):
            stack.invocation.again()


def _everything(stack: Stack) -> None:
    """All due messages and a tick run to their end while this call is under way."""
    stack.pump()
    stack.tick()
    stack.pump()


# ---------------------------------------------------------------- what a call answers


def _raising(error: Exception) -> Act:
    def act(stack: Stack) -> None:
        raise error.with_traceback(None)

    return act


def _refused(status: int | None, kind: str, retry_after: float | None = None, code: str = "") -> Act:
    return _raising(Refused(f"answer {status}", status=status, kind=kind, retry_after=retry_after, code=code))


_THROTTLED = _raising(Throttled("slow down"))
_UNAVAILABLE = _raising(Unavailable("no answer", status=503))
_NOT_FOUND = _raising(NotFound("not here", status=404, kind="not_found_error"))
_BAD_KEY = _refused(401, "authentication_error")

PROCESS = (
    Fault("killed before", before=_kill),
    Fault("killed after", after=_kill),
    Fault("hangs, not done", before=_time_out),
    Fault("hangs, done", after=_time_out),
)
OTHERS = (
    Fault("delivered twice at once", before=_same_message),
    Fault("everybody at once", before=_everything),
    Fault("everybody right after", after=_everything),
)
THROTTLES = (
    Fault("throttled", before=_THROTTLED),
    Fault("throttled, and yet done", after=_THROTTLED),
)
CREATE = (
    Fault("connection refused", before=_refused(None, "ConnectError")),
    Fault("400", before=_refused(400, "invalid_request_error")),
    # A row alone that is refused as too large ends there; so the outputs may differ.
    Fault("413", before=_refused(413, "request_too_large"), same_outputs=False),
    Fault("401", before=_BAD_KEY),
    Fault("403, the role", before=_refused(403, "AccessDeniedException", code=ROLE_REFUSED)),
    Fault("402", before=_refused(402, "billing_error")),
    Fault("403", before=_refused(403, "permission_error")),
    Fault("404", before=_refused(404, "not_found_error")),
    Fault("429", before=_refused(429, "rate_limit_error")),
    Fault("429, retry-after", before=_refused(429, "rate_limit_error", 90.0)),
    Fault("429, spend limit", before=_refused(429, "rate_limit_error", code="enforced_spend_limit_reached")),
    Fault("529", before=_refused(529, "overloaded_error")),
    Fault("dropped before", before=_raising(Ambiguous("connection lost", kind="ReadError"))),
    Fault("accepted, then dropped", after=_raising(Ambiguous("connection lost", kind="ReadError"))),
    Fault("500, not accepted", before=_raising(Ambiguous("500", status=500))),
    Fault("500, accepted", after=_raising(Ambiguous("500", status=500))),
)
KEY = (
    Fault("no key", before=_refused(None, "no_api_key")),
    Fault("no key in the secret", before=_refused(None, "no_api_key", code=KEY_MISSING)),
    Fault("no key can be minted", before=_refused(None, "no_api_key", code=ROLE_REFUSED)),
)
PAGE = (Fault("list fails", before=_UNAVAILABLE), Fault("list refused", before=_BAD_KEY))
KNOWN = (Fault("fails", before=_UNAVAILABLE), Fault("transient 404", before=_NOT_FOUND), Fault("refused", before=_BAD_KEY))
# What the API does not know any more counts as deleted, so a 404 is no fault here.
DELETE = (
    Fault("fails", before=_UNAVAILABLE),
    Fault("fails, and yet done", after=_UNAVAILABLE),
    Fault("refused", before=_BAD_KEY),
    Fault("429", before=_refused(429, "rate_limit_error")),
)


def _cut(at: int, stack: Stack) -> None:
    stack.claude.cut_results_at = at


def _garbled(garble: Callable[[bytes], bytes], stack: Stack) -> None:
    stack.claude.garble = garble


def _without_first(lines: bytes) -> bytes:
    return lines.partition(b"\n")[2]


def _first_again(lines: bytes) -> bytes:
    """One line twice, another one gone: as many lines as were announced."""
    first, newline, rest = lines.partition(b"\n")
    return first + newline + first + newline + rest[rest.find(b"\n") + 1 :] if rest else lines


def _only(number: int, lines: bytes) -> bytes:
    return lines[:number]


RESULTS = (
    Fault("transient 404", before=_NOT_FOUND),
    Fault("fails", before=_UNAVAILABLE),
    Fault("breaks off", before=_raising(Incomplete("cut"))),
    *(Fault(f"cut at byte {at}", before=partial(_cut, at)) for at in (0, 10, 100, 300)),
    *(Fault(f"ends early at byte {at}", before=partial(_garbled, partial(_only, at))) for at in (0, 10, 100, 300)),
    Fault("every line twice", before=partial(_garbled, lambda lines: lines * 2)),
    Fault("a line is missing", before=partial(_garbled, _without_first)),
    Fault("one twice, one missing", before=partial(_garbled, _first_again)),
)
READ = (Fault("read breaks off", before=_raising(Incomplete("the object ended early"))),)

_SPECIAL: dict[str, tuple[Fault, ...]] = {
    "claude.create": CREATE,
    "claude.key": KEY,
    "claude.page": PAGE,
    "claude.retrieve": KNOWN,
    "claude.cancel": KNOWN,
    "claude.delete": DELETE,
    "claude._results": RESULTS,
    "objects.read": READ,
}
_AWS = ("ledger.", "objects.", "queues.", "switch.", "notices.", "events.")


def faults_of(call: str) -> Iterator[Fault]:
    """Everything that can happen at a call of this name."""
    yield from PROCESS
    yield from OTHERS
    yield from _SPECIAL.get(call, ())
    if call.startswith(_AWS):
        yield from THROTTLES


ALL_FAULTS = sorted({fault.name for call in (*_SPECIAL, *_AWS) for fault in faults_of(call)})
