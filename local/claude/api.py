"""The endpoints of the API: each takes a call and gives an answer."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec
from starlette.routing import Route

from local.claude import catalogue, messages, params, results, streaming, tokens, wire
from local.claude.batch import Batch, BatchView
from local.claude.calls import Call, Emulator, Endpoint, Handler, meet_with_body, refusal
from local.claude.errors import STATUS_BY_TYPE, ApiError, invalid, not_found
from local.claude.intake import Intake
from local.claude.limits import DEFAULT_PAGE, MAX_BODY_BYTES, MAX_MESSAGE_BYTES, MAX_PAGE, check_queue
from local.claude.markers import read as read_markers
from local.claude.tokens import Cache
from local.claude.wire import Reply

_numbers = itertools.count()


class Page[Item](msgspec.Struct, kw_only=True):
    """A page of a list."""

    data: list[Item]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Deleted(msgspec.Struct, kw_only=True):
    """What remains of a deleted batch."""

    id: str
    type: str = "message_batch_deleted"


def routes(emulator: Emulator) -> list[Route]:
    """The routes of the API."""
    table: list[tuple[str, str, str, Handler]] = [
        ("create", "POST", "/v1/messages/batches", create),
        ("list", "GET", "/v1/messages/batches", list_batches),
        ("retrieve", "GET", "/v1/messages/batches/{batch_id}", retrieve),
        ("delete", "DELETE", "/v1/messages/batches/{batch_id}", delete),
        ("cancel", "POST", "/v1/messages/batches/{batch_id}/cancel", cancel),
        ("results", "GET", "/v1/messages/batches/{batch_id}/results", batch_results),
        ("messages", "POST", "/v1/messages", create_message),
        ("count_tokens", "POST", "/v1/messages/count_tokens", count_tokens),
        ("models", "GET", "/v1/models", list_models),
        ("model", "GET", "/v1/models/{model_id}", retrieve_model),
    ]
    return [Route(path, Endpoint(emulator, name, handler), methods=[method], name=name) for name, method, path, handler in table]


def _json(value: object) -> Reply:
    return Reply(body=msgspec.json.encode(value))


def _view(emulator: Emulator, call: Call, batch: Batch) -> BatchView:
    return batch.view(emulator.clock.now(), call.origin)


def _page[Item](items: list[Item], ids: list[str], more: bool) -> Reply:
    return _json(Page(data=items, has_more=more, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None))


def _too_large() -> ApiError:
    return ApiError(413, "Request exceeds the maximum size")


async def create(emulator: Emulator, call: Call) -> Reply:
    """Accepts a batch whose form is right, whatever its params are."""
    path = emulator.spool / f"incoming-{next(_numbers)}.body"
    try:

        def count(size: int) -> None:
            call.entry.bytes_in = size

        size = await wire.spool_body(call.receive, path, MAX_BODY_BYTES, count)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        intake = await emulator.offload.examine(path, size)
        call.entry.requests = intake.count
        met = meet_with_body(emulator, call, path)
        await asyncio.sleep(met.stall("before"))
        refused = refusal(call, met)
        if refused is not None:
            return refused
        check_queue(emulator.batches.queued(call.workspace), intake.count, emulator.settings.queued_requests)
        delayed = call.plan.struck("accept-late")
        if delayed:
            kept = path.rename(path.with_suffix(".late"))
            task = asyncio.create_task(_accept_late(emulator, call, kept, size, intake, delayed.seconds))
            emulator.late.add(task)
            task.add_done_callback(emulator.late.discard)
            return Reply()  # that nobody receives
        batch = _accept(emulator, call, path, size, intake)
    finally:
        path.unlink(missing_ok=True)  # gone already when it became a batch
    reply = _json(_view(emulator, call, batch))
    await _settle_if_still(emulator)
    return reply


def _accept(emulator: Emulator, call: Call, body: Path, size: int, intake: Intake) -> Batch:
    slow = call.plan.struck("slow")
    batch = emulator.batches.accept(
        workspace=call.workspace,
        body=body,
        size=size,
        intake=intake,
        version=call.version,
        betas=call.betas,
        longer=slow.seconds if slow else 0.0,
    )
    call.entry.batch_id, call.entry.accepted = batch.id, True
    late = call.plan.struck("late-list")
    if late:
        emulator.batches.hide(batch, late.seconds, late.calls)
    return batch


async def _accept_late(emulator: Emulator, call: Call, body: Path, size: int, intake: Intake, seconds: float) -> None:
    await asyncio.sleep(seconds)
    _accept(emulator, call, body, size, intake)


async def _settle_if_still(emulator: Emulator) -> None:
    """If the clock is stopped, what is due now ends before the answer is sent, so that tests can rely on it."""
    if not emulator.clock.speed:
        await emulator.batches.settle_due()


async def list_batches(emulator: Emulator, call: Call) -> Reply:
    """One page of the workspace's batches, newest first."""
    limit = _limit(call)
    found, more = emulator.batches.page(call.workspace, call.query.get("after_id"), call.query.get("before_id"), limit)
    return _page([_view(emulator, call, batch) for batch in found], [batch.id for batch in found], more)


