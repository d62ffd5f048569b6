"""One connection's side of the protocol, without any I/O: what it says, and which turns begin and stop.

Every method that takes something returns the frames to send now, in this order. `take_begun` and `take_stopped` give
the turns to post, and those whose posting is to stop.
"""

from collections import OrderedDict

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.request_limits import check_size
from responses_gateway.websocket import steering
from responses_gateway.websocket.lanes import MOST_PARENTS, Lane, Lanes, Waiting, lane_name
from responses_gateway.websocket.steering import MOST_STEERS, Steer, SteerRefused
from responses_gateway.websocket.turn import Memory, SocketTurn, create_body

KNOWN_ENDED = 64
"""Responses that have ended of which a connection knows how."""


class SocketSession:
    """`limit`: bytes of requests that may wait, and of steering input that may be accepted and not committed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory = Memory()
        self._lanes = Lanes(limit)
        self._ended: OrderedDict[str, tuple[str | None, str]] = OrderedDict()
        """The lane and the status of responses that have ended, by id."""

        self._frames: list[bytes] = []
        self._begun: list[SocketTurn] = []
        self._stopped: list[SocketTurn] = []
        self._expired = False

    @property
    def busy(self) -> bool:
        """Whether any response runs, or waits to begin."""
        return self._lanes.busy

    def take_begun(self) -> list[SocketTurn]:
        begun, self._begun = self._begun, []
        return begun

    def take_stopped(self) -> list[SocketTurn]:
        stopped, self._stopped = self._stopped, []
        return stopped

    # What the client sends --------------------------------------------------------------------------------------------

    def receive(self, message: str | bytes) -> list[bytes]:
        """A message of the client."""
        name: str | None = None
        try:
            content = message.encode(errors="surrogatepass") if isinstance(message, str) else message
            event = _event(content)
            kind = event["type"]
            if kind in ("response.create", "response.cancel"):
                name = lane_name(event)
            match kind:
                case "response.create":
                    self._create(event, name, len(content))
                case "response.cancel":
                    self._cancel(event, name)
                case "response.steer":
                    self._steer(event, len(content))
                case other:
                    raise GatewayError(f"Unknown event type: '{other}'.", code="invalid_value", param="type")
        except GatewayError as error:
            self._refuse(error, name)
        return self._take()

    def _create(self, event: JsonObject, name: str | None, size: int) -> None:
        lane = self._lanes.lane(name)
        if name is None and (lane.turn is not None or lane.waiting):
            raise GatewayError(
                "A response is in progress on this connection. Wait for its end, or cancel it with response.cancel.",
                code="response_already_in_flight",
            )
        if self._expired:
            raise connection_limit()
        self._lanes.wait(lane, Waiting(create_body(event), size))
        self._begin_waiting()

    def _cancel(self, event: JsonObject, name: str | None) -> None:
        response_id = event.get("response_id")
        lane = self._lanes.running_in(name) if response_id is None else self._lanes.of_response(response_id)
        if lane is None or lane.turn is None or (name is not None and lane.name != name):
            raise GatewayError("No such response is in progress on this connection.", code="response_not_in_progress")
        turn = lane.turn
        self._stopped.append(turn)
        self._say(turn.cancelled(), lane.name)
        self._end(lane, turn, "cancelled")

    def _steer(self, event: JsonObject, size: int) -> None:
        target = steering.target_of(event)
        lane = self._lanes.of_response(target)
        turn = lane.turn if lane is not None else None
        name = lane.name if lane is not None else self._ended.get(target, (None, ""))[0]
        try:
            if turn is None:
                raise self._not_running(target)
            if turn.asked.get("conversation") is not None or turn.asked.get("context_management"):
                raise SteerRefused(
                    "steering_not_supported",
                    "Responses of a conversation, and those that are compacted on the way, cannot be steered.",
                )
            if len(turn.steers) >= MOST_STEERS or self._lanes.steering_size + size > self._limit:
                raise SteerRefused("too_many_pending_steers", "Too much input waits for this response already.")
            steer = steering.steer_of(event, size)
        except SteerRefused as refusal:
            said = steering.refused(event, refusal)
            self._say(turn.insert(said) if turn is not None else dumps({**said, "sequence_number": 0}), name)
            return
        turn.steers.append(steer)
        turn.steering.wanted = True
        self._say(turn.insert(steering.accepted(steer)), name)

    def _not_running(self, target: str) -> SteerRefused:
        if target not in self._ended:
            return SteerRefused("response_not_found", "No such response runs on this connection.")
        status = self._ended[target][1]
        if status in ("completed", "incomplete"):
            return SteerRefused("response_already_completed", "The response has ended; go on from it instead.")
        return SteerRefused("response_not_active", f"The response has ended ({status}).")

    # What becomes of turns --------------------------------------------------------------------------------------------

    def event(self, turn: SocketTurn, payload: bytes) -> list[bytes]:
        """An event of the answer to a turn that was begun."""
        lane = self._lanes.running_in(turn.lane)
        if lane is None or lane.turn is not turn:
            return []
        frame = turn.frame(payload)
        if turn.response_id is not None or not turn.follows:
            self._say(frame, lane.name)
        if turn.ended:
            self._end(lane, turn, str((turn.response or {}).get("status")))
        return self._take()

    def refused(self, turn: SocketTurn, error: GatewayError) -> list[bytes]:
        """The turn was refused, or failed before its end."""
        turn.failed()
        return self.broke(turn, error)

    def broke(self, turn: SocketTurn, error: GatewayError) -> list[bytes]:
        """The same for a turn that may well be repeated."""
        lane = self._lanes.running_in(turn.lane)
        if lane is None or lane.turn is not turn:
            return []
        if not turn.follows or turn.response_id is not None:
            self._refuse(error, lane.name)
        self._end(lane, turn, "failed", error.message)
        return self._take()

    def expire(self) -> list[bytes]:
        """The connection is to end when nothing runs any more. The client is told, if that is now."""
        self._expired = True
        if not self.busy:
            self._refuse(connection_limit(), None)
        return self._take()

    def _end(self, lane: Lane, turn: SocketTurn, status: str, fault: str = "") -> None:
        """The turn of a lane is over: what was accepted for it is committed to a successor, waits, or is given back."""
        lane.turn = None
        if turn.response_id is not None:
            self._ended[turn.response_id] = lane.name, status
            while len(self._ended) > KNOWN_ENDED:
                self._ended.popitem(last=False)
        for steer in turn.brought:
            message = fault or f"The response that this input belongs to was not created ({status})."
            self._give_back(turn, steer, "successor_creation_failed", message)
        if turn.steers:
            self._go_on(lane, turn, status)
        self._begin_waiting()

    def _go_on(self, lane: Lane, turn: SocketTurn, status: str) -> None:
        if status not in ("completed", "incomplete") or turn.response is None:
            for steer in turn.steers:
                self._give_back(turn, steer, "response_not_active", f"The response has ended ({status}).")
        elif self._expired:
            for steer in turn.steers:
                self._give_back(turn, steer, "successor_creation_failed", connection_limit().message)
        elif required := steering.required_inputs(turn.response["output"]):
            for steer in turn.steers:
                self._say(turn.insert(steering.pending(steer, required)), lane.name)
            lane.pending[turn.response["id"]] = turn.steers
            if len(lane.pending) > MOST_PARENTS:
                for steer in lane.pending.popitem(last=False)[1]:
                    self._give_back(
                        turn, steer, "response_not_active", "Too many responses of the lane wait for input."
                    )
        else:
            body = {**turn.asked, "previous_response_id": turn.response["id"], "input": []}
            self._begin(lane, body, turn.steers, follows=True)

    def _begin_waiting(self) -> None:
        while (up := self._lanes.next_up()) is not None:
            lane, request = up
            if self._expired:
                self._refuse(connection_limit(), lane.name)
            else:
                previous = request.body.get("previous_response_id")
                brought = lane.pending.pop(previous, []) if isinstance(previous, str) else []
                self._begin(lane, request.body, brought, follows=False)

    def _begin(self, lane: Lane, body: JsonObject, brought: list[Steer], *, follows: bool) -> None:
        """Begin a turn. One that generates nothing ends at once."""
        try:
            turn = SocketTurn(body, self._memory, lane.name, brought, follows=follows)
            frames = [] if turn.is_posted else turn.warm_up()
        except GatewayError as error:
            self._refuse(error, lane.name)
            for steer in brought:
                said = steering.failed(steer, "successor_creation_failed", error.message)
                self._say(dumps({**said, "sequence_number": 0}), lane.name)
            return
        if turn.is_posted:
            lane.turn = turn
            self._begun.append(turn)
        for frame in frames:
            self._say(frame, lane.name)

    # Frames -----------------------------------------------------------------------------------------------------------

    def _give_back(self, turn: SocketTurn, steer: Steer, code: str, message: str) -> None:
        self._say(turn.insert(steering.failed(steer, code, message)), turn.lane)

    def _refuse(self, error: GatewayError, lane: str | None) -> None:
        frame: JsonObject = {"type": "error", "status": error.status, **error.body()}
        if error.retry_after is not None:
            # Codex reads them beside the error, openai-python in it.
            frame["headers"] = frame["error"]["headers"] = {"retry-after": str(max(1, round(error.retry_after)))}
        self._say(dumps(frame), lane)

    def _say(self, frame: bytes, lane: str | None) -> None:
        self._frames.append(frame if lane is None else _in_lane(frame, lane))

    def _take(self) -> list[bytes]:
        frames, self._frames = self._frames, []
        return frames


def _in_lane(frame: bytes, lane: str) -> bytes:
    """The event with the name of its lane, without being parsed."""
    whole = frame.strip()
    if not (whole.startswith(b"{") and whole.endswith(b"}")):
        return frame
    fields = whole[1:-1].strip()
    return b'{%b%b"stream_id":%b}' % (fields, b"," if fields else b"", dumps(lane))


def _event(message: bytes) -> JsonObject:
    check_size(message)
    try:
        event = loads(message)
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"The message is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(event, dict):
        raise GatewayError("The message must be a JSON object.", code="invalid_type")
    if not isinstance(event.get("type"), str):
        raise GatewayError("Missing required parameter: 'type'.", code="missing_required_parameter", param="type")
    return event


def connection_limit() -> GatewayError:
    """What clients are told of a connection that has lived long enough."""
    return GatewayError(
        "This connection has reached its limit of 60 minutes. Open another one to go on.",
        code="websocket_connection_limit_reached",
    )
