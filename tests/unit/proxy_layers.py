"""The proxy layer without sockets: events in, commands out."""

import logging
from collections import deque
from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, Connection, ConnectionState, Server
from mitmproxy.log import MitmLogHandler
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons

from responses_gateway.proxy.contract import Failure, GatewayRoundHook, Limits, UpstreamSocket
from responses_gateway.proxy.layer import GatewayLayer
from responses_gateway.proxy.upstream_proxies import UpstreamProxies, UpstreamProxy

REQUEST = b"POST /v1/responses HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Turn:
    """Answers `<data>` for each piece of data that it is fed, and `.` at the end."""

    limits: Limits = Limits(0, 10, 10, 10)  # noqa: RUF009 (it is immutable)
    streams: bool = True
    ended: bool = False
    is_storing: bool = False
    settled: bool = False
    round_over: bool = False
    request: http.Request = field(default_factory=lambda: http.Request.make("POST", "http://upstream/chat", b"{}"))
    content: int = 0
    keep_alives: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def flows(self) -> bool:
        return not (self.ended or self.settled or self.round_over)

    def begin(self, status: int, headers: http.Headers) -> bool:
        return True

    def feed(self, data: bytes) -> bytes:
        self.content += 1
        return b"<%b>" % data

    def finish(self) -> bytes:
        self.ended = True
        return b"."

    def fail(self, failure: Failure) -> None:
        self.failures.append(failure)

    def heartbeat(self) -> bytes:
        return b":"

    def take(self, body: bytes) -> None: ...

    def told(self) -> bytes:
        return b""

    def last_words(self) -> bytes:
        return b"?"

    def head(self) -> http.Response:
        response = http.Response.make(200, b"", {"transfer-encoding": "chunked"})
        response.headers.pop("content-length", None)
        response.stream = True
        return response

    def end(self) -> bytes:
        self.ended = True
        return b"!"

    def answer(self) -> http.Response:
        return http.Response.make(502)

    def presentable(self, body: bytes) -> bytes:
        return body


