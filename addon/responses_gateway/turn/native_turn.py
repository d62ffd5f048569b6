"""Serves a call for a target that speaks the Responses API itself: what passes is not translated.

What comes of the target is passed on byte by byte, event by event. As long as nothing of an answer was passed on, the
request may be sent again, or go elsewhere; where chat/completions is spoken, a `ServedTurn` takes over.
"""

from collections.abc import Mapping, Sequence

from mitmproxy import http

from responses_gateway.protocol import encoding, sse
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import MAX_WHOLE_ANSWER, Failure
from responses_gateway.proxy.guard import MESSAGE
from responses_gateway.security.header_fields import is_safe
from responses_gateway.security.redaction import ErrorRedactor
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.upstream_errors import upstream_error
from responses_gateway.turn.error_response import error_response
from responses_gateway.turn.ledger_header import ledger_header
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.native_stream import NativeStream
from responses_gateway.turn.opening import is_codex
from responses_gateway.turn.recovery.failure_errors import failure_error, server_error
from responses_gateway.turn.recovery.fallback import Fallback, note_switch
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.recovery.resting_upstream import RestingUpstream
from responses_gateway.turn.recovery.retry import Retry
from responses_gateway.turn.relay_turn import NOT_PASSED_ON
from responses_gateway.turn.served_turn import ANSWERED, EVENT_STREAM, FINAL, ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.routing import Route
from responses_gateway.upstream.spoken_apis import NO_SUCH_PATH

_KEEP_ALIVE = sse.encode({"type": "keepalive"})
"""An event that OpenAI's API sends in long silences. Codex does not count comments as a sign of life."""

_COMMENT = b": keep-alive\n\n"
"""For the others, who may not know that event."""


