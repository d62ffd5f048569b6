"""The shortest way of a streamed answer: from socket to socket, past the task and the layers of its connection.

Only where there is no TLS on either side: what is read and written is HTTP/1 as it is.
"""

import asyncio
import selectors
import socket
from asyncio.trsock import TransportSocket
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from mitmproxy import ctx
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from responses_gateway.proxy.contract import PassedBy
from responses_gateway.proxy.private_parts import missing_parts

if TYPE_CHECKING:
    from responses_gateway.proxy.passage import Passage


class Shortcut(asyncio.Protocol):
    """Stands before the asyncio protocol of an upstream connection, and hands on to it all that has to go the long way:
    whatever `Passage` does not take, and everything while the layers are behind or the client reads slowly."""

    def __init__(
        self,
        handler: ConnectionHandler,
        upstream: asyncio.StreamReaderProtocol,
        client: asyncio.WriteTransport,
        sock: TransportSocket | socket.socket,
    ) -> None:
        """`sock` is the upstream's."""
        self.passage: Passage | None = None
        """Of the connection, once the layers know it."""
        self._handed_on = 0
        self._ended = False
        self._handler = handler
        self._upstream = upstream
        self._client = client
        self._socket = sock
        self._tasks: set[asyncio.Task[None]] = set()

    def data_received(self, data: bytes) -> None:
        passage = self.passage
        if passage is not None and passage.arrived == self._handed_on:
            client = self._client
            if not client.get_write_buffer_size() and not client.is_closing():
                out = passage.take(data)
                if out is not None:
                    self._handler.timeout_watchdog.register_activity()
                    client.write(out)
                    if passage.stream is not None and not passage.stream.flows:
                        self._tell_layers(PassedBy(passage.stream.flow))
                    return
        self._handed_on += len(data)
        self._upstream.data_received(data)

    @property
    def has_unread(self) -> bool:
        """Whether the upstream has sent anything, or closed, and the layers do not know it yet."""
        arrived = self.passage.arrived if self.passage is not None else 0
        return self._ended or self._handed_on != arrived or _is_readable(self._socket)

    def _tell_layers(self, event: PassedBy) -> None:
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


class Shortcuts:
    """The addon that opens shortcuts."""

    def __init__(self) -> None:
        # Each belongs to its transport, and refers to all that refers to the connection.
        self._shortcuts: WeakValueDictionary[Connection, Shortcut] = WeakValueDictionary()

    def of(self, connection: Connection) -> Shortcut | None:
        return self._shortcuts.get(connection)

    def server_connected(self, data: ServerConnectionHookData) -> None:
        """Nothing was read yet from the connection, so that from here on all of its bytes can be counted."""
        if missing_parts():
            return
        server = ctx.master.addons.get("proxyserver")
        handler = server.connections.get(data.client.id) if server else None
        if handler is not None and isinstance(data.client.proxy_mode, ReverseMode):
            shortcut = _open(handler, data.server)
            if shortcut is not None:
                self._shortcuts[data.server] = shortcut


def _open(handler: ConnectionHandler, server: Server) -> Shortcut | None:
    if server.tls or server.via or handler.client.tls:
        return None
    upstream, client = handler.transports[server].writer, handler.transports[handler.client].writer
    if not isinstance(upstream, asyncio.StreamWriter) or not isinstance(client, asyncio.StreamWriter):
        return None
    protocol = upstream.transport.get_protocol()
    if not isinstance(protocol, asyncio.StreamReaderProtocol):
        return None
    shortcut = Shortcut(handler, protocol, client.transport, upstream.get_extra_info("socket"))
    upstream.transport.set_protocol(shortcut)
    return shortcut
