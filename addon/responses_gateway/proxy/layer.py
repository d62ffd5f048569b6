"""The HTTP layer of the gateway, which takes the place of mitmproxy's in reverse proxies for HTTP, and in proxies."""

import itertools
import time
from collections.abc import Iterator

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._base import HttpConnection
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.proxy.client_connection import GatewayHttp1Server
from responses_gateway.proxy.contract import AnswerChanged, ClientLeft, Gateway, StopTurn
from responses_gateway.proxy.private_parts import CLIENT_WATCH, missing_parts
from responses_gateway.proxy.stream import GatewayStream
from responses_gateway.proxy.stream_events import CheckClient, EndTurn, ReadDone, TimerFired
from responses_gateway.proxy.time_limits import NEVER
from responses_gateway.proxy.upstream_pool import UpstreamPoolLayer

type Commands = layer.CommandGenerator[None]

_EPSILON = 0.001
"""Seconds that a wakeup comes late, so that what it is for is due by then."""


def setup(context: Context, data_client: bytes, gateway: Gateway) -> layer.Layer | None:
    """The layers for a connection to a reverse proxy for HTTP, as mitmproxy's NextLayer builds them; None for others.

    `data_client` is what the client has sent so far.
    """
    mode = context.client.proxy_mode
    if not isinstance(mode, ReverseMode) or context.client.transport_protocol != "tcp":
        return None
    if mode.scheme not in ("http", "https"):
        return None
    stack = tunnel.LayerStack()
    if mode.scheme == "https":
        stack /= ServerTLSLayer(context)
    if data_client[:1] == b"\x16":  # a TLS handshake record
        stack /= ClientTLSLayer(context)
    stack /= GatewayLayer(context, gateway)
    return stack[0]