def _limit(call: Call) -> int:
    given = call.query.get("limit", str(DEFAULT_PAGE))
    try:
        limit = int(given)
    except ValueError:
        raise invalid("limit: Input should be a valid integer") from None
    if not 1 <= limit <= MAX_PAGE:
        raise invalid(f"limit: Input should be between 1 and {MAX_PAGE}")
    return limit


async def retrieve(emulator: Emulator, call: Call) -> Reply:
    """One batch."""
    return _json(_view(emulator, call, await _batch(emulator, call)))


async def _batch(emulator: Emulator, call: Call) -> Batch:
    return await emulator.batches.find(call.workspace, call.path["batch_id"])


async def cancel(emulator: Emulator, call: Call) -> Reply:
    """Starts canceling a batch."""
    await wire.discard_body(call.receive)
    batch = await _batch(emulator, call)
    await emulator.batches.cancel(batch)
    reply = _json(_view(emulator, call, batch))
    await _settle_if_still(emulator)
    return reply


async def delete(emulator: Emulator, call: Call) -> Reply:
    """Deletes an ended batch and its results."""
    batch = await _batch(emulator, call)
    await emulator.batches.delete(batch)
    return _json(Deleted(id=batch.id))


async def batch_results(emulator: Emulator, call: Call) -> Reply:
    """The results of an ended batch as JSON lines."""
    batch = await _batch(emulator, call)
    return results.reply(await emulator.batches.results(batch), call.plan)


async def create_message(emulator: Emulator, call: Call) -> Reply:
    """Answers one request in real time, by the same rules as in a batch."""
    raw = await wire.receive_whole(call.receive, MAX_MESSAGE_BYTES, _too_large)
    call.entry.bytes_in = len(raw)
    marks = read_markers(raw, 1)
    if marks.error:
        raise ApiError(
            STATUS_BY_TYPE.get(marks.error, 500),
            f"A marker in the prompt asked for this {marks.error}.",
            kind=marks.error,
        )
    try:
        request = params.read(raw, version=call.version, betas=call.betas, batch=False)
    except params.InvalidParams as error:
        raise ApiError(STATUS_BY_TYPE[error.kind], error.message) from None
    cache = Cache(emulator.batches.cache_of_messages(call.workspace), emulator.clock.now(), emulator.settings.cache_minimum)
    length = emulator.settings.answer_bytes
    message_id = emulator.identifiers.draw("msg")
    message = messages.build(request, message_id, cache, tier="standard", length=length, marks=marks)
    if request.stream:
        return Reply(media_type="text/event-stream", body=streaming.events(message), framed=False)
    return _json(message)


async def count_tokens(_emulator: Emulator, call: Call) -> Reply:
    """How many input tokens a request has."""
    raw = await wire.receive_whole(call.receive, MAX_MESSAGE_BYTES, _too_large)
    try:
        request = params.read_for_counting(raw)
    except params.InvalidParams as error:
        raise ApiError(STATUS_BY_TYPE[error.kind], error.message) from None
    return _json({"input_tokens": tokens.of_input(request)})


async def list_models(_emulator: Emulator, call: Call) -> Reply:
    """One page of the models, newest first."""
    asked = {word for name in ("lifecycle", "lifecycle[]") for word in call.all_of(name)}
    models = catalogue.everything(frozenset(asked)) if asked else catalogue.everything()
    ids = [model.id for model in models]
    limit, after, before = _limit(call), call.query.get("after_id"), call.query.get("before_id")
    start = ids.index(after) + 1 if after in ids else 0
    stop = ids.index(before) if before in ids else len(ids)
    if before in ids and after not in ids:
        start = max(0, stop - limit)
    page = models[start:stop][:limit]
    more = start > 0 if before in ids else start + len(page) < stop
    return _page(page, [model.id for model in page], more)


async def retrieve_model(_emulator: Emulator, call: Call) -> Reply:
    """One model."""
    model = catalogue.find(call.path["model_id"])
    if model is None:
        raise not_found(f"model: {call.path['model_id']}")
    return _json(model)
