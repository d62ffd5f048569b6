"""The proxy layer below the hooks: what a hook cannot do for a flow that the gateway serves.

It speaks before the upstream does (heartbeats), keeps time limits, ends what the upstream broke, runs further upstream
rounds within one answer, and lets a client that left stop the upstream at once. It knows HTTP and no protocol above
it: what is sent to the client comes from the `Turn` of the flow. Streams without a turn are mitmproxy's own.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitmproxy import flow, http
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    DropStream,
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpStream,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHeadersHook, HttpResponseHeadersHook

from responses_gateway.proxy.clock import NEVER, Clock, Step
from responses_gateway.proxy.contract import (
    MAX_WHOLE_ANSWER,
    Failure,
    Gateway,
    GatewayRoundHook,
    Limits,
    RoundEnd,
)
from responses_gateway.proxy.guard import GuardedTurn
from responses_gateway.proxy.socket_layer import GatewayWebsocketLayer

if TYPE_CHECKING:
    from responses_gateway.proxy.layer import GatewayLayer

type Commands = layer.CommandGenerator[None]

MAX_REFUSAL = 1 << 20
"""Bytes of the body of an error; what comes behind them is not waited for."""


def _nothing() -> Commands:
    yield from ()


@dataclass
class Tick(events.Event):
    """Time has passed; `now` as of time.monotonic()."""

    now: float


@dataclass
class Fed(events.Event):
    """What came at once is there, or has taken the short way."""


@dataclass
class End(events.Event):
    """The turn is to end at once, because the process ends."""


@dataclass
class Probe(events.Event):
    """The client has sent its last byte. Whether it still reads shows when it is sent something."""


class GetFreshConnection(GetHttpConnection):
    """Open a connection, even if there is an idle one."""


class GatewayStream(HttpStream):
    """One request and its answer. Until the request hook made a turn for it, and without one, it is mitmproxy's own."""

    def __init__(self, context: Context, stream_id: int, parent: "GatewayLayer", gateway: Gateway) -> None:
        super().__init__(context, stream_id)
        self._parent = parent
        self._gateway = gateway
        self._turn: GuardedTurn | None = None
        self._clock = Clock(Limits(0, 0, 0, 0))
        self._sent_again = False
        self._at: Step = "over"
        self._attempt: GetHttpConnection | None = None
        self._hook: GatewayRoundHook | None = None
        self._round: int | None = None
        self._committed = False
        self._unread: list[bytes] = []
        self._whole: list[bytes] = []
        self._whole_size = 0

    # Time -------------------------------------------------------------------------------------------------------------

    @property
    def _step(self) -> Step:
        return self._at

    @_step.setter
    def _step(self, step: Step) -> None:
        self._at = step
        self._parent.retimed()

    @property
    def due(self) -> float:
        """When the next tick is needed, as of time.monotonic()."""
        turn = self._turn
        if turn is None or self._step == "over":
            return NEVER
        due = self._clock.limit(self._step, turn).due
        if self._step != "running out":
            if turn.streams:
                due = min(due, self._clock.heartbeat_due)
            if turn.crashed:
                due = 0.0
        return due

    @property
    def running_out(self) -> bool:
        """Whether the client has its answer, but the upstream has not ended its own."""
        return self._step == "running out"

    def _tick(self, turn: GuardedTurn, now: float) -> Commands:
        self._clock.look(turn)
        limit = self._clock.limit(self._step, turn)
        if now < limit.due:
            if turn.streams and now >= self._clock.heartbeat_due:
                yield from self._send(turn, turn.heartbeat())
        elif self._step == "running out":
            yield from self._close_round()
            self._step = "over"
        elif limit.failure.cause == "turn_timeout":
            yield from self._close_round()
            turn.fail(limit.failure)
            yield from self._conclude(turn)
        elif self._step == "streaming" and turn.settled:
            yield from self._close_round()
            yield from self._finish_round(turn)
        elif self._step == "refused":
            yield from self._close_round()
            yield from self._taken(turn)
        else:
            yield from self._fail(turn, limit.failure)

    # Events -----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: events.Event) -> Commands:
        """Pieces that come in one read are kept until all are there: translated at once, they leave in one write."""
        if isinstance(event, ResponseHeaders) and event.stream_id == self._round:
            if "chunked" in event.response.headers.get("transfer-encoding", "").lower():
                self._begin_passage(event.stream_id)
        elif isinstance(event, ResponseData) and self._streaming(event.stream_id):
            if not self._unread:
                self._parent.fed(self)
            self._unread.append(event.data)
            return _nothing()
        return super().handle_event(event)

    def _streaming(self, round_id: int) -> bool:
        return self._step == "streaming" and round_id == self._round and self._paused is None

    def _handle_event(self, event: events.Event) -> Commands:
        yield from self._serve(event)
        turn = self._turn
        if turn is not None and turn.crashed and self._step not in ("over", "running out"):
            yield from self._close_round()
            yield from self._conclude(turn)

    def _serve(self, event: events.Event) -> Commands:
        turn = self._turn
        if turn is None:
            if not isinstance(event, Tick | End | Probe):
                yield from super()._handle_event(event)
        elif isinstance(event, HttpEvent):
            if event.stream_id == self._round:
                yield from self._upstream(turn, event)
            elif event.stream_id == self.stream_id and isinstance(event, RequestProtocolError):
                yield from self._client_left(event)
        elif isinstance(event, Fed):
            yield from self._feed(turn)
        elif isinstance(event, Tick):
            yield from self._tick(turn, event.now)
        elif isinstance(event, Probe):
            if self._committed and self._step not in ("over", "running out"):
                yield from self._probe(turn)
        elif isinstance(event, End):
            if self._step != "running out":
                yield from self._close_round()
                turn.fail(Failure("shutdown"))
                yield from self._conclude(turn)
        elif isinstance(event, GetHttpConnectionCompleted):
            if event.command is self._attempt:
                yield from self._connected(turn, *event.reply)
        elif isinstance(event, events.HookCompleted) and self._hook is not None and event.command is self._hook:
            yield from self._decided(turn, self._hook.data)

    def _upstream(self, turn: GuardedTurn, event: HttpEvent) -> Commands:
        yield from self._feed(turn)
        if event.stream_id != self._round:
            return
        if isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
            self._end_passage()
            yield DropStream(event.stream_id)
            self._round = None
        match self._step, event:
            case "streaming", ResponseEndOfMessage():
                yield from self._finish_round(turn)
            case "streaming", ResponseData():
                self._unread.append(event.data)
                yield from self._feed(turn)
            case "waiting", ResponseHeaders():
                yield from self._begin(turn, event)
            case "taking" | "refused", ResponseData():
                yield from self._take(turn, event.data)
            case "taking" | "refused", ResponseEndOfMessage():
                yield from self._taken(turn)
            case "running out", ResponseEndOfMessage() | ResponseProtocolError():
                self._step = "over"
            case "waiting", ResponseProtocolError() if not self._sent_again and self._lost_race():
                yield commands.Log("The upstream has closed a kept connection: the request is sent again on a new one.")
                yield from self._connect(turn, again=True)
            case _, ResponseProtocolError():
                yield from self._fail(turn, Failure("broken", event.message))

    def _feed(self, turn: GuardedTurn) -> Commands:
        data, self._unread = b"".join(self._unread), []
        if self._step != "streaming":
            return
        yield from self._send(turn, self.translate(data) if data else b"")
        if self._step != "streaming":
            return
        if turn.round_over:
            yield from self._close_round()
            yield from self._ask(turn)
        elif turn.settled and self._clock.settles():
            self._parent.retimed()

    def _client_left(self, event: RequestProtocolError) -> Commands:
        over = self._step in ("over", "running out")
        yield from self._close_round()
        self._step = "over"
        if not over:
            self.client_state = self.state_errored
            self.flow.error = flow.Error(event.message)
            yield HttpErrorHook(self.flow)
            self.flow.live = False
            yield DropStream(self.stream_id)

    def _probe(self, turn: GuardedTurn) -> Commands:
        if heartbeat := turn.heartbeat():
            yield from self._send(turn, heartbeat)
        else:
            # There is no telling. Who ends its side in the middle of an answer has most often left.
            yield from self._parent.client_left()

    # The short way ----------------------------------------------------------------------------------------------------

    def _begin_passage(self, round_id: int) -> None:
        if passage := self._parent.passage(self.context.server):
            passage.begin(self, round_id)

    def _end_passage(self) -> None:
        if passage := self._parent.passage(self.context.server):
            passage.end()

    def passes(self, round_id: int) -> bool:
        """Whether the next piece of the round's answer can be translated right now, past the layer's events."""
        return self._at == "streaming" and round_id == self._round and self._committed and self._paused is None

    def translate(self, data: bytes) -> bytes:
        """A piece of the upstream's body; returns what the client gets."""
        turn = self._turn
        assert turn is not None  # noqa: S101 (`passes` said so)
        out = turn.feed(data)
        self._clock.fed(turn, out)
        return out

    @property
    def flows(self) -> bool:
        """Whether the answer goes on as it did. If not, an event has to tell the layer."""
        return self._turn is not None and self._turn.flows

    # Rounds -----------------------------------------------------------------------------------------------------------

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """mitmproxy asks for the connection when the request is complete; from here on, a turn is ours."""
        turn = self._gateway.turn(self.flow)
        if turn is None:
            return (yield from super().make_server_connection())
        self._turn = guarded = GuardedTurn(turn, self._gateway.error_response)
        self._clock = Clock(guarded.limits)
        yield from self._connect(guarded)
        return False

    def _lost_race(self) -> bool:
        return self._parent.was_kept_in_vain(self.context.server)

    def _connect(self, turn: GuardedTurn, *, again: bool = False) -> Commands:
        """Get a connection for a round; `again`: the same round's request was lost."""
        self._sent_again = again
        self._step = "connecting"
        self._clock.next_step()
        self._whole.clear()
        self._whole_size = 0
        self._request, server = turn.request, self.flow.server_conn
        if turn.crashed:
            return
        yield from self._parent.close_leftovers()
        self._parent.forget_closed()
        request = self._request
        get = GetFreshConnection if again else GetHttpConnection
        self._attempt = get(
            (request.host, request.port), request.scheme == "https", server.via, server.transport_protocol
        )
        # Not True, so that this layer is not paused: heartbeats and limits go on.
        self._attempt.blocking = self  # type: ignore[assignment]
        yield self._attempt

    def _connected(self, turn: GuardedTurn, connection: Connection | None, error: str | None) -> Commands:
        self._attempt = None
        if connection is None:
            yield from self._fail(turn, Failure("refused", error or ""))
            return
        assert isinstance(connection, Server)  # noqa: S101 (GetHttpConnection opens nothing else)
        self.context.server = self.flow.server_conn = connection
        self._step = "waiting"
        self._clock.next_step()
        self._round = self._parent.open_round(self)
        content = self._request.raw_content or b""
        for part in (
            RequestHeaders(self._round, self._request, end_stream=False),
            RequestData(self._round, content),
            RequestEndOfMessage(self._round),
        ):
            yield SendHttp(part, connection)

    def _begin(self, turn: GuardedTurn, event: ResponseHeaders) -> Commands:
        response = event.response
        if not self._committed:
            self.flow.response = response
        streams = turn.begin(response.status_code, response.headers)
        self._clock.answer_begins(turn)
        if streams:
            self._step = "streaming"
            if not self._committed:
                yield from self._commit(turn)
        else:
            self._step = "taking" if 200 <= response.status_code < 300 else "refused"

    def _take(self, turn: GuardedTurn, data: bytes) -> Commands:
        self._clock.piece_came(data)
        self._whole.append(data)
        self._whole_size += len(data)
        if self._step == "refused" and self._whole_size >= MAX_REFUSAL:
            yield from self._close_round()
            yield from self._taken(turn)
        elif self._whole_size > MAX_WHOLE_ANSWER:
            yield from self._fail(turn, Failure("too_large", f"it is longer than {MAX_WHOLE_ANSWER >> 20} MiB"))

    def _taken(self, turn: GuardedTurn) -> Commands:
        turn.take(b"".join(self._whole))
        yield from self._ask(turn)

    def _finish_round(self, turn: GuardedTurn) -> Commands:
        yield from self._send(turn, turn.finish())
        if self._step == "streaming":
            yield from self._ask(turn)

    def _fail(self, turn: GuardedTurn, failure: Failure) -> Commands:
        yield from self._close_round()
        turn.fail(failure)
        yield from self._ask(turn)

    def _ask(self, turn: GuardedTurn) -> Commands:
        """Let the addon decide whether there is another round."""
        self._step = "between rounds"
        self._hook = GatewayRoundHook(RoundEnd(self.flow, turn))
        self._hook.blocking = self  # type: ignore[assignment]
        yield self._hook

    def _decided(self, turn: GuardedTurn, decision: RoundEnd) -> Commands:
        self._hook = None
        if self._step != "between rounds":
            return
        yield from self._send(turn, turn.told())
        if self._step != "between rounds":
            return
        if decision.again:
            yield from self._connect(turn)
        else:
            yield from self._conclude(turn)

    def _close_round(self) -> Commands:
        """Stop whatever the upstream is doing for this stream."""
        self._hook = None
        if self._attempt is not None:
            attempt, self._attempt = self._attempt, None
            yield from self._parent.give_up(attempt)
        if self._round is not None:
            round_id, self._round = self._round, None
            self._end_passage()
            yield DropStream(round_id)
            if self.context.server in self._parent.connections:
                reason = RequestProtocolError(round_id, "no longer needed", ErrorCode.CANCEL)
                yield SendHttp(reason, self.context.server)

    # The client -------------------------------------------------------------------------------------------------------

    def _commit(self, turn: GuardedTurn) -> Commands:
        """Send the head of a streamed answer."""
        head = turn.head()
        if turn.crashed:
            return
        self._committed = True
        self.flow.response = head
        self.flow.response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            yield from self._close_round()
            self._step = "over"
            return
        yield SendHttp(ResponseHeaders(self.stream_id, self.flow.response, end_stream=False), self.context.client)

    def _send(self, turn: GuardedTurn, data: bytes) -> Commands:
        if data:
            if not self._committed:
                yield from self._commit(turn)
                if self._step == "over" or not self._committed:
                    return
            self._clock.spoke()
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)
        if turn.ended:
            yield from self._end_answer()
        elif turn.is_storing and self._hook is None and self._step != "over":
            yield from self._ask(turn)

    def _conclude(self, turn: GuardedTurn) -> Commands:
        """End the answer; no round follows."""
        if self._committed:
            yield from self._send(turn, turn.end())
            waits_for_store = self._hook is not None
            if self._step not in ("over", "running out") and not waits_for_store:
                yield from self._end_answer()
            return
        self._step = "over"
        self._committed = True
        self.flow.response = response = turn.answer()
        response.timestamp_start = time.time()
        body = response.raw_content or b""
        response.data.content = shown = turn.presentable(body)
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        if shown == body:
            yield from self.send_response()
            return
        # What the flow keeps is not what the client gets.
        yield SendHttp(ResponseHeaders(self.stream_id, response, end_stream=False), self.context.client)
        yield SendHttp(ResponseData(self.stream_id, body), self.context.client)
        yield from self.send_response(already_streamed=True)

    def _end_answer(self) -> Commands:
        self._clock.settles()
        self._step = "over" if self._round is None else "running out"
        yield from self.send_response(already_streamed=True)

    # WebSockets -------------------------------------------------------------------------------------------------------

    def flow_done(self) -> Commands:
        if not self.flow.websocket:
            yield from super().flow_done()
            return
        # As mitmproxy does it, with a layer of our own.
        self.child_layer = GatewayWebsocketLayer(self.context, self.flow, self._gateway.body_limit())
        self._handle_event = self.passthrough  # type: ignore[method-assign]
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    # Request bodies ---------------------------------------------------------------------------------------------------

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """mitmproxy reads the whole body before it sends what a hook answers to the head."""
        steps = super().state_wait_for_request_headers(event)
        reply: Any = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            reply = yield command
            is_answered = self.flow.response is not None and self.flow.error is None
            if isinstance(command, HttpRequestHeadersHook) and is_answered and not event.end_stream:
                yield from self._answer_without_body()
                return

    def state_consume_request_body(self, event: events.Event) -> Commands:
        if isinstance(event, RequestData) and not self._gateway.holds(self.flow, len(event.data)):
            message = "The gateway holds as many requests as it can (gateway_bodies_limit); try again in a moment."
            self.flow.response = self._gateway.error_response(503, message)
            self.request_body_buf.clear()
            yield from self._answer_without_body()
        else:
            yield from super().state_consume_request_body(event)

    def _answer_without_body(self) -> Commands:
        """Send the flow's response; what still comes of the request's body is not kept."""
        assert self.flow.response is not None  # noqa: S101 (who calls has seen it)
        self.flow.response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        self.client_state = self.state_done
        yield from self.send_response()
        self.client_state = self.state_errored

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """mitmproxy's check, and our own limit for requests."""
        if request:
            limit = self._gateway.body_limit()
            size = len(self.request_body_buf) or _declared_size(self.flow.request)
            if size > limit:
                message = f"The request body is larger than {limit} bytes (gateway_body_limit)."
                self.request_body_buf.clear()
                self.client_state = self.server_state = self.state_errored
                self.flow.error = flow.Error(message)
                yield HttpRequestHeadersHook(self.flow)
                yield HttpErrorHook(self.flow)
                yield SendHttp(
                    ResponseProtocolError(self.stream_id, message, ErrorCode.REQUEST_TOO_LARGE), self.context.client
                )
                self.flow.live = False
                return True
        return (yield from super().check_body_size(request))


def _declared_size(request: http.Request) -> int:
    try:
        return int(request.headers.get("content-length", "0"))
    except ValueError:
        return 0
