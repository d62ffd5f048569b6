"""The fast path of a streamed answer from socket to socket, past the asyncio task and the layers of its connection.

It is taken only where there is no TLS on either side, because what is read and written must be plain HTTP/1.
"""

import asyncio
import selectors
import socket
from asyncio.trsock import TransportSocket
from weakref import WeakValueDictionary

from mitmproxy import ctx
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from responses_gateway.proxy.contract import AnswerChanged, ChunkTranslator
from responses_gateway.proxy.private_parts import FAST_PATH, missing_parts


class SocketFastPath(asyncio.Protocol):
    """Stands before the asyncio protocol of an upstream connection.

    It hands on to that protocol, and so to the layers, what the translator does not take, and everything while the
    layers have not read all that was handed on, or the client reads slowly.
    """

    def __init__(
        self,
        handler: ConnectionHandler,
        upstream: asyncio.StreamReaderProtocol,
        client: asyncio.WriteTransport,
        sock: TransportSocket | socket.socket,
    ) -> None:
        """`sock` is the upstream's."""
        self._translator: ChunkTranslator | None = None
        self._bytes_handed_on = 0
        self._ended = False
        self._handler = handler
        self._upstream = upstream
        self._client = client
        self._socket = sock
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, translator: ChunkTranslator) -> None:
        """The layers know the connection now; `translator` is theirs."""
        self._translator = translator

    def data_received(self, data: bytes) -> None:
        translator = self._translator
        if translator is not None and translator.bytes_received == self._bytes_handed_on:
            client = self._client
            if not client.get_write_buffer_size() and not client.is_closing():
                out = translator.translate_chunks(data)
                if out is not None:
                    self._handler.timeout_watchdog.register_activity()
                    client.write(out)
                    if (flow := translator.flow_to_look_at) is not None:
                        self._tell_layers(AnswerChanged(flow))
                    return
        self._bytes_handed_on += len(data)
        self._upstream.data_received(data)

    @property
    def has_unread(self) -> bool:
        """Whether the upstream has sent anything, or closed, and the layers do not know it yet."""
        received = self._translator.bytes_received if self._translator is not None else 0
        return self._ended or self._bytes_handed_on != received or _is_readable(self._socket)

    def _tell_layers(self, event: AnswerChanged) -> None:
        task = asyncio.get_running_loop().create_task(self._handler.server_event(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def eof_received(self) -> bool | None:
        self._ended = True
        return self._upstream.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._upstream.connection_lost(exc)

    def pause_writing(self) -> None:
        self._upstream.pause_writing()

    def resume_writing(self) -> None:
        self._upstream.resume_writing()


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
    if server.tls or server.via or handler.client.tls:
        return None
    upstream, client = handler.transports[server].writer, handler.transports[handler.client].writer
    if not isinstance(upstream, asyncio.StreamWriter) or not isinstance(client, asyncio.StreamWriter):
        return None
    protocol = upstream.transport.get_protocol()
    if not isinstance(protocol, asyncio.StreamReaderProtocol):
        return None
    path = SocketFastPath(handler, protocol, client.transport, upstream.get_extra_info("socket"))
    upstream.transport.set_protocol(path)
    return path
