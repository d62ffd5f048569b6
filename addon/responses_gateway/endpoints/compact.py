"""`POST /v1/responses/compact`: replaces a conversation by one item that summarizes it."""

from collections.abc import Mapping
from functools import partial

from responses_gateway.endpoints.native import native_request
from responses_gateway.endpoints.off_loop import off_loop
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.state import history
from responses_gateway.state.items import parsed_items
from responses_gateway.state.recorder import Recorder
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.opening import open_exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.sessions import session_id
from responses_gateway.upstream.routing import Route


class CompactionExchange(Exchange):
    """A turn whose answer is a compaction object instead of a response."""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> JsonObject | None:
        response = super().answer(status, headers, body)
        return response and {
            "id": response["id"],
            "object": "response.compaction",
            "created_at": response["created_at"],
            "output": response["output"],
            "usage": response["usage"] or _NO_USAGE,
        }


_NO_USAGE: JsonObject = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


async def compact(call: Call, runtime: Runtime) -> Exchange | NativeRequest:
    native = await native_request(call, runtime, partial(_translated, call, runtime))
    return native or await _translated(call, runtime, None, Ledger())


async def _translated(call: Call, runtime: Runtime, route: Route | None, ledger: Ledger) -> Exchange:
    size = len(call.body)
    body = await off_loop(size, call.json)
    if not isinstance(body.get("model"), str):
        raise GatewayError("Missing required parameter: 'model'.", code="missing_required_parameter", param="model")
    whole_body = dumps({"input": [], **body, "stream": False, "store": False})
    request = await off_loop(size, parse_request, whole_body)
    owner = call.owner
    turn = await history.resolve(request, owner, runtime.state, runtime.new_id)
    trigger = parsed_items([{"type": "compaction_trigger"}])
    whole = turn.request.model_copy(update={"input": [*turn.request.input, *trigger]})
    recorder = Recorder(runtime.state, owner, ledger, known_owner=bool(runtime.settings.access_keys))
    hosted = await runtime.hosted.open(whole, owner, session_id(whole, call.headers), recorder.ledger)
    opening = partial(open_exchange, hosted=hosted, kind=CompactionExchange, route=route)
    return await off_loop(size, opening, whole, call.headers, runtime, recorder)
