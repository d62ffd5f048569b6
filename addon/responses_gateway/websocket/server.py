"""The Responses API over WebSocket: a server behind the proxy, in the same process.

mitmproxy relays WebSockets but cannot end one. So the request hook sends upgrade requests to a Tornado server on an
ephemeral loopback port, and that turns each `response.create` into a POST to the listener that the client came through:
every turn is an ordinary flow, with all that the gateway does for one.

The protocol: "WebSocket" in the Open Responses specification (2026-04-24), and what Codex sends and understands.
"""

import asyncio
import contextlib
import functools
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.security.redaction import is_secret
from responses_gateway.security.terminal import get_logger
from responses_gateway.turn.steerings import Steerings
from responses_gateway.websocket.posting import Admission, post
from responses_gateway.websocket.session import SocketSession
from responses_gateway.websocket.turn import SocketTurn

logger = get_logger(__name__)

TICKET_HEADER = "x-gateway-ticket"

_GOING_AWAY = 1001
_GRACE = 1.0
"""Seconds that turns and close frames get to reach their clients when the process ends."""


class SocketLimits(NamedTuple):
    """In seconds; `message` in bytes."""

    lifetime: float = 3600
    """The specification's 60 minutes. A turn that runs then is finished first."""

    idle: float = 900
    """Without a turn or a message. The connection is closed then, and the client opens another one."""

    ping: float = 30
    message: int = 64 << 20


class SocketServer:
    """The server; one for the process. `start` needs a running event loop."""

    def __init__(self, limits: SocketLimits, steerings: Steerings) -> None:
        self.limits = limits
        self.steerings = steerings
        self.port = 0
        self.sockets: set[ResponsesSocket] = set()
        self._admissions: dict[str, Admission] = {}
        self._server: HTTPServer | None = None

    def start(self) -> None:
        application = Application(
            [(r".*", ResponsesSocket, {"server": self})],
            websocket_ping_interval=self.limits.ping,
            websocket_ping_timeout=self.limits.ping,
            websocket_max_message_size=self.limits.message,
            log_function=lambda handler: None,
        )
        [listening] = bind_sockets(0, "127.0.0.1")
        self.port = listening.getsockname()[1]
        self._server = HTTPServer(application)
        self._server.add_socket(listening)

    def admit(self, address: tuple[str, int], headers: Mapping[str, str], path: str = "") -> dict[str, str]:
        """Let a client in; returns the headers with which its upgrade request goes to the server, once.

        `address` is the listener that its turns are posted to, below `path`; `headers` (by lower-case name) are those
        of its upgrade request. The ticket stands for them: others who find the server's port have no ticket, and no key
        goes over it.
        """
        ticket = secrets.token_urlsafe(32)
        self._admissions[ticket] = Admission(address, headers, path)
        asyncio.get_running_loop().call_later(60, self._admissions.pop, ticket, None)
        kept = {name: value for name, value in headers.items() if not is_secret(name)}
        return {**kept, "host": f"127.0.0.1:{self.port}", TICKET_HEADER: ticket}

    def redeem(self, ticket: str) -> Admission | None:
        return self._admissions.pop(ticket, None)

    async def shut_down(self) -> None:
        """Close the connections when their turns have ended; returns when the clients know, or after a moment."""
        turns = [task for socket in self.sockets for task in socket.tasks.values()]
        if turns:
            await asyncio.wait(turns, timeout=_GRACE)
        self.close()
        # The client's answer to the close frame says that it got all before it.
        if leaving := [socket.closed.wait() for socket in self.sockets]:
            await asyncio.wait(map(asyncio.ensure_future, leaving), timeout=_GRACE)

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
        for socket in list(self.sockets):
            socket.close(_GOING_AWAY, "the gateway is shutting down")


