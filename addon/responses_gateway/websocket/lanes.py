"""The lanes of one connection: responses side by side, and in each lane one after the other.

Without a `stream_id`, there is the lane without a name, in which nothing waits. The limits are those of OpenAI's API
("WebSocket mode").
"""

import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.websocket.steering import Steer
from responses_gateway.websocket.turn import SocketTurn

MOST_LANES = 32
"""Names that a connection may use."""

MOST_RUNNING = 16
"""Responses of a connection that run at a time; more have to wait."""

MOST_WAITING = 32
"""Requests of a connection that wait for another response to end."""

MOST_PARENTS = 4
"""Responses of a lane whose steering waits for results of the client."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that has not begun. `size`: bytes of the message that it came in."""

    body: JsonObject
    size: int


@dataclass(slots=True)
class Lane:
    """One lane; it has no turn while nothing runs in it."""

    name: str | None
    turn: SocketTurn | None = None
    waiting: deque[Waiting] = field(default_factory=deque)
    pending: OrderedDict[str, list[Steer]] = field(default_factory=OrderedDict)
    """What steers the response after one that waits for results of the client, by the id of the latter."""

    @property
    def steers(self) -> Iterator[Steer]:
        """All that was accepted and not committed."""
        if self.turn is not None:
            yield from self.turn.steers
            yield from self.turn.brought
        for steers in self.pending.values():
            yield from steers


def lane_name(event: JsonObject) -> str | None:
    """The lane that an event names. Raises GatewayError."""
    name = event.get("stream_id")
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise GatewayError(
            "Invalid 'stream_id': 1 to 256 letters, digits, underscores, hyphens and periods are expected.",
            code="invalid_stream_id",
            param="stream_id",
        )
    return name


class Lanes:
    """Those of a connection. `limit`: bytes that may wait in all of them together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lanes: dict[str | None, Lane] = {None: Lane(None)}
        self._order: deque[Lane] = deque()
        """The lane of each request that waits, in the order in which they came."""

    def lane(self, name: str | None) -> Lane:
        """The lane of that name, new or known. Raises GatewayError."""
        if name not in self._lanes:
            if len(self._lanes) > MOST_LANES:
                raise GatewayError(
                    f"This connection has {MOST_LANES} lanes, which is the limit. Use one of them.",
                    code="websocket_stream_limit_reached",
                    param="stream_id",
                )
            self._lanes[name] = Lane(name)
        return self._lanes[name]

    @property
    def running(self) -> list[SocketTurn]:
        return [lane.turn for lane in self._lanes.values() if lane.turn is not None]

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return bool(self.running or self._order)

    def running_in(self, name: str | None) -> Lane | None:
        """The lane of that name, if a response runs in it."""
        lane = self._lanes.get(name)
        return lane if lane is not None and lane.turn is not None else None

    def of_response(self, response_id: object) -> Lane | None:
        """The lane in which a response runs."""
        lanes = self._lanes.values()
        return next((lane for lane in lanes if lane.turn and lane.turn.response_id == response_id), None)

    def wait(self, lane: Lane, request: Waiting) -> None:
        """Let a request wait for its turn. Raises GatewayError when too much waits."""
        held = sum(one.size for each in self._lanes.values() for one in each.waiting)
        if len(self._order) >= MOST_WAITING or held + request.size > self._limit:
            raise GatewayError(
                "Too many requests wait on this connection. Send this one again when a response has ended.",
                429,
                "too_many_waiting_requests",
                type="rate_limit_error",
            )
        lane.waiting.append(request)
        self._order.append(lane)

    def next_up(self) -> tuple[Lane, Waiting] | None:
        """The request that can begin now: the one that came first of those whose lane is free."""
        if len(self.running) >= MOST_RUNNING:
            return None
        lane = next((lane for lane in self._order if lane.turn is None), None)
        if lane is None:
            return None
        self._order.remove(lane)
        return lane, lane.waiting.popleft()

    @property
    def steering_size(self) -> int:
        """Bytes of the input that was accepted and not committed."""
        return sum(steer.size for lane in self._lanes.values() for steer in lane.steers)