@dataclass
class Wire:
    """A layer between a client and its upstream connections.

    `sent` is what went to the client, `asked` what went to upstreams; `opened` are upstream connections, `closed` are
    connections of both sides.
    """

    served: Turn
    sent: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    opened: list[Server] = field(default_factory=list)
    closed: list[Connection] = field(default_factory=list)
    half_closed: list[Connection] = field(default_factory=list)
    """Connections that we send nothing more on, but still read."""
    hooks: list[str] = field(default_factory=list)
    """The names of all hooks, in their order."""
    flows: list[http.HTTPFlow] = field(default_factory=list)
    """The flows of mitmproxy's own hooks, each once."""
    connects: bool = True
    """Whether attempts to connect to an upstream succeed at once."""
    attempts: list[commands.OpenConnection] = field(default_factory=list)
    """Those that have not ended."""
    client_alpn: bytes | None = None
    upstream_alpn: bytes | None = None
    alarms: int = 0
    decides: bool = True
    """Whether hooks of rounds end at once."""

    rounds: list[GatewayRoundHook] = field(default_factory=list)
    """Hooks that have not ended."""
    alarm: commands.RequestWakeup | None = None
    """The latest one."""

    upstream_socket_path: UpstreamSocket | None = None
    proxies: UpstreamProxies = field(default_factory=UpstreamProxies)

    _events: deque[events.Event] = field(default_factory=deque)

    def __post_init__(self) -> None:
        with taddons.context(Proxyserver()) as addons:
            self._client = Client(
                peername=("127.0.0.1", 1),
                sockname=("127.0.0.1", 2),
                timestamp_start=0,
                state=ConnectionState.OPEN,
                alpn=self.client_alpn,
                proxy_mode=ProxyMode.parse("reverse:http://upstream:80"),
            )
            context = Context(self._client, addons.options)
            context.server.address = ("upstream", 80)
            self._layer = GatewayLayer(context, self)
        for handler in logging.getLogger().handlers.copy():
            if isinstance(handler, MitmLogHandler):
                # It writes to the context's event loop, which is closed.
                handler.uninstall()

    def connect(self) -> None:
        """The client sends its request, and the upstream is connected."""
        self.handle(events.Start())
        self.ask()

    def ask(self) -> None:
        """The client sends its request."""
        self.client_sends(REQUEST)

    def decide(self) -> None:
        """The hook of a round ends."""
        self.handle(events.HookCompleted(self.rounds.pop()))

    def attempted(self, error: str | None) -> None:
        """The oldest attempt to connect ends: it fails with this error, or succeeds."""
        command = self.attempts.pop(0)
        command.connection.error, command.connection.alpn = error, self.upstream_alpn
        command.connection.state = ConnectionState.CLOSED if error else ConnectionState.OPEN
        self.handle(events.OpenConnectionCompleted(command, error))

    def hooked(self, hook: commands.StartHook) -> None:
        """An addon that does what a hook is there for."""

    def client_sends(self, data: bytes) -> None:
        self.handle(events.DataReceived(self._client, data))

    def client_ends(self, state: ConnectionState) -> None:
        """The client sends no more, and its connection is left in that state."""
        self._client.state = state
        self.handle(events.ConnectionClosed(self._client))

    def upstream(self, data: bytes) -> None:
        """Data of one read, from the newest connection."""
        self.handle(events.DataReceived(self.opened[-1], data))

    def upstream_ends(self, connection: Server) -> None:
        """The upstream sends no more; mitmproxy's task marks that before the layers are told."""
        connection.state = ConnectionState.CAN_WRITE

    def wake(self) -> None:
        """The layer looks at the time, if it asked for it."""
        alarm, self.alarm = self.alarm, None
        if alarm is not None:
            self.handle(events.Wakeup(alarm))

    def turn(self, flow: http.HTTPFlow) -> Turn | None:
        return self.served

    def upstream_socket(self, connection: Connection) -> UpstreamSocket | None:
        return self.upstream_socket_path

    def upstream_proxy(self, mode: ProxyMode, request: http.Request) -> UpstreamProxy | None:
        return self.proxies.choose(request.scheme, request.host, request.port, mode)

    def body_limit(self) -> int:
        return 1000

    def reserve_body_memory(self, flow: http.HTTPFlow, size: int) -> bool:
        return True

    def error_response(self, status: int, message: str) -> http.Response:
        return http.Response.make(status, message)

    def handle(self, event: events.Event) -> None:
        """As mitmproxy does, tell the layer what comes of its commands only when it has handled the event at hand."""
        self._events.append(event)
        if len(self._events) == 1:
            while self._events:
                self._handle(self._events[0])
                self._events.popleft()

    def _handle(self, event: events.Event) -> None:
        for command in self._layer.handle_event(event):
            match command:
                case commands.OpenConnection():
                    assert isinstance(command.connection, Server)
                    self.opened.append(command.connection)
                    self.attempts.append(command)
                    if self.connects:
                        self.attempted(None)
                case commands.StartHook():
                    self._tell(command)
                case commands.RequestWakeup():
                    self.alarms += 1
                    self.alarm = command
                case commands.SendData():
                    (self.sent if _is(command.connection, self._client) else self.asked).append(command.data)
                case commands.CloseTcpConnection(half_close=True):
                    command.connection.state &= ~ConnectionState.CAN_WRITE
                    self.half_closed.append(command.connection)
                case commands.CloseConnection():
                    command.connection.state = ConnectionState.CLOSED
                    self.closed.append(command.connection)

    def _tell(self, hook: commands.StartHook) -> None:
        self.hooks.append(hook.name)
        [told] = hook.args()
        if isinstance(told, http.HTTPFlow) and all(told is not flow for flow in self.flows):
            self.flows.append(told)
        self.hooked(hook)
        if isinstance(hook, GatewayRoundHook) and not self.decides:
            self.rounds.append(hook)
        elif hook.blocking:
            self.handle(events.HookCompleted(hook))


def _is(one: Connection, other: Connection) -> bool:
    return one is other


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
