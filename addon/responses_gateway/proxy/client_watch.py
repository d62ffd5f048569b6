"""Tells clients that have left from those that have only sent their last byte.

Either way, all that arrives is the end of the client's data. A client that has left refuses what is sent to it (TCP
RST). So the layers send it something, and this module looks at the socket for the refusal, which mitmproxy does not.
"""

import asyncio
import socket
from asyncio.trsock import TransportSocket

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ReverseMode
from mitmproxy.proxy.server import ConnectionHandler

from responses_gateway.proxy.contract import ClientLeft
from responses_gateway.proxy.private_parts import CLIENT_WATCH, missing_parts

_FIRST_LOOK = 0.005
"""Seconds from the end of a client's data to the first look. A refusal takes one round trip. Each next wait doubles."""

_LAST_LOOK = 5.0
"""No wait is followed by another that has lasted this many seconds."""


class ClientWatch(asyncio.Protocol):
    """Stands before the asyncio protocol of a client's connection."""

    def __init__(self, handler: ConnectionHandler, inner: asyncio.StreamReaderProtocol, sock: TransportSocket) -> None:
        self._handler = handler
        self._inner = inner
        self._socket = sock
        self._next_look: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._look_after(_FIRST_LOOK)
        return self._inner.eof_received()

    def _look_after(self, seconds: float) -> None:
        self._next_look = asyncio.get_running_loop().call_later(seconds, self._look, seconds)

    def _look(self, waited: float) -> None:
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._tell_layers()
        elif waited < _LAST_LOOK:
            self._look_after(waited * 2)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._inner.connection_lost(exc)
        if exc is not None:
            self._tell_layers()

    def _tell_layers(self) -> None:
        task = asyncio.get_running_loop().create_task(self._handler.server_event(ClientLeft()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class ClientWatches:
    """The addon that watches the clients of reverse proxies."""

    def client_connected(self, client: Client) -> None:
        if missing_parts(CLIENT_WATCH):
            return
        server = ctx.master.addons.get("proxyserver")
        handler = server.connections.get(client.id) if server else None
        if handler is None or not isinstance(client.proxy_mode, ReverseMode):
            return
        writer = handler.transports[client].writer
        if not isinstance(writer, asyncio.StreamWriter):
            return
        inner = writer.transport.get_protocol()
        if isinstance(inner, asyncio.StreamReaderProtocol):
            writer.transport.set_protocol(ClientWatch(handler, inner, writer.get_extra_info("socket")))
