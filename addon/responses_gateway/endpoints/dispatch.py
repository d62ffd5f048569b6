"""One table from method and path to what serves it."""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from responses_gateway.endpoints import chat, compact, conversations, health, models, responses, tokens
from responses_gateway.endpoints.chat import Relay
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Answer, Call, Forward
from responses_gateway.protocol.json import dumps
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.runtime import Runtime

type Outcome = Answer | Forward | Relay | Exchange | NativeRequest
"""How a call is answered: by the gateway itself, a stream from elsewhere, an upstream untranslated, or a turn."""

type Handler = Callable[..., Awaitable[Outcome]]
"""Takes the call, the runtime, and the variable parts of the path. Raises GatewayError."""


class Endpoint(NamedTuple):
    method: str
    path: re.Pattern[str]
    handler: Handler


_VARIABLE = re.compile(r"\\\{\w+\\\}")
"""A variable part of an escaped template."""


def _endpoint(method: str, path: str, handler: Handler) -> Endpoint:
    """`path` is a template: `/responses/{id}`."""
    return Endpoint(method, re.compile(_VARIABLE.sub("([^/]+)", re.escape(path))), handler)


ENDPOINTS = (
    _endpoint("POST", "/responses", responses.create),
    _endpoint("POST", "/responses/input_tokens", tokens.count),
    _endpoint("POST", "/responses/compact", compact.compact),
    _endpoint("GET", "/responses/{id}", responses.retrieve),
    _endpoint("DELETE", "/responses/{id}", responses.delete),
    _endpoint("POST", "/responses/{id}/cancel", responses.cancel),
    _endpoint("GET", "/responses/{id}/input_items", responses.input_items),
    _endpoint("POST", "/conversations", conversations.create),
    _endpoint("GET", "/conversations/{id}", conversations.retrieve),
    _endpoint("POST", "/conversations/{id}", conversations.update),
    _endpoint("DELETE", "/conversations/{id}", conversations.delete),
    _endpoint("GET", "/conversations/{id}/items", conversations.list_items),
    _endpoint("POST", "/conversations/{id}/items", conversations.add_items),
    _endpoint("GET", "/conversations/{id}/items/{item}", conversations.retrieve_item),
    _endpoint("DELETE", "/conversations/{id}/items/{item}", conversations.delete_item),
    _endpoint("POST", "/chat/completions", chat.complete),
    _endpoint("GET", "/models", models.list_models),
    _endpoint("GET", "/models/{id}", models.retrieve_model),
    _endpoint("GET", "/models/{vendor}/{id}", models.retrieve_model),
    _endpoint("GET", "/health", health.live),
    _endpoint("GET", "/healthz", health.live),
    _endpoint("GET", "/readyz", health.ready),
)


async def serve(call: Call, runtime: Runtime) -> Outcome:
    """Find what serves `call`, and let it; HEAD asks as GET does. Raises GatewayError with what the client is to be
    told.
    """
    method = "GET" if call.method == "HEAD" else call.method
    matches = [(endpoint, match) for endpoint in ENDPOINTS if (match := endpoint.path.fullmatch(call.path)) is not None]
    for endpoint, match in matches:
        if endpoint.method == method:
            return await endpoint.handler(call, runtime, *match.groups())
    if not matches:
        raise GatewayError(f"Unknown path: {call.method} {call.target}", 404, "not_found")
    if call.headers.get("upgrade", "").lower() == "websocket":
        raise GatewayError("WebSocket is not served here; use HTTP POST.", 426, "upgrade_required")
    allowed = sorted({endpoint.method for endpoint, _ in matches})
    error = GatewayError(f"{call.method} is not allowed for {call.target}; use {' or '.join(allowed)}.", 405)
    return Answer(dumps(error.body()), 405, {"content-type": "application/json", "allow": ", ".join(allowed)})