class NativeTurn:
    """Serves one `NativeRequest`; `contract.Turn` for the proxy layer."""

    is_storing = False

    def __init__(self, native: NativeRequest, client_headers: Mapping[str, str], services: TurnServices) -> None:
        """`client_headers` have lower-case names. Raises GatewayError when the upstream is not to be asked now."""
        self.native = native
        self.limits = services.settings.time_limits
        self.ended = False
        self.successor: ServedTurn | None = None
        """What serves the flow from the next round on, when that one is translated."""

        self._client_headers = client_headers
        self._services = services
        self._for_codex = is_codex(client_headers)
        self._errors = ErrorRedactor(native.redactor)
        self._retry = Retry(native.ledger, services)
        self._fallback = Fallback(native.owner, services)
        is_final = native.streams and self._for_codex
        self._upstream_health = RestingUpstream(
            native.owner, lambda: self.native.route, services.health, for_codex=is_final
        )
        resting = self._upstream_health.fault()
        if resting is not None and services.settings.fallback is None:
            raise self._upstream_health.final(resting.error)

        self._fault: RoundFault | None = None
        self._over = False
        """Whether no further round can follow."""

        self._status = 0
        self._headers: dict[str, str] = {}
        self._passed_on: list[tuple[str, str]] = []
        """Header fields of the upstream that the client gets."""

        self._body: bytes | None = None
        """The whole answer of the upstream, be it an error."""

        self._told: JsonObject | None = None
        """The response of which its maker is noted."""

        self._stream = self._new_stream()
        self.request = self._begin_round()
        """What is sent to the upstream in the next round."""

    def _new_stream(self, content_encoding: str = "") -> NativeStream:
        return NativeStream(content_encoding, self._errors)

    def _begin_round(self) -> http.Request:
        native = self.native
        headers, content = native.headers(self._client_headers), native.content
        hidden = [*map(str.lower, native.route.own_headers)]
        native.observer.round_began(native.url, headers, content, native.route.secrets, hidden)
        return messages.request("POST", native.url, headers, content)

    # How far the turn is ----------------------------------------------------------------------------------------------

    @property
    def model(self) -> str | None:
        """The model that the client asked for."""
        return self.native.model

    @property
    def ledger(self) -> Ledger:
        return self.native.ledger

    @property
    def streams(self) -> bool:
        return self.native.streams

    @property
    def settled(self) -> bool:
        return self._stream.is_over

    @property
    def round_over(self) -> bool:
        return self._fault is not None

    @property
    def flows(self) -> bool:
        return not (self._stream.is_over or self._fault is not None)

    @property
    def content(self) -> int:
        return self._stream.events

    @property
    def keep_alives(self) -> int:
        return self._stream.keep_alives

    # The upstream's answer --------------------------------------------------------------------------------------------

    def begin(self, status: int, headers: http.Headers) -> bool:
        self._status, self._body = 200 if status in ANSWERED else status, None
        self._headers = messages.read(headers)
        clean = self.native.redactor.clean_text
        self._passed_on = [
            (name, clean(value))
            for name, value in headers.items(multi=True)
            if name.lower() not in NOT_PASSED_ON and is_safe(name, value)
        ]
        self.native.observer.round_answered(status, self._headers)
        is_document = self._headers.get("content-type", "").startswith("application/json")
        if self._status != 200 or not self.streams or is_document:
            return False
        try:
            self._stream = self._new_stream(self._headers.get("content-encoding", ""))
        except ValueError as error:
            self._fault = self._unreadable(error)
            return False
        return True

    def feed(self, data: bytes) -> bytes:
        self.native.observer.received(data)
        try:
            return self._passed(*self._stream.feed(data))
        except (sse.FrameTooLong, *encoding.ERRORS) as error:
            self._fault = self._unreadable(error)
            return b""

    def finish(self) -> bytes:
        rest = self._passed(*self._stream.finish())
        if self._stream.is_over:
            # The end of the message waits until a conversation has the turn.
            self.ended = self.native.conversation is None
        else:
            self.fail(Failure("broken", "the stream ended without its last event"))
        return rest

    def _passed(self, data: bytes, events: Sequence[JsonObject]) -> bytes:
        """Note what the client gets, and return it."""
        if self._stream.is_cut:
            self.ledger.add("dropped", "output", "more events came behind the last one")
        if self._stream.response is not self._told:
            self._upstream_health.worked()
            self._told = self._stream.response
            self.native.made(self._told or {})
        self.native.watch(events)
        self.native.observer.sent(data, events)
        if self._stream.is_over and self._stream.response is not None:
            self.native.ended(self._stream.response, self._stream.done_items)
        return data

    def take(self, body: bytes) -> None:
        self.native.observer.received(body)
        try:
            body = encoding.decode(body, self._headers.get("content-encoding", ""), MAX_WHOLE_ANSWER)
        except (ValueError, *encoding.ERRORS) as error:
            self._fault = self._unreadable(error)
            return
        if self._fault is not None:
            return
        self._body = self._errors.whole(self._status, body)
        if 300 <= self._status < 400:
            # The client is not to follow it: its key is for this gateway.
            self._body = None
            self._fault = RoundFault(server_error(502, f"{self._upstream} redirects (HTTP {self._status})."))
        elif self._status != 200:
            self._fault = RoundFault.of_refusal(self._refusal(body), self._status, self._headers, body)
        elif isinstance(response := _parsed(body), dict):
            self._upstream_health.worked()
            self.native.made(response)
            self.native.watch(_events_of(body))
            self.native.ended(response, ())

    def _refusal(self, body: bytes) -> GatewayError:
        route = self.native.route
        error = upstream_error(
            self._status,
            self._headers,
            body,
            upstream=route.profile.name,
            credential=route.credential,
            codex=self._for_codex,
        )
        error.message = self.native.redactor.clean_text(error.message)
        return error

    def _unreadable(self, error: Exception) -> RoundFault:
        return RoundFault(server_error(502, f"{self._upstream} sent an answer that cannot be read: {error}."))

    def fail(self, failure: Failure) -> None:
        error = failure_error(failure, self._upstream, self.native.route.base_url)
        self.native.observer.round_ended(error.message, failure)
        self._fault, self._body = RoundFault.of_connection(error, failure), None
        # An answer whose end has come is complete, whatever broke after it.
        self._over = self._over or failure.cause in FINAL or self._stream.is_over

    # The client's answer ----------------------------------------------------------------------------------------------

    def heartbeat(self) -> bytes:
        data = _KEEP_ALIVE if self._for_codex else _COMMENT
        self.native.observer.sent(data, ())
        return data

    def told(self) -> bytes:
        return b""

    def head(self) -> http.Response:
        response = messages.response(200)
        if self._status == 200 and self._passed_on:
            response.headers = messages.headers(self._fields())
        else:
            response.headers = messages.headers(EVENT_STREAM.items())
        response.headers["transfer-encoding"] = "chunked"
        response.stream = True
        return response

    def _fields(self) -> list[tuple[str, str]]:
        fields = [(name, value) for name, value in self._passed_on if name.lower() != "content-encoding"]
        return [*fields, *ledger_header(self.ledger).items()]

    def end(self) -> bytes:
        """What ends a stream that the upstream did not end: its answer in one piece, or the error."""
        self.ended = True
        if self._stream.is_over:
            return b""
        if self._fault is None and (events := _events_of(self._body)):
            return self._made(events)
        return self._failed(self._error)

    def last_words(self) -> bytes:
        return self._failed(GatewayError(MESSAGE, 500, "server_error", type="server_error"))

    def _failed(self, error: GatewayError) -> bytes:
        return self._made(self._stream.failed(error, self.native.new_response, codex=self._for_codex))

    def _made(self, events: Sequence[JsonObject]) -> bytes:
        """Events of our own."""
        data = sse.encode_all(events) + sse.DONE
        self.native.watch(events)
        self.native.observer.sent(data, events)
        return data

    def answer(self) -> http.Response:
        if self._body is None:
            return error_response(self._error)
        response = messages.response(self._status)
        response.headers = messages.headers(self._fields())
        response.raw_content = self._body
        response.headers["content-length"] = str(len(self._body))
        return response

    def presentable(self, body: bytes) -> bytes:
        return self.native.observer.clean(body)

    @property
    def _upstream(self) -> str:
        return self.native.route.profile.name

    @property
    def _error(self) -> GatewayError:
        if self._fault is not None:
            return self._fault.error
        return server_error(502, f"{self._upstream} answered with something that is no response.")

    # Further rounds ---------------------------------------------------------------------------------------------------

    async def next_round(self) -> bool:
        """Whether `request` is to be sent again, or that of `successor`; they are made for the next round then."""
        fault = self._fault
        if fault is None or self._over or self.ended or self._stream.events:
            await self.native.stored()
            return False
        if not await self._recovers(fault) or self._over:
            return False
        self._fault, self._body, self._stream = None, None, self._new_stream()
        if self.successor is None:
            self.request = self._begin_round()
        else:
            self.request = self.successor.request
        return True

    async def _recovers(self, fault: RoundFault) -> bool:
        """Whether another round may do better; decides where it goes."""
        before = self.native.route
        if self._has_no_api(fault):
            runtime = self.native.runtime
            runtime.apis.note_chat(self.native.owner, before, runtime.state.storage)
            why = f"{self._upstream} has no Responses API (HTTP {self._status}): asked by chat/completions from now on"
            self.native.ledger.add("learnt", "api", why)
            return await self._translate(before)
        health = self._upstream_health
        rest = health.failed(fault)
        if rest is None and await self._retry.wait(fault, health.faults):
            return True
        route = self._fallback.route(fault, before)
        if route is None or not await self._go_to(route):
            if rest is not None:
                health.explain(fault.error, rest)
                self._body = None
            return False
        note_switch(self.native.ledger, before, route, fault)
        health.replaced(before)
        self._retry.reset()
        return True

    def _has_no_api(self, fault: RoundFault) -> bool:
        """Whether the target, of which it was not known, has refused the path and not the request."""
        is_path = self._status in NO_SUCH_PATH and fault.error.code != "model_not_found"
        return self.native.route.api == "auto" and self._body is not None and is_path

    async def _go_to(self, route: Route) -> bool:
        """Prepare for another target; False when it cannot take the request."""
        runtime = self.native.runtime
        if await runtime.apis.api(self.native.owner, route, runtime.state.storage) != "chat":
            self.native.reroute(route)
            return True
        return await self._translate(route)

    async def _translate(self, route: Route) -> bool:
        """Let the next round be translated; False when that is not possible."""
        if self.native.translate is None:
            return False
        try:
            exchange = await self.native.translate(route, self.native.ledger)
            exchange.go_on_for(self.native.observer)
            self.successor = ServedTurn(exchange, self._client_headers, self._services)
        except GatewayError as error:
            self.native.ledger.add("dropped", "fallback", error.message)
            return False
        return True


def successor_of(turn: ServedTurn | NativeTurn) -> ServedTurn | NativeTurn | None:
    """What serves the flow of `turn` from the next round on; None: `turn` itself."""
    if isinstance(turn, NativeTurn):
        return turn.successor
    if turn.passed_on is None:
        return None
    turn.passed_on.observer = turn.exchange.observer
    return NativeTurn(turn.passed_on, turn.client_headers, turn.services)


def _parsed(body: bytes) -> object:
    try:
        return loads(body)
    except (ValueError, RecursionError):
        return None


def _events_of(body: bytes | None) -> list[JsonObject]:
    """The events that a whole response stands for; none when it is no response."""
    response = _parsed(body) if body else None
    if not isinstance(response, dict) or response.get("object") != "response":
        return []
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    kind = response.get("status") if response.get("status") in ("incomplete", "failed") else "completed"
    return [
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {"type": f"response.{kind}", "sequence_number": 1, "response": response},
    ]
