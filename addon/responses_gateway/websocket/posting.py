"""Posts turns of a connection to the listener that the client came through, where each becomes an ordinary flow."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps, loads
from responses_gateway.protocol.sse import SseDecoder
from responses_gateway.turn.steerings import STEERING_HEADER, Steerings
from responses_gateway.upstream.http_client import HttpClient, HttpResponse
from responses_gateway.websocket.turn import SocketTurn

_NOT_FORWARDED = frozenset(
    (
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect"),
        *("keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_REFUSAL_LIMIT = 1 << 20
"""Bytes of an error's body that are read."""

_LARGEST_EVENT = 512 << 20
"""Bytes of one event of the gateway's own answer: the last one holds all of it."""


@dataclass(frozen=True)
class Admission:
    """A client that the gateway let in: where its turns are posted, and the headers of its upgrade request."""

    address: tuple[str, int]
    headers: Mapping[str, str]
    path: str = ""
    """What stands before /v1 there."""


async def post(turn: SocketTurn, admission: Admission, steerings: Steerings) -> AsyncGenerator[bytes]:
    """The events of the answer. Raises GatewayError for a refusal, and OSError."""
    host, port = admission.address
    headers = {
        name: value
        for name, value in admission.headers.items()
        if name not in _NOT_FORWARDED and not name.startswith(("sec-websocket-", "proxy-"))
    }
    token = steerings.announce(turn.steering)
    headers |= {"accept": "text/event-stream", "content-type": "application/json", STEERING_HEADER: token}
    url = f"http://gateway:{port}{admission.path}/v1/responses"
    try:
        async with HttpClient([host]) as http, http.request("POST", url, headers, dumps(turn.body)) as response:
            if response.status != 200:
                body, _ = await response.read(_REFUSAL_LIMIT)
                raise _refusal(response, body)
            decoder = SseDecoder(_LARGEST_EVENT, wraps_errors=False)
            async for piece in response.body:
                for payload in decoder.feed(piece):
                    if payload != b"[DONE]":
                        yield payload
    finally:
        steerings.forget(token)
    if not turn.ended:
        raise OSError("the gateway's own answer had no end")


def _refusal(response: HttpResponse, body: bytes) -> GatewayError:
    """The error in an HTTP answer."""
    try:
        error = loads(body)["error"]
        message, code, param, kind = (error.get(name) for name in ("message", "code", "param", "type"))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        message, code, param, kind = f"The gateway answered {response.status}.", None, None, None
    wait = response.headers.get("retry-after", "")
    return GatewayError(
        str(message),
        response.status,
        code,
        param,
        str(kind or "invalid_request_error"),
        float(wait) if wait.isdigit() else None,
    )
