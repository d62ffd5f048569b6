"""Answers from the store: sends the events of a stored response again."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from responses_gateway.protocol import sse
from responses_gateway.protocol.http import Answer
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.state.packing import events_in
from responses_gateway.state.store import Record

REPLAYED = "x-responses-gateway-replayed"
"""The header that names the response which a request was answered with instead of a new one."""

_IRRELEVANT = {"stream", "stream_options", "store", "client_metadata", "previous_response_id", "conversation"}
"""Fields without influence on the answer: what is continued is part of the whole input."""


def key(request: ResponsesRequest, mode: Literal["off", "on", "tools"]) -> str | None:
    """A digest that is the same for identical requests (with their whole history as input); None: do not replay."""
    if mode == "off" or request.background or (mode == "on" and request.tools):
        return None
    canonical = request.model_dump(exclude_unset=True, exclude=_IRRELEVANT)
    canonical["input"] = [
        {name: value for name, value in item.items() if name not in ("id", "status")} for item in canonical["input"]
    ]
    return hashlib.sha256(dumps(_sorted(canonical))).hexdigest()


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(entry) for entry in value] if isinstance(value, list) else value


def answer(record: Record, stream: bool) -> Answer:
    """A stored response as the answer to an identical request."""
    if stream:
        whole = event_stream(events_in(record.events), -1)
        return Answer(whole.body, headers={**whole.headers, REPLAYED: record.id})
    return Answer(dumps(record.response), headers={"content-type": "application/json", REPLAYED: record.id})


def event_stream(events: Sequence[JsonObject], after: int) -> Answer:
    """The events behind the sequence number `after`, as they were first sent."""
    body = sse.encode_all(event for event in events if event["sequence_number"] > after)
    return Answer(body + sse.DONE, headers={"content-type": "text/event-stream; charset=utf-8"})
