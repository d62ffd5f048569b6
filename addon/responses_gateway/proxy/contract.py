"""What the proxy layer asks of the gateway, and tells it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events

if TYPE_CHECKING:
    from responses_gateway.proxy.shortcut import Shortcut

MAX_WHOLE_ANSWER = 64 << 20
"""Bytes of an answer that is not passed on piece by piece."""


class Limits(NamedTuple):
    """In seconds. No heartbeats when `heartbeat` is 0."""

    heartbeat: float
    connect: float
    first_byte: float
    idle: float
    """Without content, and without keep-alives of an upstream in whose queue the turn waits."""

    queue: float = 0.0
    """Without content, whatever keep-alives say; at least as long as `idle`."""

    turn: float = 0.0
    """For all rounds together; 0: no limit."""


type Cause = Literal[
    "refused",
    "connect_timeout",
    "first_byte_timeout",
    "idle_timeout",
    "queue_timeout",
    "turn_timeout",
    "broken",
    "too_large",
    "shutdown",
    "crashed",
]


class Failure(NamedTuple):
    """Why an upstream round ended without the end of its answer."""

    cause: Cause
    text: str = ""
    seconds: float = 0.0
    """The limit, for the timeouts."""


class Turn(Protocol):
    """One request of a client, served by one or more upstream rounds. The layer reaches it through `GuardedTurn`."""

    @property
    def limits(self) -> Limits: ...

    @property
    def request(self) -> http.Request:
        """What the next round sends to the upstream; the flow keeps the client's request."""

    @property
    def streams(self) -> bool:
        """Whether the client takes its answer piece by piece."""

    @property
    def ended(self) -> bool:
        """Whether the client has got all of a streamed answer."""

    @property
    def is_storing(self) -> bool:
        """Whether the end of a streamed answer is kept back until `GatewayRoundHook` is done; then `told` gives it."""

    @property
    def settled(self) -> bool:
        """Whether the upstream has said all that matters, so that the rest of its stream is not waited for."""

    @property
    def flows(self) -> bool:
        """Whether the answer goes on as it did: it has not ended, nor is it settled, nor the round over."""

    @property
    def round_over(self) -> bool:
        """Whether nothing more is wanted of this round although the answer has not ended."""

    @property
    def content(self) -> int:
        """Grows with all that was fed and belongs to the answer, shown or not: text, reasoning, calls."""

    @property
    def keep_alives(self) -> int:
        """Grows with what was fed to say nothing but that the upstream is alive: comments and blank lines."""

    def begin(self, status: int, headers: http.Headers) -> bool:
        """The upstream answers. Whether its body goes to `feed` and `finish`, piece by piece, or whole to `take`."""

    def feed(self, data: bytes) -> bytes:
        """A piece of the upstream's body; returns what the client gets."""

    def finish(self) -> bytes:
        """The upstream's body has ended; returns what the client gets."""

    def take(self, body: bytes) -> None:
        """A whole body."""

    def fail(self, failure: Failure) -> None:
        """The round ended too early."""

    def heartbeat(self) -> bytes:
        """What the client gets to see that the turn is alive; also before the upstream answers."""

    def told(self) -> bytes:
        """What the client gets of what happened between rounds."""

    def head(self) -> http.Response:
        """The head of a streamed answer."""

    def end(self) -> bytes:
        """The end of a streamed answer that no further round follows."""

    def last_words(self) -> bytes:
        """The end of a streamed answer, after everything else has failed to make one."""

    def answer(self) -> http.Response:
        """The whole answer, when nothing of it was sent yet and no further round follows."""

    def presentable(self, body: bytes) -> bytes:
        """What of a whole answer may be kept and shown."""


class Gateway(Protocol):
    """What the layer asks about flows and connections."""

    def turn(self, flow: http.HTTPFlow) -> Turn | None:
        """The turn that the request hook made for a flow; None for flows that are not the gateway's to serve."""

    def shortcut(self, connection: Connection) -> "Shortcut | None":
        """The way past the layers from an upstream connection to the client, if there is one."""

    def body_limit(self) -> int:
        """Bytes of a request body."""

    def holds(self, flow: http.HTTPFlow, size: int) -> bool:
        """Whether there is room for `size` more bytes of the flow's request body, which are counted then."""

    def error_response(self, status: int, message: str) -> http.Response:
        """How errors look that no hook sees."""


@dataclass
class GatewayRoundHook(commands.StartHook):
    """A round has ended, and the answer has not. The addon may change the turn's request and set `again`."""

    data: "RoundEnd"


@dataclass(eq=False)
class RoundEnd:
    """What `GatewayRoundHook` carries."""

    flow: http.HTTPFlow
    turn: Turn
    again: bool = False
    """Whether the turn's request is to be sent again."""


@dataclass
class ShutDown(events.MessageInjected[None]):
    """Ends the turn of a flow, because the process ends."""

    flow: http.HTTPFlow
    message: None = None


@dataclass
class PassedBy(events.MessageInjected[None]):
    """The answer of a flow went past the layers, and does not go on as it did."""

    flow: http.HTTPFlow
    message: None = None


@dataclass
class ClientLeft(events.Event):
    """The client does not read any more what is sent to it."""
