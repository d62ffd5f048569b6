"""`POST /v1/chat/completions`: sends the request to the upstream of the model, untranslated."""

from collections.abc import Sequence
from dataclasses import dataclass

from responses_gateway.endpoints.off_loop import off_loop
from responses_gateway.protocol.client_headers import CONVERSATION, SESSION, THREAD, ClientFields
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import dumps
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.upstreams import request_headers


@dataclass(frozen=True, slots=True)
class Relay:
    """A request for an upstream. The client gets the answer as it is."""

    url: str
    headers: dict[str, str]
    body: bytes
    secrets: Sequence[str]
    """Values that the client must not see if the upstream repeats them."""

    method: str = "POST"


async def complete(call: Call, runtime: Runtime) -> Relay:
    """The client's request for the model's upstream, with the model's name there and the gateway's key."""
    body = await off_loop(len(call.body), call.json)
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise GatewayError("Invalid type for 'model': expected a string.", code="invalid_type", param="model")
    await runtime.lists.ensure(model, call.owner, call.headers)
    route = runtime.router.of(call.owner).resolve(model)
    session = ClientFields(call.headers).get(THREAD, CONVERSATION, SESSION) or body.get("prompt_cache_key")
    accept = "text/event-stream" if body.get("stream") is True else "application/json"
    headers = request_headers(route, call.headers, session if isinstance(session, str) else None, accept)
    changed = call.body if route.model == model else dumps({**body, "model": route.model})
    return Relay(f"{route.base_url}/chat/completions", headers, changed, route.secrets)
