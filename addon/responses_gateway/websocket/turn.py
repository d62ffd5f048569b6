"""One turn of a WebSocket connection, and what the connection remembers between turns, without any I/O."""

import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.responses import parse_request
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.usage import translate_usage

REMEMBERED = 16
"""Responses that a connection remembers; clients go on from the last one."""

_TYPE = re.compile(rb'\{"type":"([a-z_.]+)"')
_TERMINAL = frozenset({b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"})
_WITH_RESPONSE = _TERMINAL | {b"response.created", b"response.queued", b"response.in_progress"}
_OF_HTTP_ONLY = ("type", "event_id", "generate", "stream_options")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A response that is kept nowhere else: the items up to its end, behind the stored response `base` if there is
    one."""

    base: str | None
    items: Sequence[JsonObject]


class Memory:
    """The last responses of one connection by id, without those that were stored."""

    def __init__(self) -> None:
        self._responses: OrderedDict[str, Remembered] = OrderedDict()

    def get(self, response_id: object) -> Remembered | None:
        return self._responses.get(response_id) if isinstance(response_id, str) else None

    def add(self, response_id: str, response: Remembered) -> None:
        self._responses[response_id] = response
        while len(self._responses) > REMEMBERED:
            self._responses.popitem(last=False)

    def forget(self, response_id: object) -> None:
        if isinstance(response_id, str):
            self._responses.pop(response_id, None)


def create_body(event: JsonObject) -> JsonObject:
    """The body of a `response.create`, which comes flat or nested in `response`. Raises GatewayError."""
    nested = event.get("response")
    if nested is not None and not isinstance(nested, dict):
        raise GatewayError(
            "Invalid value for 'response': an object is expected.", code="invalid_type", param="response"
        )
    body = {**event, **(nested or {})}
    body.pop("response", None)
    if body.get("background"):
        raise GatewayError(
            "'background' is not possible over a WebSocket.", code="unsupported_parameter", param="background"
        )
    return body


class SocketTurn:
    """From one `response.create` to the end of its response.

    `body` is what to POST: the request, with the items of a remembered `previous_response_id` in its input. Raises
    GatewayError for an input that is none.
    """

    def __init__(self, body: JsonObject, memory: Memory) -> None:
        self.generates = body.get("generate") is not False
        self.response_id: str | None = None
        self.ended = False
        self._memory = memory
        self._previous = body.get("previous_response_id")
        self._remembered = memory.get(self._previous)
        self._stored = self.generates and body.get("store") is not False
        given = _items(body.get("input"))
        self._base: str | None = self._previous if isinstance(self._previous, str) else None
        if self._remembered is not None:
            self._base = self._remembered.base
            given = [*self._remembered.items, *given]
        self._input = given
        self.body = {name: value for name, value in body.items() if name not in _OF_HTTP_ONLY}
        self.body |= {"input": given, "previous_response_id": self._base, "stream": True}
        self._response: JsonObject | None = None
        self._done_items: list[bytes] = []

    def frame(self, payload: bytes) -> bytes:
        """The frame for one event of the answer."""
        kind = _kind(payload)
        if kind == b"response.output_item.done":
            self._done_items.append(payload)
        if kind == b"error":
            self.ended = True
            self.failed()
        if kind not in _WITH_RESPONSE:
            return payload
        event = loads(payload)
        self._response = response = event["response"]
        self.response_id = response["id"]
        self.ended = kind in _TERMINAL
        if kind == b"response.failed":
            self.failed()
        elif self.ended:
            self._remember(response)
        if self._remembered is None:
            return payload
        response["previous_response_id"] = self._previous
        return dumps(event)

    def warm_up(self) -> list[bytes]:
        """The frames of a turn that only prepares the next ones (`generate: false`)."""
        response = self._own_response("completed", usage=translate_usage({}), completed_at=int(time.time()))
        begun = {**response, "status": "in_progress", "usage": None, "completed_at": None}
        self.ended = True
        self._remember(response)
        return _frames([("response.created", begun), ("response.in_progress", begun), ("response.completed", response)])

    def cancelled(self) -> bytes:
        """The last frame of a turn that the client cancelled."""
        self.ended = True
        items = [loads(payload)["item"] for payload in self._done_items]
        response = {**(self._response or self._own_response("in_progress")), "status": "cancelled", "output": items}
        return _frames([("response.cancelled", response)])[0]

    def failed(self) -> None:
        """The specification: a failed continuation is forgotten, so that the client sends everything again."""
        self._memory.forget(self._previous)

    def _own_response(
        self, status: str, usage: JsonObject | None = None, completed_at: int | None = None
    ) -> JsonObject:
        snapshot = Snapshot(parse_request(dumps(self.body)), f"resp_{uuid4().hex}", int(time.time()))
        response = snapshot.render(status, usage=usage, completed_at=completed_at)
        return {**response, "previous_response_id": self._previous}

    def _remember(self, response: JsonObject) -> None:
        if not self._stored:
            items = [*self._input, *response["output"]]
            self._memory.add(response["id"], Remembered(self._base, items))


def _kind(payload: bytes) -> bytes:
    """The type of an event: the first field in those of this gateway, anywhere in those that upstreams made."""
    found = _TYPE.match(payload)
    if found is not None:
        return found[1]
    try:
        event = loads(payload)
    except (ValueError, RecursionError):
        return b""
    return str(event.get("type")).encode() if isinstance(event, dict) else b""


def _items(value: object) -> list[JsonObject]:
    """The input as items; a warm-up may have none."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise GatewayError(
            "Invalid value for 'input': a string or a list of items is expected.", code="invalid_value", param="input"
        )
    return value


def _frames(events: Sequence[tuple[str, JsonObject]]) -> list[bytes]:
    return [
        dumps({"type": kind, "sequence_number": number, "response": response})
        for number, (kind, response) in enumerate(events)
    ]
