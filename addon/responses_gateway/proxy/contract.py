"""The interface between this folder and the rest of the gateway: what the layers ask of it, and what they are told.

The layers never import what implements these Protocols, and what implements them knows nothing of the layers.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.mode_specs import ProxyMode

from responses_gateway.proxy.upstream_proxies import UpstreamProxy

MAX_WHOLE_ANSWER = 64 << 20
"""Bytes that an answer may have which is translated as a whole, not piece by piece."""


class Limits(NamedTuple):
    """The time limits of a turn, in seconds."""

    heartbeat: float
    """Between two things that the client is sent; 0: no heartbeats."""

    connect: float
    """Until the connection to the upstream is open."""

    first_byte: float
    """From the end of the request to the head of the answer."""

    idle: float
    """Without content and without keep-alives (an upstream in whose queue the turn waits sends them)."""

    queue: float = 0.0
    """Without content, even if keep-alives come; less than `idle` means `idle`."""

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
    "killed",
    "crashed",
]


class Failure(NamedTuple):
    """Why an upstream round ended without the end of its answer."""

    cause: Cause
    text: str = ""
    seconds: float = 0.0
    """The time limit that was exceeded; 0 for other causes."""

    proxy: str = ""
    """The URL of the proxy on the way to the upstream, if the failure may be its own."""


class Turn(Protocol):
    """One request of a client, served by one or more requests to upstreams, which are called rounds.

    The layers reach it through `GuardedTurn`.
    """

    @property
    def limits(self) -> Limits: ...

    @property
    def request(self) -> http.Request:
        """What the next round sends to the upstream; the flow keeps the client's request."""

    @property
    def streams(self) -> bool:
        """Whether the client asked for a streamed answer."""

    @property
    def ended(self) -> bool:
        """Whether the client has got all of a streamed answer."""

    @property
    def is_storing(self) -> bool:
        """Whether the answer is to be stored: `told` gives its end, after `GatewayRoundHook` has completed."""

    @property
    def settled(self) -> bool:
        """Whether the upstream has sent all that matters; its stream may go on for DRAIN_SECONDS more."""

    @property
    def flows(self) -> bool:
        """Whether the answer just goes on: it has not `ended`, and neither `settled` nor `round_over` holds."""

    @property
    def round_over(self) -> bool:
        """Whether the turn needs nothing more from this round, although the answer has not ended."""

    @property
    def content(self) -> int:
        """A count that grows whenever something is fed that belongs to the answer: text, reasoning, calls."""

    @property
    def keep_alives(self) -> int:
        """A count that grows whenever something is fed that only says the upstream is alive: comments, blank lines."""

    def begin(self, status: int, headers: http.Headers) -> bool:
        """The head of the upstream's answer has come. True: its body goes to `feed` and `finish`; False: to `take`."""

    def feed(self, data: bytes) -> bytes:
        """Translate a piece of the upstream's body; returns what the client gets."""

    def finish(self) -> bytes:
        """The upstream's body has ended; returns what the client gets."""

    def take(self, body: bytes) -> None:
        """Take the whole body of the upstream's answer."""

    def fail(self, failure: Failure) -> None:
        """The round has ended too early."""

    def heartbeat(self) -> bytes:
        """What the client is sent to show that the turn is alive; may be asked for before the upstream answers."""

    def told(self) -> bytes:
        """What the client gets after `GatewayRoundHook`, and while it is under way: events of what is done there, or
        the answer's end."""

    def head(self) -> http.Response:
        """The head of a streamed answer to the client."""

    def end(self) -> bytes:
        """The end of a streamed answer, when no further round follows."""

    def last_words(self) -> bytes:
        """The end of a streamed answer, when `fail` and `end` have raised or given none."""

    def answer(self) -> http.Response:
        """The whole answer, when nothing of it was sent yet and no further round follows."""

    def presentable(self, body: bytes) -> bytes:
        """What the flow may keep and show of the body of `answer`, without secrets."""


class ChunkTranslator(Protocol):
    """What the socket of an upstream connection needs of the layers, to send an answer on without them."""

    @property
    def bytes_received(self) -> int:
        """Bytes that the layers have received from the connection, once they are out of TLS."""

    @property
    def is_translating(self) -> bool:
        """Whether an answer is under way, of which whole chunks can be translated."""

    def translate_chunks(self, data: bytes) -> bytes | None:
        """What the client's socket gets for `data`; None if `data` has to go through the layers."""

    @property
    def flow_to_look_at(self) -> http.HTTPFlow | None:
        """The flow that needs an `AnswerChanged` after a translation; None if its answer just goes on."""


class UpstreamSocket(Protocol):
    """What the layers ask of the socket of an upstream connection."""

    @property
    def has_unread(self) -> bool:
        """Whether the upstream has sent anything, or closed, and the layers do not know it yet."""

    def attach(self, translator: ChunkTranslator) -> None:
        """From now on, `translator` is asked about data that arrives."""


class Gateway(Protocol):
    """What the layers ask about flows and connections."""

    def turn(self, flow: http.HTTPFlow) -> Turn | None:
        """The turn that the request hook made for a flow; None for flows that are not the gateway's to serve."""

    def upstream_socket(self, connection: Connection) -> UpstreamSocket | None:
        """The socket of an upstream connection, unless a proxy is on the way or the client speaks TLS."""

    def upstream_proxy(self, mode: ProxyMode, request: http.Request) -> UpstreamProxy | None:
        """The proxy through which a round's request leaves, in a turn that came to the listener of that mode."""

    def may_serve(self, host: str) -> bool:
        """Whether the gateway is a proxy that answers requests for this host, so that it has to read them."""

    def serves(self, flow: http.HTTPFlow) -> bool:
        """Whether a request that came through a proxy is the gateway's to answer."""

    def body_limit(self) -> int:
        """Bytes that a request body may have."""

    def reserve_body_memory(self, flow: http.HTTPFlow, size: int) -> bool:
        """Count `size` more bytes of the flow's request body; False, and not counted, if that is too much."""

    def error_response(self, status: int, message: str) -> http.Response:
        """The response for an error of which no hook is told."""


@dataclass
class GatewayRoundHook(commands.StartHook):
    """A round has ended, the answer has not.

    The addon's method `gateway_round` handles it. It may change the turn's request and set `again`.
    """

    data: "RoundEnd"


@dataclass(eq=False)
class RoundEnd:
    """The data of `GatewayRoundHook`."""

    flow: http.HTTPFlow
    turn: Turn
    again: bool = False
    """Set by the addon: send the turn's request, in another round."""

    successor: Turn | None = None
    """Set by the addon: what serves the flow from the next round on, in place of `turn`."""


@dataclass
class StopTurn(events.MessageInjected[None]):
    """The turn of this flow has to end: the process ends, or the user has killed the flow."""

    flow: http.HTTPFlow
    message: None = None
    cause: Cause = "shutdown"


@dataclass
class AnswerChanged(events.MessageInjected[None]):
    """After a piece that went past the layers, the answer of a flow does not just go on: it has ended, for example."""

    flow: http.HTTPFlow
    message: None = None


@dataclass
class ClientLeft(events.Event):
    """The client no longer reads what it is sent."""
