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
from responses_gateway.translate.answer.prepared_output import prepared_events
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.steering import Steering
from responses_gateway.websocket.steering import Steer

REMEMBERED = 16
"""Responses that a connection remembers; clients go on from the last one."""

REMEMBERED_OF_LANE = 4
"""The same for each lane with a name."""

_HEAD = re.compile(rb'\{"type":"([a-z_.]+)"(?:,"sequence_number":([0-9]{1,15}))?')
"""How the events of this gateway begin."""

_TERMINAL = frozenset({b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"})
_WITH_RESPONSE = _TERMINAL | {b"response.created", b"response.queued", b"response.in_progress"}
_NOT_POSTED = ("type", "event_id", "generate", "stream_options", "stream_id")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A response that is kept nowhere else: the items up to its end, behind the stored response `base` if there is
    one."""

    base: str | None
    items: Sequence[JsonObject]


class Memory:
    """The last responses of one connection by id, without those that were stored. Each lane may go on from all."""

    def __init__(self) -> None:
        self._lanes: dict[str | None, OrderedDict[str, Remembered]] = {}

    def get(self, response_id: object) -> Remembered | None:
        if not isinstance(response_id, str):
            return None
        return next((one[response_id] for one in self._lanes.values() if response_id in one), None)

    def add(self, lane: str | None, response_id: str, response: Remembered) -> None:
        responses = self._lanes.setdefault(lane, OrderedDict())
        responses[response_id] = response
        while len(responses) > (REMEMBERED if lane is None else REMEMBERED_OF_LANE):
            responses.popitem(last=False)

    def forget(self, lane: str | None, response_id: object) -> None:
        """What another lane remembers stays: an error of one lane is no other's."""
        if isinstance(response_id, str):
            self._lanes.get(lane, OrderedDict()).pop(response_id, None)


def create_body(event: JsonObject) -> JsonObject:
    """The body of a `response.create`, which comes flat or nested in `response`. Raises GatewayError."""
    nested = event.get("response")
    if nested is not None and not isinstance(nested, dict):
        raise GatewayError(
            "Invalid value for 'response': an object is expected.", code="invalid_type", param="response"
        )
    body = {**event, **(nested or {})}
    body.pop("response", None)
    body.pop("stream_id", None)
    if body.get("background"):
        raise GatewayError(
            "'background' is not possible over a WebSocket.", code="unsupported_parameter", param="background"
        )
    return body


class SocketTurn:
    """From one `response.create` to the end of its response.

    `body` is what to POST: the request, with the items of a remembered `previous_response_id` in its input.
    """

    def __init__(
        self,
        body: JsonObject,
        memory: Memory,
        lane: str | None = None,
        brought: Sequence[Steer] = (),
        *,
        follows: bool = False,
    ) -> None:
        """`brought` is what it is steered by, in front of its own input. `follows`: no client asked for it.

        Raises GatewayError for an input that is none.
        """
        self.asked = body
        """The request as it came."""

        self.lane = lane
        self.is_posted = body.get("generate") is not False or _prewarms(body)
        """Whether it is posted; what only prepares the next turn is answered here, if no prompt is to be read ahead."""

        self.response_id: str | None = None
        self.ended = False
        self.steering = Steering()
        self.steers: list[Steer] = []
        """What its successor is to be steered by."""

        self.brought = list(brought)
        """Emptied when it is committed: when the response was created."""

        self.follows = follows
        self._memory = memory
        self._previous = body.get("previous_response_id")
        self._remembered = memory.get(self._previous)
        self._stored = self.is_posted and body.get("store") is not False
        given = [*(item for steer in brought for item in steer.items), *_items(body.get("input"))]
        self._base: str | None = self._previous if isinstance(self._previous, str) else None
        if self._remembered is not None:
            self._base = self._remembered.base
            given = [*self._remembered.items, *given]
        self._input = given
        self.body = {name: value for name, value in body.items() if name not in _NOT_POSTED}
        self.body |= {"input": given, "previous_response_id": self._base, "stream": True}
        self.response: JsonObject | None = None
        """The response as its events told it last."""

        self._done_items: list[bytes] = []
        self._number = -1
        self._inserted = 0
        """Events that stand between those of the answer, which are counted on."""

    def frame(self, payload: bytes) -> bytes:
        """The frame for one event of the answer."""
        kind, number = _head(payload)
        if number is not None:
            self._number = number + self._inserted
        if kind == b"response.output_item.done":
            self._done_items.append(payload)
        if kind == b"error":
            self.ended = True
            self.failed()
        if kind not in _WITH_RESPONSE:
            return payload if number is None else self._numbered(payload)
        event = loads(payload)
        self.response = response = event["response"]
        self.response_id = response["id"]
        self.brought = []
        self.ended = kind in _TERMINAL
        if kind == b"response.failed":
            self.failed()
        elif self.ended:
            self._remember(response)
        if self._remembered is None:
            return payload if number is None else self._numbered(payload)
        response["previous_response_id"] = self._previous
        return dumps(event) if number is None else self._numbered(dumps(event))

    def _numbered(self, payload: bytes) -> bytes:
        """The event, which has a number, with the one that it has among those that were inserted."""
        if not self._inserted:
            return payload
        head = _HEAD.match(payload)
        if head is not None and head[2] is not None:
            return b"%b%d%b" % (payload[: head.start(2)], self._number, payload[head.end(2) :])
        return dumps({**loads(payload), "sequence_number": self._number})

    def insert(self, event: JsonObject) -> bytes:
        """The frame for an event that stands behind those that were sent."""
        self._number += 1
        self._inserted += 1
        return dumps({"type": event["type"], "sequence_number": self._number, **event})

    def warm_up(self) -> list[bytes]:
        """The frames of a turn that only prepares the next ones (`generate: false`)."""
        events = prepared_events(self._snapshot(), int(time.time()))
        for event in events:
            event["response"]["previous_response_id"] = self._previous
        self.ended = True
        self._remember(events[-1]["response"])
        return [dumps(event) for event in events]

    def cancelled(self) -> bytes:
        """The last frame of a turn that the client cancelled."""
        self.ended = True
        items = [loads(payload)["item"] for payload in self._done_items]
        begun = self.response or {**self._snapshot().render("in_progress"), "previous_response_id": self._previous}
        response = {**begun, "status": "cancelled", "output": items}
        return self.insert({"type": "response.cancelled", "response": response})

    def failed(self) -> None:
        """The specification: a failed continuation is forgotten, so that the client sends everything again.

        One that the client did not ask for is not its failure: it goes on from there with the input that it gets back.
        """
        if not self.follows:
            self._memory.forget(self.lane, self._previous)

    def _snapshot(self) -> Snapshot:
        """That of a response of our own. Raises GatewayError for a request that is not valid."""
        return Snapshot(parse_request(dumps(self.body)), f"resp_{uuid4().hex}", int(time.time()))

    def _remember(self, response: JsonObject) -> None:
        if not self._stored:
            items = [*self._input, *response["output"]]
            self._memory.add(self.lane, response["id"], Remembered(self._base, items))


def _head(payload: bytes) -> tuple[bytes, int | None]:
    """The type and the number of an event: the first fields in those of this gateway, anywhere in those that upstreams
    made."""
    found = _HEAD.match(payload)
    if found is not None and (found[2] is not None or b'"sequence_number"' not in payload):
        return found[1], int(found[2]) if found[2] is not None else None
    try:
        event = loads(payload)
    except (ValueError, RecursionError):
        return b"", None
    if not isinstance(event, dict):
        return b"", None
    number = event.get("sequence_number")
    return str(event.get("type")).encode(), number if isinstance(number, int) else None


def _prewarms(body: JsonObject) -> bool:
    options = body.get("prompt_cache_options")
    return isinstance(options, dict) and options.get("prewarm") is True


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
