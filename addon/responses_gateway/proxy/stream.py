"""The stream of a flow that the gateway serves: what has to happen below mitmproxy's hooks.

It sends heartbeats, keeps time limits, ends the answer when the upstream broke it off, sends further requests within
one answer, and stops the upstream when the client leaves. What is sent comes from the `Turn` of the flow.
"""

from typing import Protocol

from mitmproxy import flow
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnectionCompleted, HttpStream
from mitmproxy.proxy.layers.http._events import (
    HttpEvent,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook

from responses_gateway.proxy.answer_writer import AnswerWriter
from responses_gateway.proxy.contract import MAX_WHOLE_ANSWER, Failure, Gateway, GatewayRoundHook, Limits, RoundEnd
from responses_gateway.proxy.guard import GuardedTurn
from responses_gateway.proxy.limited_stream import LimitedStream
from responses_gateway.proxy.stream_events import CheckClient, EndTurn, ReadDone, TimerFired
from responses_gateway.proxy.time_limits import NEVER, Step, TurnTimer
from responses_gateway.proxy.upstream_round import RoundLayer, UpstreamRound

type Commands = layer.CommandGenerator[None]

MAX_ERROR_BODY = 1 << 20
"""Bytes of the body of an upstream's error response; the rest of a longer one is not waited for."""


class StreamLayer(RoundLayer, Protocol):
    """What a stream needs of the HTTP layer that it belongs to."""

    def schedule_read_done(self, stream: HttpStream) -> None:
        """Send `ReadDone` to the stream when the event at hand has been dealt with."""

    def due_changed(self) -> None:
        """The stream may be due earlier than it was."""

    def client_left(self) -> Commands:
        """The client no longer reads what it is sent."""


class GatewayStream(LimitedStream):
    """One request and its answer: decides what each event means for the turn of the flow.

    Until the request hook has made a turn, and for flows without one, everything is left to mitmproxy.
    """

    def __init__(self, context: Context, stream_id: int, parent: StreamLayer, gateway: Gateway) -> None:
        super().__init__(context, stream_id, gateway)
        self._parent = parent
        self._turn: GuardedTurn | None = None
        self._timer = TurnTimer(Limits(0, 0, 0, 0))
        self._current_step: Step = "done"
        self._round = UpstreamRound(self, parent, gateway)
        self._answer = AnswerWriter(self)
        self._hook: GatewayRoundHook | None = None
        self._untranslated: list[bytes] = []
        """Pieces of a streamed body that came with the read at hand."""
        self._body = bytearray()
        """What has come of a body that is buffered."""

    # Time -------------------------------------------------------------------------------------------------------------

    @property
    def _step(self) -> Step:
        return self._current_step

    @_step.setter
    def _step(self, step: Step) -> None:
        self._current_step = step
        self._parent.due_changed()

    @property
    def is_serving(self) -> bool:
        """Whether a turn is served here, or its upstream has not ended its message."""
        return self._step != "done"

    @property
    def due(self) -> float:
        """When the next `TimerFired` is needed, as of time.monotonic()."""
        turn = self._turn
        if turn is None or self._step == "done":
            return NEVER
        due = self._timer.deadline(self._step, turn).due
        if self._step != "draining":
            if turn.streams:
                due = min(due, self._timer.heartbeat_due, self._timer.news_due)
            if turn.crashed:
                due = 0.0
        return due

    @property
    def is_draining(self) -> bool:
        """Whether the client has its whole answer, but the upstream has not ended its HTTP message."""
        return self._step == "draining"

    @property
    def _is_answered(self) -> bool:
        return self._step in ("done", "draining")

    def _timer_fired(self, turn: GuardedTurn, now: float) -> Commands:
        self._timer.check_progress(turn)
        deadline = self._timer.deadline(self._step, turn)
        if now < deadline.due:
            if turn.streams and now >= self._timer.heartbeat_due:
                yield from self._send(turn, turn.heartbeat())
            elif turn.streams and now >= self._timer.news_due:
                self._timer.awaits_news(turn)
                yield from self._send(turn, turn.told())
            return
        yield from self._close_round()
        if self._step == "draining":
            self._step = "done"
        elif deadline.failure.cause == "turn_timeout":
            turn.fail(deadline.failure)
            yield from self._conclude(turn)
        elif self._step == "streaming" and turn.settled:
            yield from self._finish_round(turn)
        elif self._step == "buffering error":
            yield from self._body_complete(turn)
        else:
            yield from self._fail(turn, self._round.blame(deadline.failure))

    # Events -----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: events.Event) -> Commands:
        """Collect the pieces of a streamed body that come in one read; they are translated as one."""
        if isinstance(event, ResponseHeaders) and event.stream_id == self._round.id:
            if "chunked" in event.response.headers.get("transfer-encoding", "").lower():
                self._round.begin_fast_path(self)
        elif isinstance(event, ResponseData) and self.may_translate(event.stream_id):
            return self._collect(event.data)
        return super().handle_event(event)

    def _collect(self, data: bytes) -> Commands:
        if not self._untranslated:
            self.read_done()
        self._untranslated.append(data)
        yield from ()

    def _handle_event(self, event: events.Event) -> Commands:
        yield from self._handle(event)
        turn = self._turn
        if turn is not None and turn.crashed and not self._is_answered:
            yield from self._close_round()
            yield from self._conclude(turn)

    def _handle(self, event: events.Event) -> Commands:
        turn = self._turn
        if turn is None:
            yield from super()._handle_event(event)
        elif isinstance(event, HttpEvent):
            if event.stream_id == self._round.id:
                yield from self._upstream(turn, event)
            elif event.stream_id == self.stream_id and isinstance(event, RequestProtocolError):
                yield from self._client_left(event)
        elif isinstance(event, ReadDone):
            yield from self._translate_read(turn)
        elif isinstance(event, TimerFired):
            yield from self._timer_fired(turn, event.now)
        elif isinstance(event, CheckClient):
            if self._answer.began and not self._is_answered:
                yield from self._check_client(turn)
        elif isinstance(event, EndTurn):
            if self._step != "draining":
                yield from self._close_round()
                turn.fail(Failure(event.cause))
                yield from self._conclude(turn)
        elif isinstance(event, GetHttpConnectionCompleted):
            if self._round.completes(event.command):
                yield from self._connected(turn, *event.reply)
        elif isinstance(event, events.HookCompleted) and self._hook is not None and event.command is self._hook:
            yield from self._decided(turn, self._hook.data)

    def _upstream(self, turn: GuardedTurn, event: HttpEvent) -> Commands:
        yield from self._translate_read(turn)
        if event.stream_id != self._round.id:
            return
        if isinstance(event, ResponseEndOfMessage | ResponseProtocolError):
            yield from self._round.ended()
        match self._step, event:
            case "streaming", ResponseEndOfMessage():
                yield from self._finish_round(turn)
            case "streaming", ResponseData():
                self._untranslated.append(event.data)
                yield from self._translate_read(turn)
            case "awaiting answer", ResponseHeaders():
                yield from self._answer_begins(turn, event)
            case "buffering" | "buffering error", ResponseData():
                yield from self._buffer(turn, event.data)
            case "buffering" | "buffering error", ResponseEndOfMessage():
                yield from self._body_complete(turn)
            case "draining", ResponseEndOfMessage() | ResponseProtocolError():
                self._step = "done"
            case "awaiting answer", ResponseProtocolError() if self._round.may_retry:
                yield commands.Log("The upstream has closed a kept connection: the request is sent again on a new one.")
                yield from self._connect(turn, is_retry=True)
            case _, ResponseProtocolError():
                yield from self._fail(turn, Failure("broken", event.message))

    def _client_left(self, event: RequestProtocolError) -> Commands:
        was_answered = self._is_answered
        yield from self._close_round()
        self._step = "done"
        if not was_answered:
            self.client_state = self.state_errored
            self.flow.error = flow.Error(event.message)
            yield HttpErrorHook(self.flow)
            self.flow.live = False
            yield DropStream(self.stream_id)

    def _check_client(self, turn: GuardedTurn) -> Commands:
        if heartbeat := turn.heartbeat():
            yield from self._send(turn, heartbeat)
        else:
            # There is nothing to send. A client that ends its side in the middle of an answer has most often left.
            yield from self._parent.client_left()

    # Pieces of a streamed answer; the fast path uses the last four methods (`AnswerStream`) ---------------------------

    def _translate_read(self, turn: GuardedTurn) -> Commands:
        data, self._untranslated = b"".join(self._untranslated), []
        if self._step != "streaming":
            return
        yield from self._send(turn, self.translate(data) if data else b"")
        if self._step != "streaming":
            return
        if turn.round_over:
            yield from self._close_round()
            yield from self._ask(turn)
        elif turn.settled and self._timer.answer_ends():
            self._parent.due_changed()

    def may_translate(self, round_id: int) -> bool:
        """Whether the next piece of the round's body can be translated right now, without an event of the layer."""
        in_round = self._current_step == "streaming" and round_id == self._round.id
        return in_round and self._answer.began and self._paused is None

    def translate(self, data: bytes) -> bytes:
        """Translate a piece of the upstream's body; returns what the client gets."""
        turn = self._turn
        assert turn is not None  # noqa: S101 (only a turn can be "streaming")
        out = turn.feed(data)
        self._timer.fed(turn, out)
        return out

    @property
    def flows(self) -> bool:
        """Whether the answer just goes on. If not, an event has to tell the layer."""
        return self._turn is not None and self._turn.flows

    def read_done(self) -> None:
        """Look at the turn when the event at hand, which may bring more, has been dealt with."""
        self._parent.schedule_read_done(self)

    # Rounds -----------------------------------------------------------------------------------------------------------

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """mitmproxy asks for the connection when the request is complete. From here on, a turn is served here."""
        turn = self._gateway.turn(self.flow)
        if turn is None:
            return (yield from super().make_server_connection())
        self._turn = guarded = GuardedTurn(turn, self._gateway.error_response)
        self._timer = TurnTimer(guarded.limits)
        yield from self._connect(guarded)
        return False

    def _connect(self, turn: GuardedTurn, *, is_retry: bool = False) -> Commands:
        """Get a connection for a round; `is_retry`: the same round's request was lost."""
        self._step = "connecting"
        self._timer.next_step()
        self._body = bytearray()
        request = turn.request
        if not turn.crashed:
            yield from self._round.connect(request, is_retry=is_retry)

    def _connected(self, turn: GuardedTurn, connection: Connection | None, error: str | None) -> Commands:
        if connection is None:
            yield from self._fail(turn, self._round.blame(Failure("refused", error or "")))
            return
        self._step = "awaiting answer"
        self._timer.next_step()
        yield from self._round.send(connection)

    def _answer_begins(self, turn: GuardedTurn, event: ResponseHeaders) -> Commands:
        response = event.response
        if (refusal := self._round.refusal(response.status_code)) is not None:
            yield from self._fail(turn, refusal)
            return
        if not self._answer.began:
            self.flow.response = response
        is_streamed = turn.begin(response.status_code, response.headers)
        self._timer.answer_begins(turn)
        if is_streamed:
            self._step = "streaming"
            if not self._answer.began:
                yield from self._send_head(turn)
        else:
            self._step = "buffering" if 200 <= response.status_code < 300 else "buffering error"

    def _buffer(self, turn: GuardedTurn, data: bytes) -> Commands:
        self._timer.buffered(data)
        self._body += data
        if self._step == "buffering error" and len(self._body) >= MAX_ERROR_BODY:
            yield from self._close_round()
            yield from self._body_complete(turn)
        elif len(self._body) > MAX_WHOLE_ANSWER:
            yield from self._fail(turn, Failure("too_large", f"it is longer than {MAX_WHOLE_ANSWER >> 20} MiB"))

    def _body_complete(self, turn: GuardedTurn) -> Commands:
        turn.take(bytes(self._body))
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
        self._step = "awaiting decision"
        if self._answer.began:
            self._timer.awaits_news(turn)
        self._parent.due_changed()
        self._hook = GatewayRoundHook(RoundEnd(self.flow, turn))
        self._hook.blocking = self  # type: ignore[assignment]  # not True, as in `UpstreamRound.connect`
        yield self._hook

    def _decided(self, turn: GuardedTurn, decision: RoundEnd) -> Commands:
        self._hook = None
        if self._step != "awaiting decision":
            return
        yield from self._send(turn, turn.told())
        if self._step != "awaiting decision":
            return
        if decision.again:
            yield from self._connect(turn.succeeded_by(decision.successor))
        else:
            yield from self._conclude(turn)

    def _close_round(self) -> Commands:
        """Stop whatever the upstream, or the addon's hook, is doing for this stream."""
        self._hook = None
        yield from self._round.close()

    # The answer to the client -----------------------------------------------------------------------------------------

    def _send_head(self, turn: GuardedTurn) -> Commands:
        head = turn.head()
        if turn.crashed:
            return
        if not (yield from self._answer.send_head(head)):
            yield from self._close_round()
            self._step = "done"

    def _send(self, turn: GuardedTurn, data: bytes) -> Commands:
        """Send a piece of a streamed answer, if there is one; end the answer if that was the last."""
        if data:
            if not self._answer.began:
                yield from self._send_head(turn)
                if self._step == "done" or not self._answer.began:
                    return
            self._timer.sent_to_client()
            yield self._answer.piece(data)
        if turn.ended:
            yield from self._end_answer()
        elif turn.is_storing and self._hook is None and self._step != "done":
            yield from self._ask(turn)

    def _conclude(self, turn: GuardedTurn) -> Commands:
        """End the answer; no round follows."""
        if self._answer.began:
            yield from self._send(turn, turn.end())
            # While the hook runs, the answer is being stored: its end comes with `_decided`.
            if not self._is_answered and self._hook is None:
                yield from self._end_answer()
            return
        self._step = "done"
        response = turn.answer()
        yield from self._answer.send_whole(response, turn.presentable(response.raw_content or b""))

    def _end_answer(self) -> Commands:
        self._timer.answer_ends()
        self._step = "done" if self._round.id is None else "draining"
        yield from self._answer.end()
