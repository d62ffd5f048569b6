"""Exchanges without a network: an upstream's bytes in, a client's events out."""

import json
from typing import Any

from responses_gateway.settings.settings import Settings
from responses_gateway.turn.exchange import Exchange
from unit.world import open_exchange, runtime

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"


def exchange(body: bytes | None = None, **fields: Any) -> Exchange:
    """One exchange, of a whole request body or of a small request with these fields. Raises GatewayError."""
    around = runtime(Settings(upstream="http://127.0.0.1:1/v1", store="none"))
    if body is None:
        body = json.dumps({"model": "m", "input": "hi", "stream": True, **fields}).encode()
    return open_exchange(body, {}, around)


def events(sent: bytes) -> list[Json]:
    """The events of a client's stream, which must be whole and end with [DONE]."""
    frames = sent.split(b"\n\n")
    assert frames.pop() == b""
    assert frames.pop() == b"data: [DONE]"
    found = []
    for frame in frames:
        kind, data = frame.split(b"\n")
        event = json.loads(data.removeprefix(b"data: "))
        assert kind == b"event: " + event["type"].encode()
        found.append(event)
    return found


def frame(payload: Any) -> bytes:
    """A payload (JSON, or bytes as they are) as an event of the upstream's stream."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return b"data: " + data + b"\n\n"
