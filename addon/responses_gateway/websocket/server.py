"""The Responses API over WebSocket: a server behind the proxy, in the same process.

mitmproxy relays WebSockets but cannot end one. So the request hook sends upgrade requests to a Tornado server on an
ephemeral loopback port, and that turns each `response.create` into a POST to the listener that the client came through:
every turn is an ordinary flow, with all that the gateway does for one.

The protocol: "WebSocket" in the Open Responses specification (2026-04-24), and what Codex sends and understands.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.request_limits import check_size
from responses_gateway.protocol.sse import SseDecoder
from responses_gateway.security.redaction import is_secret
from responses_gateway.security.terminal import get_logger
from responses_gateway.upstream.http_client import HttpClient, HttpResponse
from responses_gateway.websocket.turn import Memory, SocketTurn, create_body

logger = get_logger(__name__)

TICKET_HEADER = "x-gateway-ticket"

_NOT_FORWARDED = frozenset(
    (
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect"),
        *("keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_REFUSAL_LIMIT = 1 << 20
"""Bytes of an error's body that are read."""

_LARGEST_EVENT = 512 << 20
"""Bytes of one event of the gateway's own answer: the last one holds all of it."""

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


@dataclass(frozen=True)
class Admission:
    """A client that the gateway let in: where its turns are posted, and the headers of its upgrade request."""

    address: tuple[str, int]
    headers: Mapping[str, str]
    path: str = ""
    """What stands before /v1 there."""


