"""The controls under ``/_emulator``: clock, settings, faults, journal. They are not part of the API and are not journaled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from local.claude.batch import Batch
from local.claude.calls import Emulator
from local.claude.clock import rfc3339
from local.claude.faults import Fault, Standing
from local.claude.options import Settings


class ClockOrder(Struct, forbid_unknown_fields=True):
    """What to do with the clock: first the speed, then the step, both optional."""

    advance: Annotated[float, Meta(ge=0)] = 0.0
    speed: Annotated[float, Meta(ge=0)] | None = None


class ClockView(Struct):
    """The clock: now as RFC 3339 and in seconds since 1970, and its speed (0: it is stopped)."""

    now: str
    epoch: float
    speed: float


class AcceptedBatch(Struct, kw_only=True):
    """What the API does not show of a batch: of any workspace, deleted and hidden ones included."""

    id: str
    workspace: str
    created_at: str
    processing_status: str
    ended_at: str | None
    requests: int
    body_bytes: int
    results_bytes: int
    deleted: bool


class _WrongOrder(Exception):
    pass


class _NoBatch(Exception):
    pass


type _Control = Callable[[Emulator, Request], Awaitable[Response]]


def routes(emulator: Emulator) -> list[Route]:
    """The routes of the controls."""
    table: list[tuple[str, str, _Control]] = [
        ("GET", "/_emulator/", _index),
        ("GET", "/_emulator/clock", _clock),
        ("POST", "/_emulator/clock", _turn_clock),
        ("GET", "/_emulator/settings", _settings),
        ("POST", "/_emulator/settings", _change_settings),
        ("GET", "/_emulator/faults", _faults),
        ("POST", "/_emulator/faults", _order_faults),
        ("DELETE", "/_emulator/faults", _clear_faults),
        ("GET", "/_emulator/log", _log),
        ("GET", "/_emulator/counters", _counters),
        ("GET", "/_emulator/batches", _batches),
        ("GET", "/_emulator/batches/{batch_id}/body", _body),
        ("GET", "/_emulator/batches/{batch_id}/results", _results),
        ("POST", "/_emulator/reset", _reset),
    ]
    return [Route(path, _endpoint(emulator, control), methods=[method]) for method, path, control in table]


def _endpoint(emulator: Emulator, control: _Control) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await control(emulator, request)
        except _NoBatch as error:
            return _json({"error": str(error)}, 404)
        except (_WrongOrder, ValueError) as error:  # what msgspec raises is a ValueError too
            return _json({"error": str(error)}, 400)

    return endpoint


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def _index(emulator: Emulator, _request: Request) -> Response:
    return _json({"controls": [f"{'|'.join(sorted(route.methods or ()))} {route.path}" for route in routes(emulator)]})


async def _clock(emulator: Emulator, _request: Request) -> Response:
    clock = emulator.clock
    return _json(ClockView(rfc3339(clock.now()), clock.now(), clock.speed))


async def _turn_clock(emulator: Emulator, request: Request) -> Response:
    order = msgspec.json.decode(await request.body(), type=ClockOrder)
    if order.speed is not None:
        emulator.clock.set_speed(order.speed)
    emulator.clock.advance(order.advance)
    await emulator.batches.settle_due()
    emulator.batches.clock_changed()
    return await _clock(emulator, request)


async def _settings(emulator: Emulator, _request: Request) -> Response:
    return _json(emulator.settings)


async def _change_settings(emulator: Emulator, request: Request) -> Response:
    given = msgspec.json.decode(await request.body(), type=dict[str, Any])
    changed = msgspec.convert({**msgspec.to_builtins(emulator.settings), **given}, Settings)
    for name in given:
        setattr(emulator.settings, name, getattr(changed, name))
    return _json(emulator.settings)


def _standing(standing: list[Standing]) -> Response:
    return _json({"faults": standing})


async def _faults(emulator: Emulator, _request: Request) -> Response:
    return _standing(emulator.faults.standing())


async def _order_faults(emulator: Emulator, request: Request) -> Response:
    ordered = msgspec.json.decode(await request.body(), type=list[Fault] | Fault)
    return _standing(emulator.faults.order(ordered if isinstance(ordered, list) else [ordered]))


async def _clear_faults(emulator: Emulator, request: Request) -> Response:
    emulator.faults.clear()
    return await _faults(emulator, request)


async def _log(emulator: Emulator, request: Request) -> Response:
    route, after = request.query_params.get("route"), int(request.query_params.get("after", "0"))
    wanted = [entry for entry in emulator.journal.entries[after:] if route in (None, entry.route)]
    return Response(b"".join(msgspec.json.encode(entry) + b"\n" for entry in wanted), media_type="application/x-ndjson")


async def _counters(emulator: Emulator, _request: Request) -> Response:
    return _json({"routes": emulator.journal.counters()})


async def _batches(emulator: Emulator, _request: Request) -> Response:
    return _json({"batches": [_accepted(batch) for batch in emulator.batches.everything()]})


def _accepted(batch: Batch) -> AcceptedBatch:
    return AcceptedBatch(
        id=batch.id,
        workspace=batch.workspace,
        created_at=rfc3339(batch.created),
        processing_status=batch.status,
        ended_at=None if batch.ended is None else rfc3339(batch.ended),
        requests=batch.count,
        body_bytes=batch.body_bytes,
        results_bytes=batch.results_bytes,
        deleted=batch.deleted,
    )


async def _body(emulator: Emulator, request: Request) -> Response:
    return FileResponse(_wanted(emulator, request).body, media_type="application/json")


async def _results(emulator: Emulator, request: Request) -> Response:
    """All of them, whatever faults do to what the API shows; none before the batch has ended."""
    batch = _wanted(emulator, request)
    if batch.ended is None:
        return Response(media_type="application/x-ndjson")
    return FileResponse(batch.results_path, media_type="application/x-ndjson")


def _wanted(emulator: Emulator, request: Request) -> Batch:
    wanted = request.path_params["batch_id"]
    batch = emulator.batches.accepted(wanted)
    if batch is None:
        raise _NoBatch(f"no batch {wanted} was accepted")
    return batch


async def _reset(emulator: Emulator, request: Request) -> Response:
    emulator.faults.clear()
    for late in emulator.late:
        late.cancel()
    await emulator.batches.reset()
    emulator.rate.clear()
    emulator.journal.clear()
    return await _clock(emulator, request)