class ResponsesSocket(WebSocketHandler):
    """One connection: carries out what its `SocketSession` decides."""

    def initialize(self, server: SocketServer) -> None:
        self._gateway = server
        self._session = SocketSession(server.limits.message)
        self.tasks: dict[SocketTurn, asyncio.Task[None]] = {}
        self._is_expired = False
        self._leaving: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def prepare(self) -> None:
        admission = self._gateway.redeem(self.request.headers.get(TICKET_HEADER, ""))
        if admission is None:
            self.set_status(403)
            self.finish()
            return
        self._admission = admission

    def check_origin(self, origin: str) -> bool:
        """The gateway has checked it before it let the client in."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self._gateway.sockets.add(self)
        self._set_timer("lifetime", self._gateway.limits.lifetime, self._expire)
        self._rest()

    async def on_message(self, message: str | bytes) -> None:
        self._rest()
        frames = self._session.receive(message)
        self._follow_session()
        with contextlib.suppress(WebSocketClosedError):
            await self._write(frames)

    def on_close(self) -> None:
        self._gateway.sockets.discard(self)
        self.closed.set()
        for timer in self._timers.values():
            timer.cancel()
        for task in self.tasks.values():
            task.cancel()

    # Turns ------------------------------------------------------------------------------------------------------------

    def _follow_session(self) -> None:
        """Begin and stop what the session has decided."""
        for turn in self._session.take_stopped():
            if turn in self.tasks:
                self.tasks[turn].cancel()
        for turn in self._session.take_begun():
            self.tasks[turn] = task = asyncio.create_task(self._run(turn))
            task.add_done_callback(functools.partial(self._done, turn))

    def _done(self, turn: SocketTurn, _: asyncio.Task[None]) -> None:
        self.tasks.pop(turn, None)

    async def _run(self, turn: SocketTurn) -> None:
        with contextlib.suppress(WebSocketClosedError, asyncio.CancelledError):
            frames = await self._outcome(turn)
            self._follow_session()
            self._rest()
            await self._write(frames)
            self._expire_if_due()

    async def _outcome(self, turn: SocketTurn) -> list[bytes]:
        """Pass on the answer; returns what is left to say of a turn that had none."""
        try:
            await self._pass_on(turn)
        except GatewayError as error:
            return self._session.refused(turn, error)
        except WebSocketClosedError:
            raise
        except OSError as error:
            message = f"The turn broke off: {error}"
            return self._session.broke(turn, GatewayError(message, 502, "server_error", type="server_error"))
        except Exception:
            logger.exception("a turn over a WebSocket failed")
            message = "The gateway failed to serve the turn; its log has the details."
            return self._session.broke(turn, GatewayError(message, 500, "server_error", type="server_error"))
        return []

    async def _pass_on(self, turn: SocketTurn) -> None:
        async with contextlib.aclosing(post(turn, self._admission, self._gateway.steerings)) as events:
            async for payload in events:
                frames = self._session.event(turn, payload)
                if turn.ended:
                    # The next turn may begin while the last frame of this one is on its way.
                    self._follow_session()
                    self._rest()
                await self._write(frames)
                if turn.ended:
                    self._expire_if_due()

    async def _write(self, frames: Sequence[bytes]) -> None:
        """Send frames in one go, and wait until the client's side has taken them: a slow reader slows the upstream
        down. Lanes take turns, because each sends one event and then waits."""
        for written in [self.write_message(frame) for frame in frames]:
            await written

    # Time -------------------------------------------------------------------------------------------------------------

    def _set_timer(self, name: str, seconds: float, action: Any) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, action)

    def _rest(self) -> None:
        self._set_timer("idle", self._gateway.limits.idle, self._leave_idle)

    def _leave_idle(self) -> None:
        if self._session.busy:
            self._rest()
        else:
            self.close(1000, "idle")

    def _expire(self) -> None:
        self._is_expired = True
        self._expire_if_due()

    def _expire_if_due(self) -> None:
        """End a connection that is old enough, once nothing runs on it."""
        if self._is_expired and self._leaving is None:
            frames = self._session.expire()
            self._leaving = None if self._session.busy else asyncio.create_task(self._leave(frames))

    async def _leave(self, frames: Sequence[bytes]) -> None:
        with contextlib.suppress(WebSocketClosedError):
            await self._write(frames)
        self.close(1000, "connection limit")
