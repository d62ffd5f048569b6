"""The upstream connections of a client's connection: which may be used again, and which have a fast path."""

from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpClient, HttpLayer, HTTPMode, RegisterHttpConnection
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy

from responses_gateway.proxy.client_connection import GatewayHttp1Server
from responses_gateway.proxy.contract import Gateway
from responses_gateway.proxy.fast_path import FastPath
from responses_gateway.proxy.private_parts import FAST_PATH, UPSTREAM_CONNECTION, missing_parts
from responses_gateway.proxy.upstream_connection import GatewayHttp1Client
from responses_gateway.proxy.upstream_round import GetFreshConnection, GetRoundConnection

type Commands = layer.CommandGenerator[None]


class UpstreamPoolLayer(HttpLayer):
    """mitmproxy's HttpLayer, with the gateway's HTTP/1 for upstream connections, and no stale connection used again."""

    def __init__(self, context: Context, gateway: Gateway, mode: HTTPMode) -> None:
        super().__init__(context, mode)
        self._gateway = gateway
        self._fast_paths: dict[Connection, FastPath] = {}
        self._http1: dict[Connection, GatewayHttp1Client] = {}

    def fast_path(self, connection: Connection) -> FastPath | None:
        """The fast path from an upstream connection; None if it has none."""
        return self._fast_paths.get(connection)

    def register_connection(self, command: RegisterHttpConnection) -> Commands:
        if command.err is None and not missing_parts(UPSTREAM_CONNECTION):
            yield from self._replace_http1(command.connection)
        if command.err is not None and self._is_at_proxy(command.connection):
            for attempt in self.waiting_for_establishment[command.connection]:
                if isinstance(attempt, GetRoundConnection):
                    attempt.is_at_proxy = True
        yield from super().register_connection(command)

    def _is_at_proxy(self, connection: Connection) -> bool:
        """Whether a connection goes through a proxy which has not opened a tunnel."""
        below: layer.Layer | None = self.connections[connection]
        while isinstance(below, tunnel.TunnelLayer):
            if isinstance(below, HttpUpstreamProxy):
                return below.tunnel_state is not tunnel.TunnelState.OPEN
            below = below.child_layer
        return False

    def _replace_http1(self, connection: Connection) -> Commands:
        """Put our own layer in the place of mitmproxy's, for an HTTP/1 connection that was just established."""
        outer, inner = self._innermost(connection)
        if not isinstance(inner, Http1Client):
            return
        ours: layer.Layer
        ours = self._http1[connection] = upstream = GatewayHttp1Client(inner.context)
        yield from self.event_to_child(upstream, events.Start())
        client = self.connections[self.context.client]
        if isinstance(client, GatewayHttp1Server) and not missing_parts(FAST_PATH):
            ours = self._fast_paths[connection] = path = FastPath(upstream, client)
            if upstream_socket := self._gateway.upstream_socket(connection):
                upstream_socket.attach(path)
        if outer is None:
            self.connections[connection] = ours
        else:
            outer.child_layer = ours

    def _innermost(self, connection: Connection) -> tuple[tunnel.TunnelLayer | None, layer.Layer]:
        """The layer that speaks HTTP on an upstream connection, and the tunnel around it (TLS), if there is one."""
        outer, inner = None, self.connections[connection]
        while isinstance(inner, tunnel.TunnelLayer):
            outer, inner = inner, inner.child_layer
        return outer, inner.child_layer if isinstance(inner, HttpClient) else inner

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> Commands:
        """Hand out no idle connection on which the upstream has sent something, or its end, meanwhile."""
        for connection, upstream in self._http1.items():
            if not connection.connected or upstream.stream_id is not None:
                continue
            if isinstance(event, GetFreshConnection) or self._has_unread(connection):
                yield from self._close(connection)
        yield from super().get_connection(event, reuse=reuse)

    def _has_unread(self, connection: Connection) -> bool:
        upstream_socket = self._gateway.upstream_socket(connection)
        return upstream_socket is not None and upstream_socket.has_unread

    def lost_kept_connection(self, connection: Connection) -> bool:
        """Whether the upstream has closed a connection that had served before, with no answer to the request at hand.

        For HTTP/1, not a byte of that answer may have come; for HTTP/2, not its head.
        """
        if connection.connected or connection not in self.connections:
            return False
        if upstream := self._http1.get(connection):
            return upstream.is_kept_and_unanswered
        _, inner = self._innermost(connection)
        return isinstance(inner, Http2Client) and len(inner.our_stream_id) > 1

    def abandon(self, attempt: GetHttpConnection) -> Commands:
        """Wait for a connection no longer, and stop the attempt if no other stream waits for it."""
        self.command_sources.pop(attempt, None)
        for connection, waiting in self.waiting_for_establishment.items():
            others = [other for other in waiting if other is not attempt]
            if len(others) < len(waiting):
                self.waiting_for_establishment[connection] = others
                if not others:
                    yield from self._close(connection)
                return

    def _close(self, connection: Connection) -> Commands:
        """Close an upstream connection; one through a proxy has its socket there."""
        outer = self.connections[connection]
        with_socket = outer.tunnel_connection if isinstance(outer, tunnel.TunnelLayer) else connection
        if with_socket is not connection:
            connection.state = ConnectionState.CLOSED
        yield commands.CloseConnection(with_socket)

    def is_forgotten(self, connection: Connection) -> bool:
        """Whether this layer has dropped the connection."""
        return connection not in self.connections and connection != self.context.server

    def forget_closed(self) -> None:
        """Drop closed connections. mitmproxy keeps them, and takes a failed one for the answer to a new attempt."""
        kept = {self.context.server, *self.waiting_for_establishment}
        kept.update(stream.context.server for stream in self.streams.values())
        # The end of a tunnel's socket has to come to the layers of the connection through it.
        layers = {id(self.connections[connection]) for connection in kept if connection in self.connections}
        for connection in list(self.connections):
            # One that is closed on one side only has its end still to come, and a socket that has to be closed then.
            closed = isinstance(connection, Server) and connection.state is ConnectionState.CLOSED
            if closed and connection not in kept and id(self.connections[connection]) not in layers:
                del self.connections[connection]
                self._fast_paths.pop(connection, None)
                self._http1.pop(connection, None)
