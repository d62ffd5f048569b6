"""The proxy layer below the hooks: the streams of a client's connection, their clock, and the ways of their bytes."""

import itertools
import time
from collections.abc import Iterator

from mitmproxy import http
from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    HttpClient,
    HttpLayer,
    HTTPMode,
    HttpStream,
    RegisterHttpConnection,
)
from mitmproxy.proxy.layers.http._base import HttpConnection
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Server
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.proxy.client_connection import GatewayHttp1Server
from responses_gateway.proxy.clock import NEVER
from responses_gateway.proxy.contract import Gateway, PassedBy, ShutDown
from responses_gateway.proxy.passage import Passage
from responses_gateway.proxy.stream import End, Fed, GatewayStream, Tick

type Commands = layer.CommandGenerator[None]

_EPSILON = 0.001


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


class GatewayLayer(HttpLayer):
    """mitmproxy's HttpLayer with our streams, a clock for them, and errors in the gateway's own form."""

    def __init__(self, context: Context, gateway: Gateway) -> None:
        super().__init__(context, HTTPMode.transparent)
        self._gateway = gateway
        self._alarms: dict[commands.RequestWakeup, float] = {}
        self._round_ids = itertools.count(-1, -1)
        self._fed: list[GatewayStream] = []
        self._passages: dict[Connection, Passage] = {}
        self._retimed = False

    def make_stream(self, stream_id: int) -> Commands:
        stream = GatewayStream(self.context.fork(), stream_id, self, self._gateway)
        self.streams[stream_id] = stream
        yield from self.event_to_child(stream, events.Start())

    def passage(self, connection: Connection) -> Passage | None:
        """The short way from an upstream connection; None if it has none."""
        return self._passages.get(connection)

    def register_connection(self, command: RegisterHttpConnection) -> Commands:
        if command.err is None:
            self._open_passage(command.connection)
        yield from super().register_connection(command)

    def _open_passage(self, connection: Connection) -> None:
        around, inner = None, self.connections[connection]
        while isinstance(inner, tunnel.TunnelLayer):
            around, inner = inner, inner.child_layer
        upstream = inner.child_layer if isinstance(inner, HttpClient) else None
        client = self.connections[self.context.client]
        if not isinstance(upstream, Http1Client) or not isinstance(client, GatewayHttp1Server):
            return
        self._passages[connection] = passage = Passage(upstream, client, self.fed)
        if around is None:
            self.connections[connection] = passage
        else:
            around.child_layer = passage
        if shortcut := self._gateway.shortcut(connection):
            shortcut.passage = passage

    def open_round(self, stream: GatewayStream) -> int:
        """A stream id for one upstream round: what comes late from an earlier one cannot be taken for it."""
        round_id = next(self._round_ids)
        self.streams[round_id] = stream
        return round_id

    def fed(self, stream: GatewayStream) -> None:
        """`stream` has got data; it is told when the event at hand, which may bring more, has been dealt with."""
        self._fed.append(stream)

    def retimed(self) -> None:
        """A stream may be due earlier than it was."""
        self._retimed = True

    def give_up(self, attempt: GetHttpConnection) -> Commands:
        """Stop a connection attempt that no other stream waits for."""
        for connection, waiting in self.waiting_for_establishment.items():
            if len(waiting) == 1 and waiting[0] is attempt:
                yield commands.CloseConnection(connection)
                return

    def close_leftovers(self) -> Commands:
        """Close connections on which an answer is still running out: HTTP/1 cannot take the next request."""
        for stream in set(self.streams.values()):
            if isinstance(stream, GatewayStream) and stream.running_out:
                yield from self.event_to_child(stream, Tick(NEVER))

    def handle_event(self, event: events.Event) -> Commands:
        """Nothing ever pauses this layer, only its streams: it needs no queue for what comes meanwhile."""
        return self._handle_event(event)

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.DataReceived) and event.connection in self.connections:
            yield from self.event_to_child(self.connections[event.connection], event)
        elif isinstance(event, events.Wakeup) and event.command in self._alarms:
            del self._alarms[event.command]
            self._retimed = True
            for stream in self._timed():
                yield from self.event_to_child(stream, Tick(time.monotonic()))
        elif isinstance(event, ShutDown | PassedBy):
            for stream in self._timed():
                if stream.flow is event.flow:
                    yield from self.event_to_child(stream, End() if isinstance(event, ShutDown) else Fed())
        elif not (isinstance(event, events.ConnectionEvent) and self._is_forgotten(event.connection)):
            if isinstance(event, events.Start) and self.context.client.alpn != b"h2":
                server = GatewayHttp1Server(self.context.fork(), self._gateway.error_response)
                self.connections.setdefault(self.context.client, server)
            yield from super()._handle_event(event)
        while self._fed:
            yield from self.event_to_child(self._fed.pop(), Fed())
        if self._retimed:
            self._retimed = False
            yield from self._set_alarm()

    def _timed(self) -> list[GatewayStream]:
        streams = dict.fromkeys(self.streams.values())
        return [stream for stream in streams if isinstance(stream, GatewayStream) and stream.due < NEVER]

    def _is_forgotten(self, connection: Connection) -> bool:
        return connection not in self.connections and connection != self.context.server

    def forget_closed(self) -> None:
        """mitmproxy keeps every connection for as long as the client's lasts, and failed ones answer for new ones."""
        kept = {self.context.server, *self.waiting_for_establishment}
        kept.update(stream.context.server for stream in self.streams.values())
        for connection in list(self.connections):
            if isinstance(connection, Server) and not connection.connected and connection not in kept:
                del self.connections[connection]
                self._passages.pop(connection, None)

    def _set_alarm(self) -> Commands:
        due = min((stream.due for stream in self._timed()), default=NEVER)
        if due < NEVER and all(alarm > due + _EPSILON for alarm in self._alarms.values()):
            command = commands.RequestWakeup(max(0.0, due - time.monotonic()) + _EPSILON)
            self._alarms[command] = due
            yield command

    def event_to_child(self, child: layer.Layer | HttpStream, event: events.Event) -> Commands:
        if isinstance(event, ResponseProtocolError) and isinstance(child, HttpConnection):
            status = event.code.http_status_code()
            if status is not None and child.conn == self.context.client and _untouched(child, event.stream_id):
                return self._refuse(child, event)
        if isinstance(event, ResponseData) and isinstance(child, GatewayHttp1Server):
            # Straight to the point: this way is taken for every piece of every stream, and nothing on it can wait.
            return child.send(event)
        return super().event_to_child(child, event)

    def _refuse(self, client: HttpConnection, event: ResponseProtocolError) -> Commands:
        """Send what is wrong in the gateway's form instead of mitmproxy's."""
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


def _untouched(connection: HttpConnection, stream_id: int) -> bool:
    """Whether a client can still be sent the head of a response."""
    if isinstance(connection, Http1Server):
        return connection.response is None and bool(connection.conn.state & ConnectionState.CAN_WRITE)
    if isinstance(connection, Http2Server) and connection.is_open_for_us(stream_id):
        return not connection.h2_conn.streams[stream_id].state_machine.headers_sent
    return False
