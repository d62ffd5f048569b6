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
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Server
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.proxy.client_connection import GatewayHttp1Server
from responses_gateway.proxy.clock import NEVER
from responses_gateway.proxy.contract import ClientLeft, Gateway, PassedBy, ShutDown
from responses_gateway.proxy.passage import Passage
from responses_gateway.proxy.private_parts import missing_parts
from responses_gateway.proxy.stream import End, Fed, GatewayStream, GetFreshConnection, Probe, Tick
from responses_gateway.proxy.upstream_connection import GatewayHttp1Client

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
        self._http1: dict[Connection, GatewayHttp1Client] = {}
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
            yield from self._take_over(command.connection)
        yield from super().register_connection(command)

    def _take_over(self, connection: Connection) -> Commands:
        """Put our own layer in the place of mitmproxy's, for an HTTP/1 connection that was just established."""
        around, inner = self._innermost(connection)
        if not isinstance(inner, Http1Client):
            return
        ours: layer.Layer
        ours = self._http1[connection] = upstream = GatewayHttp1Client(inner.context)
        yield from self.event_to_child(upstream, events.Start())
        client = self.connections[self.context.client]
        if isinstance(client, GatewayHttp1Server) and not missing_parts():
            ours = self._passages[connection] = passage = Passage(upstream, client, self.fed)
            if shortcut := self._gateway.shortcut(connection):
                shortcut.passage = passage
        if around is None:
            self.connections[connection] = ours
        else:
            around.child_layer = ours

    def _innermost(self, connection: Connection) -> tuple[tunnel.TunnelLayer | None, layer.Layer]:
        """The layer that speaks HTTP on an upstream connection, and the one around it, if there is one."""
        around, inner = None, self.connections[connection]
        while isinstance(inner, tunnel.TunnelLayer):
            around, inner = inner, inner.child_layer
        return around, inner.child_layer if isinstance(inner, HttpClient) else inner

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        """Hand out no idle connection on which the upstream has sent something, or its end, meanwhile."""
        for connection, upstream in self._http1.items():
            if not connection.connected or upstream.stream_id is not None:
                continue
            if isinstance(event, GetFreshConnection) or self._has_unread(connection):
                yield commands.CloseConnection(connection)
        yield from super().get_connection(event, reuse=reuse)

    def _has_unread(self, connection: Connection) -> bool:
        shortcut = self._gateway.shortcut(connection)
        return shortcut is not None and shortcut.has_unread

    def was_kept_in_vain(self, connection: Connection) -> bool:
        """Whether an upstream has closed a connection that had served before, with no answer to the request at hand.

        The head of that answer, for HTTP/2, must not have come; for HTTP/1, not a byte.
        """
        if connection.connected or connection not in self.connections:
            return False
        if upstream := self._http1.get(connection):
            return upstream.was_kept_in_vain
        _, inner = self._innermost(connection)
        return isinstance(inner, Http2Client) and len(inner.our_stream_id) > 1

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

    def client_left(self) -> Commands:
        """The client reads no more."""
        client = self.connections.get(self.context.client)
        if isinstance(client, GatewayHttp1Server):
            yield from self.event_to_child(client, ClientLeft())

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
        elif isinstance(event, ClientLeft):
            yield from self.client_left()
        elif not (isinstance(event, events.ConnectionEvent) and self._is_forgotten(event.connection)):
            if isinstance(event, events.Start) and self.context.client.alpn != b"h2":
                server = GatewayHttp1Server(self.context.fork(), self._gateway.error_response)
                self.connections.setdefault(self.context.client, server)
            yield from super()._handle_event(event)
            if isinstance(event, events.ConnectionClosed) and event.connection is self.context.client:
                for stream in self._timed():
                    yield from self.event_to_child(stream, Probe())
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
            # One that is closed on one side only has its end still to come, and a socket that has to be closed then.
            closed = isinstance(connection, Server) and connection.state is ConnectionState.CLOSED
            if closed and connection not in kept:
                del self.connections[connection]
                self._passages.pop(connection, None)
                self._http1.pop(connection, None)

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
