"""The fast path of a streamed answer from socket to socket, past the asyncio task and the layers of its connection.

What the client gets must be plain HTTP/1; what the upstream sends may be in TLS.
"""

import asyncio
import selectors
import socket
from asyncio.trsock import TransportSocket
from weakref import WeakValueDictionary

from mitmproxy import ctx
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import events
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData

from responses_gateway.proxy.contract import AnswerChanged, ChunkTranslator
from responses_gateway.proxy.private_parts import FAST_PATH, missing_parts
from responses_gateway.proxy.upstream_tls import UpstreamTls


class SocketFastPath(asyncio.Protocol):
    """Stands before the asyncio protocol of an upstream connection.

    It hands on to that protocol, and so to the layers, what the translator does not take, and everything while the
    layers have not read all that was handed on, or the client reads slowly.
    """

    def __init__(
        self,
        handler: ConnectionHandler,
        server: Server,
        protocol: asyncio.StreamReaderProtocol,
        upstream: asyncio.WriteTransport,
        client: asyncio.WriteTransport,
    ) -> None:
        """`protocol` is that of `upstream`, the transport to `server`."""
        self._translator: ChunkTranslator | None = None
        self._tls: UpstreamTls | None = None
        self._bytes_handed_on = 0
        self._ended = False
        self._handler = handler
        self._server = server
        self._protocol = protocol
        self._upstream = upstream
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, translator: ChunkTranslator) -> None:
        """The layers know the connection now; `translator` is theirs."""
        self._translator = translator

    def attach_tls(self, tls: UpstreamTls) -> None:
        """The layers begin TLS on the connection."""
        self._tls = tls

    def data_received(self, data: bytes) -> None:
        translator, client = self._translator, self._client
        if (
            translator is not None
            and self._layers_have_read_all(translator)
            and not client.get_write_buffer_size()
            and not client.is_closing()
        ):
            tls = self._tls
            if self._translate(translator, data) if tls is None else self._decrypt(translator, tls, data):
                return
        self._bytes_handed_on += len(data)
        self._protocol.data_received(data)

    def _translate(self, translator: ChunkTranslator, data: bytes) -> bool:
        """Send the client what it gets for `data`, which is not in TLS. False if the layers have to read it."""
        out = translator.translate_chunks(data)
        if out is None:
            return False
        self._handler.timeout_watchdog.register_activity()
        self._client.write(out)
        if (flow := translator.flow_to_look_at) is not None:
            self._tell_layers(AnswerChanged(flow))
        return True

    def _decrypt(self, translator: ChunkTranslator, tls: UpstreamTls, data: bytes) -> bool:
        """Send the client what it gets for `data`, which is in TLS. False, and nothing was read, if no answer is under
        way. What cannot be translated is left in `tls` for the layers.
        """
        if not translator.is_translating:
            return False
        content, reply = tls.decrypt(data)
        if reply:
            self._upstream.write(reply)
        if content and not self._translate(translator, content):
            tls.put_back(content)
        if tls.has_unread:
            self._tell_layers(events.DataReceived(self._server, b""))
        return True

    def _layers_have_read_all(self, translator: ChunkTranslator) -> bool:
        tls = self._tls
        if tls is not None:
            return tls.bytes_received == self._bytes_handed_on and not tls.has_unread
        return translator.bytes_received == self._bytes_handed_on

    @property
    def has_unread(self) -> bool:
        """Whether the upstream has sent anything, or closed, and the layers do not know it yet."""
        translator = self._translator
        have_read = self._layers_have_read_all(translator) if translator is not None else not self._bytes_handed_on
        return self._ended or not have_read or _is_readable(self._upstream.get_extra_info("socket"))

    def _tell_layers(self, event: events.Event) -> None:
        task = asyncio.get_running_loop().create_task(self._handler.server_event(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def eof_received(self) -> bool | None:
        self._ended = True
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


def _is_readable(sock: TransportSocket | socket.socket) -> bool:
    """Whether data or an end waits in a socket."""
    # Neither of the two needs a file descriptor of its own.
    with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


class SocketFastPaths:
    """The addon that puts a `SocketFastPath` before upstream connections."""

    def __init__(self) -> None:
        # A connection's transport keeps its path alive; a strong reference here would keep all that the path refers to.
        self._paths: WeakValueDictionary[Connection, SocketFastPath] = WeakValueDictionary()

    def of(self, connection: Connection) -> SocketFastPath | None:
        """The path of an upstream connection that is open; None if it has none."""
        return self._paths.get(connection)

    def tls_start_server(self, data: TlsData) -> None:
        """TLS begins on an upstream connection: nothing was read yet."""
        path = self._paths.get(data.conn)
        if path is None:
            return
        if data.ssl_conn is None and (maker := ctx.master.addons.get("tlsconfig")) is not None:
            # mitmproxy asks it behind all scripts; it leaves alone what is there then.
            maker.tls_start_server(data)
        if data.ssl_conn is not None:
            tls = UpstreamTls(data.ssl_conn)
            path.attach_tls(tls)
            data.ssl_conn = tls.for_layers

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """mitmproxy has read nothing yet from the connection, so that from here on all of its bytes can be counted."""
        if missing_parts(FAST_PATH):
            return
        server = ctx.master.addons.get("proxyserver")
        handler = server.connections.get(data.client.id) if server else None
        if handler is not None and isinstance(data.client.proxy_mode, ReverseMode):
            path = _install(handler, data.server)
            if path is not None:
                self._paths[data.server] = path


def _install(handler: ConnectionHandler, server: Server) -> SocketFastPath | None:
    if server.via or handler.client.tls:
        return None
    upstream, client = handler.transports[server].writer, handler.transports[handler.client].writer
    if not isinstance(upstream, asyncio.StreamWriter) or not isinstance(client, asyncio.StreamWriter):
        return None
    protocol = upstream.transport.get_protocol()
    if not isinstance(protocol, asyncio.StreamReaderProtocol):
        return None
    path = SocketFastPath(handler, server, protocol, upstream.transport, client.transport)
    upstream.transport.set_protocol(path)
    return path
