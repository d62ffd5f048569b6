"""`/v1/responses`: create, retrieve, delete, cancel, list the input."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from responses_gateway.endpoints import replay
from responses_gateway.endpoints.chat import Relay
from responses_gateway.endpoints.native import native_request, relay_to_maker
from responses_gateway.endpoints.off_loop import off_loop
from responses_gateway.endpoints.paging import page
from responses_gateway.endpoints.stored import not_found, read, require_storage, unavailable, write
from responses_gateway.hosted.mcp.offered import with_offered_servers
from responses_gateway.protocol import sse
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Answer, Call, Forward
from responses_gateway.protocol.responses import ResponsesRequest, parse_request
from responses_gateway.state import history
from responses_gateway.state.packing import events_in, pack
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.store import Record, StoreError
from responses_gateway.translate.answer.prepared_output import prepared_events
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn import background
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.opening import open_exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.sessions import session_id
from responses_gateway.upstream.routing import Route


async def create(call: Call, runtime: Runtime) -> Answer | Forward | Exchange | NativeRequest:
    """A turn: upstream, in the background, or from the store."""
    native = await native_request(call, runtime, partial(_translated, call, runtime))
    return native or await _create(call, runtime)


async def _translated(call: Call, runtime: Runtime, route: Route, ledger: Ledger) -> Exchange:
    """The same for a target of another kind, when that of the model does not serve it."""
    size = len(call.body)
    request = await off_loop(size, parse_request, call.body)
    turn = await _turn(request, call.owner, runtime)
    recorder = await _recorder(turn, call.owner, runtime, ledger)
    opening = partial(await _opening(call, turn.request, runtime, recorder), route=route)
    return await off_loop(size, opening, turn.request, call.headers, runtime, recorder)


async def _create(call: Call, runtime: Runtime) -> Answer | Forward | Exchange:
    size = len(call.body)
    request = await off_loop(size, parse_request, call.body)
    await runtime.lists.ensure(request.model, call.owner, call.headers)
    job = runtime.jobs.claim(call.headers)
    owner = call.owner if job is None else job.owner
    if job is not None:
        request = request.model_copy(update={"stream": True, "background": True})
    turn = await _turn(request, owner, runtime)
    recorder = await _recorder(turn, owner, runtime, Ledger())
    if job is not None:
        recorder.follow = job.take
        opening = await _opening(call, turn.request, runtime, recorder)
        return await off_loop(size, opening, turn.request, call.headers, runtime, recorder, job.id)
    if not request.generates and not (request.prewarms and _warms(call, request, runtime)):
        return await _prepared(turn.request, runtime, recorder)
    if request.background and request.generates:
        return await _begin(call, request, runtime, recorder)
    if replayed := await _replayed(recorder):
        return replay.answer(replayed, bool(request.stream))
    opening = await _opening(call, turn.request, runtime, recorder)
    return await off_loop(size, opening, turn.request, call.headers, runtime, recorder)


async def _turn(request: ResponsesRequest, owner: str, runtime: Runtime) -> history.Turn:
    """`request` with its whole history, and the MCP servers that every client is offered."""
    turn = await history.resolve(request, owner, runtime.state, runtime.new_id)
    return replace(turn, request=with_offered_servers(turn.request, runtime.settings))


def _warms(call: Call, request: ResponsesRequest, runtime: Runtime) -> bool:
    """Whether the upstream is to read the prompt ahead, because that costs nothing there."""
    return runtime.router.of(call.owner).resolve(request.model).profile.prewarm


async def _prepared(request: ResponsesRequest, runtime: Runtime, recorder: Recorder) -> Answer:
    """An empty response that the next request can continue; no upstream is asked."""
    now = int(runtime.clock())
    events = prepared_events(Snapshot(request, runtime.new_id("resp"), now), now)
    encoded = sse.encode_all(events)
    recorder.take(events, encoded)
    await recorder.stored()
    if request.stream:
        return Answer(encoded + sse.DONE, headers={"content-type": "text/event-stream; charset=utf-8"})
    return Answer.json(events[-1]["response"])


async def _opening(
    call: Call, request: ResponsesRequest, runtime: Runtime, recorder: Recorder
) -> Callable[..., Exchange]:
    """`open_exchange` with the hosted tools that the request declares."""
    session = session_id(request, call.headers)
    hosted = await runtime.hosted.open(request, recorder.owner, session, recorder.ledger)
    return partial(open_exchange, hosted=hosted)


async def _recorder(turn: history.Turn, owner: str, runtime: Runtime, ledger: Ledger) -> Recorder:
    recorder = Recorder(
        runtime.state,
        owner,
        ledger,
        runtime.state.storage if turn.request.store is not False else None,
        known_owner=bool(runtime.settings.access_keys),
    )
    if recorder.storage is not None:
        recorder.own, recorder.before, recorder.conversation = turn.own, turn.before, turn.conversation
        recorder.input = await asyncio.to_thread(pack, turn.own)
        recorder.replay_key = replay.key(turn.request, runtime.settings.replay)
    return recorder


async def _replayed(recorder: Recorder) -> Record | None:
    storage, owner, key = recorder.storage, recorder.owner, recorder.replay_key
    if storage is None or key is None:
        return None
    return await read(storage, lambda store: store.find_replay(owner, key))


async def _begin(call: Call, request: ResponsesRequest, runtime: Runtime, recorder: Recorder) -> Answer | Forward:
    if recorder.storage is None:
        raise GatewayError(
            "A background response has to be stored: it needs store=true, and a gateway that keeps responses.",
            code="invalid_value",
            param="background",
        )
    # What cannot be served is refused now, not in the background.
    runtime.router.of(call.owner).resolve(request.model)
    try:
        job = await runtime.jobs.start(call, request, recorder)
    except StoreError as error:
        raise unavailable(error) from None
    if request.stream:
        return await runtime.jobs.follow(recorder.storage, recorder.owner, job.id, -1)
    return Answer.json(job.response)


async def retrieve(call: Call, runtime: Runtime, response_id: str) -> Answer | Forward | Relay:
    """The response, or (`stream=true`) its events behind `starting_after`."""
    record = await _kept(call, runtime, response_id)
    if record is None:
        return await relay_to_maker(call, runtime, response_id)
    if not call.flag("stream"):
        return Answer.json(background.current(record, runtime.clock()))
    after = call.number("starting_after", default=-1, low=-1, high=1 << 53)
    if not record.final:
        return await runtime.jobs.follow(require_storage(runtime, response_id), record.owner, response_id, after)
    return replay.event_stream(events_in(record.events), after)


async def delete(call: Call, runtime: Runtime, response_id: str) -> Answer | Relay:
    owner, storage = call.owner, runtime.state.storage
    runtime.jobs.cancel(owner, response_id)
    if storage is None or not await write(storage, lambda store: store.delete(owner, response_id)):
        return await relay_to_maker(call, runtime, response_id)
    return Answer.json({"id": response_id, "object": "response", "deleted": True})


async def cancel(call: Call, runtime: Runtime, response_id: str) -> Answer | Relay:
    """Stop a background response; one that has ended stays what it is."""
    record = await _kept(call, runtime, response_id)
    if record is None:
        return await relay_to_maker(call, runtime, response_id)
    if not record.response.get("background"):
        raise GatewayError("Cannot cancel a synchronous response: only those with background=true.", param="id")
    if record.final:
        return Answer.json(record.response)
    storage = require_storage(runtime, response_id)
    try:
        events = await runtime.jobs.stop(storage, record.owner, response_id)
    except StoreError as error:
        raise unavailable(error) from None
    output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    cancelled = {**record.response, "status": "cancelled", "output": output}
    await write(storage, lambda store: store.put(Record(record.owner, cancelled, record.input)))
    stopped = await _kept(call, runtime, response_id)
    if stopped is None:
        raise not_found(response_id)
    return Answer.json(stopped.response)


async def input_items(call: Call, runtime: Runtime, response_id: str) -> Answer | Relay:
    """Everything that the response was made from, what it continues included."""
    storage, owner = runtime.state.storage, call.owner
    items = None
    if storage is not None:
        items = await read(storage, lambda store: store.history(owner, response_id, output=False))
    if items is None:
        return await relay_to_maker(call, runtime, response_id)
    return Answer.json(page(items, call))


async def _kept(call: Call, runtime: Runtime, response_id: str) -> Record | None:
    """The response, if it is kept here."""
    storage, owner = runtime.state.storage, call.owner
    return None if storage is None else await read(storage, lambda store: store.get(owner, response_id))