class GatewayLayer(UpstreamPoolLayer):
    """Brings events to the streams of a client's connection: of the wire, of time, and of the process.

    Errors that no stream sees are sent in the gateway's form.
    """

    def __init__(self, context: Context, gateway: Gateway, mode: HTTPMode = HTTPMode.transparent) -> None:
        super().__init__(context, gateway, mode)
        self._round_ids = itertools.count(-1, -1)
        self._wakeups: dict[commands.RequestWakeup, float] = {}
        """Those that were asked for, and when they come, as of time.monotonic()."""
        self._due_changed = False
        self._read_done: list[HttpStream] = []
        """The streams that get `ReadDone` after the event at hand."""

    def make_stream(self, stream_id: int) -> Commands:
        stream = GatewayStream(self.context.fork(), stream_id, self, self._gateway)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    # What streams ask -------------------------------------------------------------------------------------------------

    def open_round(self, stream: HttpStream) -> int:
        """A stream id for one round only: what comes late from an earlier one cannot be taken for it."""
        round_id = next(self._round_ids)
        self.streams[round_id] = stream
        return round_id

    def schedule_read_done(self, stream: HttpStream) -> None:
        """Send `ReadDone` to the stream when the event at hand, which may bring more, has been dealt with."""
        self._read_done.append(stream)

    def due_changed(self) -> None:
        """A stream may be due earlier than it was."""
        self._due_changed = True

    def client_left(self) -> Commands:
        """The client no longer reads what it is sent."""
        client = self.connections.get(self.context.client)
        if isinstance(client, GatewayHttp1Server):
            yield from self.event_to_child(client, ClientLeft())

    def close_draining(self) -> Commands:
        """Close connections whose answer is complete but whose HTTP message is not: HTTP/1 cannot use them again."""
        for stream in set(self.streams.values()):
            if isinstance(stream, GatewayStream) and stream.is_draining:
                yield from self.event_to_child(stream, TimerFired(NEVER))

    # Events -----------------------------------------------------------------------------------------------------------

    def handle_event(self, event: events.Event) -> Commands:
        """mitmproxy's would queue events while a layer is paused. Only streams are ever paused, never this layer."""
        return self._handle_event(event)

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.DataReceived) and event.connection in self.connections:
            yield from self.event_to_child(self.connections[event.connection], event)
        elif isinstance(event, events.Wakeup) and event.command in self._wakeups:
            del self._wakeups[event.command]
            self._due_changed = True
            for stream in self._serving():
                yield from self.event_to_child(stream, TimerFired(time.monotonic()))
        elif isinstance(event, StopTurn | AnswerChanged):
            for stream in self._serving():
                if stream.flow is event.flow:
                    told = EndTurn(event.cause) if isinstance(event, StopTurn) else ReadDone()
                    yield from self.event_to_child(stream, told)
            for tunnel_stream in self._tunnels():
                yield from self.event_to_child(tunnel_stream, event)
        elif isinstance(event, ClientLeft):
            yield from self.client_left()
        elif not (isinstance(event, events.ConnectionEvent) and self.is_forgotten(event.connection)):
            if isinstance(event, events.Start) and self.context.client.alpn != b"h2":
                self.connections.setdefault(self.context.client, self._client_connection())
            yield from super()._handle_event(event)
            if isinstance(event, events.ConnectionClosed) and event.connection is self.context.client:
                for stream in self._serving():
                    yield from self.event_to_child(stream, CheckClient())
        while self._read_done:
            yield from self.event_to_child(self._read_done.pop(), ReadDone())
        if self._due_changed:
            self._due_changed = False
            yield from self._request_wakeup()

    def _client_connection(self) -> GatewayHttp1Server:
        # Without the watch nothing tells a client that has left from one that has only sent its last byte.
        has_watch = isinstance(self.context.client.proxy_mode, ReverseMode) and not missing_parts(CLIENT_WATCH)
        return GatewayHttp1Server(self.context.fork(), self._gateway.error_response, may_half_close=has_watch)

    def _serving(self) -> list[GatewayStream]:
        """The streams that serve a turn."""
        streams = dict.fromkeys(self.streams.values())
        return [stream for stream in streams if isinstance(stream, GatewayStream) and stream.is_serving]

    def _tunnels(self) -> list[HttpStream]:
        """The streams of CONNECT requests, in which there is another layer of this kind, or none."""
        streams = dict.fromkeys(self.streams.values())
        return [stream for stream in streams if stream.child_layer and stream.flow.request.method == "CONNECT"]

    def _request_wakeup(self) -> Commands:
        due = min((stream.due for stream in self._serving()), default=NEVER)
        if due < NEVER and all(comes > due + _EPSILON for comes in self._wakeups.values()):
            command = commands.RequestWakeup(max(0.0, due - time.monotonic()) + _EPSILON)
            self._wakeups[command] = due
            yield command

    def event_to_child(self, child: layer.Layer | HttpStream, event: events.Event) -> Commands:
        if isinstance(event, ResponseProtocolError) and isinstance(child, HttpConnection):
            status = event.code.http_status_code()
            if status is not None and child.conn == self.context.client and _can_send_head(child, event.stream_id):
                return self._send_error(child, event)
        if isinstance(event, ResponseData) and isinstance(child, GatewayHttp1Server):
            # mitmproxy's method looks for commands that have to wait. This is done for every piece of every stream, and
            # `send` gives no such command.
            return child.send(event)
        return super().event_to_child(child, event)

    def _send_error(self, client: HttpConnection, event: ResponseProtocolError) -> Commands:
        """Send the client an error in the gateway's form, not in mitmproxy's."""
        self.streams.pop(event.stream_id, None)
        response = self._gateway.error_response(event.code.http_status_code() or 500, event.message)
        if event.code is ErrorCode.REQUEST_VALIDATION_FAILED:
            # Where one request ends and the next begins may be in doubt.
            response.headers["connection"] = "close"
        for part in _parts(event.stream_id, response):
            yield from self.event_to_child(client, part)


def _parts(stream_id: int, response: http.Response) -> Iterator[HttpEvent]:
    yield ResponseHeaders(stream_id, response, end_stream=False)
    yield ResponseData(stream_id, response.raw_content or b"")
    yield ResponseEndOfMessage(stream_id)


def _can_send_head(connection: HttpConnection, stream_id: int) -> bool:
    """Whether a client can still be sent the head of a response."""
    if isinstance(connection, Http1Server):
        return connection.response is None and bool(connection.conn.state & ConnectionState.CAN_WRITE)
    if isinstance(connection, Http2Server) and connection.is_open_for_us(stream_id):
        return not connection.h2_conn.streams[stream_id].state_machine.headers_sent
    return False