class SocketServer:
    """The server; one for the process. `start` needs a running event loop."""

    def __init__(self, limits: SocketLimits) -> None:
        self.limits = limits
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
        turns = [task for socket in self.sockets for task in socket.tasks]
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
    """One connection. One turn runs at a time."""

    def initialize(self, server: SocketServer) -> None:
        self._gateway = server
        self._memory = Memory()
        self._turn: SocketTurn | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._expired = False
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
        try:
            event = _event(message)
            match event["type"]:
                case "response.create":
                    self._create(event)
                case "response.cancel":
                    await self._cancel(event)
                case other:
                    raise GatewayError(f"Unknown event type: '{other}'.", code="invalid_value", param="type")
        except GatewayError as error:
            await self._refuse(error)

    def on_close(self) -> None:
        self._gateway.sockets.discard(self)
        self.closed.set()
        for timer in self._timers.values():
            timer.cancel()
        for task in self.tasks:
            task.cancel()

    # Turns ------------------------------------------------------------------------------------------------------------

    def _create(self, event: JsonObject) -> None:
        if self._turn is not None:
            raise GatewayError(
                "A response is in progress on this connection. Wait for its end, or cancel it with response.cancel.",
                code="response_already_in_flight",
            )
        if self._expired:
            raise _connection_limit()
        self._turn = turn = SocketTurn(create_body(event), self._memory)
        self._running = task = asyncio.create_task(self._run(turn))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _run(self, turn: SocketTurn) -> None:
        try:
            if turn.generates:
                await self._post(turn)
            else:
                for frame in turn.warm_up():
                    await self._send(turn, frame)
        except GatewayError as error:
            turn.failed()
            await self._end(turn, error)
        except (WebSocketClosedError, asyncio.CancelledError):
            pass
        except OSError as error:
            message = f"The turn broke off: {error}"
            await self._end(turn, GatewayError(message, 502, "server_error", type="server_error"))
        except Exception:
            logger.exception("a turn over a WebSocket failed")
            message = "The gateway failed to serve the turn; its log has the details."
            await self._end(turn, GatewayError(message, 500, "server_error", type="server_error"))

    async def _post(self, turn: SocketTurn) -> None:
        host, port = self._admission.address
        headers = {
            name: value
            for name, value in self._admission.headers.items()
            if name not in _NOT_FORWARDED and not name.startswith(("sec-websocket-", "proxy-"))
        }
        headers |= {"accept": "text/event-stream", "content-type": "application/json"}
        url = f"http://gateway:{port}{self._admission.path}/v1/responses"
        async with HttpClient([host]) as http, http.request("POST", url, headers, dumps(turn.body)) as response:
            if response.status != 200:
                body, _ = await response.read(_REFUSAL_LIMIT)
                raise _refusal(response, body)
            decoder = SseDecoder(_LARGEST_EVENT, wraps_errors=False)
            async for piece in response.body:
                for payload in decoder.feed(piece):
                    if payload != b"[DONE]":
                        await self._send(turn, turn.frame(payload))
        if not turn.ended:
            raise OSError("the gateway's own answer had no end")

    async def _send(self, turn: SocketTurn, frame: bytes) -> None:
        """Send one event, and wait until the client's side has taken it: a slow reader slows the upstream down."""
        if turn.ended:
            self._free(turn)
        await self.write_message(frame)
        if turn.ended and self._expired:
            self._expire()

    def _free(self, turn: SocketTurn) -> None:
        """The next turn may begin, also while the last frame of this one is on its way."""
        if self._turn is turn:
            self._turn = None
            self._rest()

    async def _cancel(self, event: JsonObject) -> None:
        turn, task = self._turn, self._running
        if turn is None or task is None or event.get("response_id") not in (None, turn.response_id):
            raise GatewayError("No such response is in progress on this connection.", code="response_not_in_progress")
        task.cancel()
        frame = turn.cancelled()
        self._free(turn)
        await self._write(frame)

    async def _end(self, turn: SocketTurn, error: GatewayError) -> None:
        self._free(turn)
        await self._refuse(error)

    async def _refuse(self, error: GatewayError) -> None:
        frame: JsonObject = {"type": "error", "status": error.status, **error.body()}
        if error.retry_after is not None:
            # Codex reads them beside the error, openai-python in it.
            frame["headers"] = frame["error"]["headers"] = {"retry-after": str(max(1, round(error.retry_after)))}
        await self._write(dumps(frame))

    async def _write(self, frame: bytes) -> None:
        try:
            await self.write_message(frame)
        except WebSocketClosedError:
            return

    # Time -------------------------------------------------------------------------------------------------------------

    def _set_timer(self, name: str, seconds: float, action: Any) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, action)

    def _rest(self) -> None:
        self._set_timer("idle", self._gateway.limits.idle, self._leave_idle)

    def _leave_idle(self) -> None:
        if self._turn is not None:
            self._rest()
        else:
            self.close(1000, "idle")

    def _expire(self) -> None:
        self._expired = True
        if self._turn is None:
            task = asyncio.create_task(self._refuse(_connection_limit()))
            self.tasks.add(task)
            task.add_done_callback(lambda _: self.close(1000, "connection limit"))


def _event(message: str | bytes) -> JsonObject:
    check_size(message.encode() if isinstance(message, str) else message)
    try:
        event = loads(message)
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"The message is not valid JSON: {error}", code="invalid_json") from None
    if not isinstance(event, dict):
        raise GatewayError("The message must be a JSON object.", code="invalid_type")
    if not isinstance(event.get("type"), str):
        raise GatewayError("Missing required parameter: 'type'.", code="missing_required_parameter", param="type")
    return event


def _connection_limit() -> GatewayError:
    return GatewayError(
        "This connection has reached its limit of 60 minutes. Open another one to go on.",
        code="websocket_connection_limit_reached",
    )


def _refusal(response: HttpResponse, body: bytes) -> GatewayError:
    """The error in an HTTP answer."""
    try:
        error = loads(body)["error"]
        message, code, param, kind = (error.get(name) for name in ("message", "code", "param", "type"))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        message, code, param, kind = f"The gateway answered {response.status}.", None, None, None
    wait = response.headers.get("retry-after", "")
    return GatewayError(
        str(message),
        response.status,
        code,
        param,
        str(kind or "invalid_request_error"),
        float(wait) if wait.isdigit() else None,
    )
