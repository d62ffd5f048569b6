"""A turn that notes what it is told, on a wire whose addon decides on its rounds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands

from responses_gateway.proxy.contract import GatewayRoundHook, Limits
from unit.proxy_layers import Turn, Wire

END = b"0\r\n\r\n"
LIMITS = Limits(heartbeat=0, connect=10, first_byte=20, idle=30)


@dataclass
class Noted(Turn):
    """Notes what it is told; `is_streamed` says how it takes answers."""

    limits: Limits = LIMITS
    is_streamed: bool = True
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    rest: bytes = b"."
    """What `finish` gives; it ends the answer, unless it is empty."""

    def begin(self, status: int, headers: http.Headers) -> bool:
        self.statuses.append(status)
        return self.is_streamed

    def take(self, body: bytes) -> None:
        self.bodies.append(body)

    def finish(self) -> bytes:
        self.ended = self.rest != b""
        return self.rest

    def answer(self) -> http.Response:
        return http.Response.make(200, b"<%b>" % b"|".join(self.bodies))

    def presentable(self, body: bytes) -> bytes:
        return body.replace(b"secret", b"***")


@dataclass
class Rounds(Wire):
    """Its addon wants as many further rounds."""

    further: int = 0
    do: Callable[[commands.StartHook], Any] = lambda _: None

    def hooked(self, hook: commands.StartHook) -> None:
        if isinstance(hook, GatewayRoundHook):
            hook.data.again, self.further = self.further > 0, self.further - 1
        self.do(hook)


class Clock:
    """Takes the place of the time."""

    now = 1000.0


def served(turn: Turn, *answer: bytes, further: int = 0, decides: bool = True) -> Rounds:
    """A wire on which the client has asked, and the upstream has answered this much."""
    wire = Rounds(turn, further=further, decides=decides)
    wire.connect()
    for data in answer:
        wire.upstream(data)
    return wire


def got(wire: Wire) -> bytes:
    return b"".join(wire.sent)


def body(wire: Wire) -> bytes:
    return got(wire).partition(b"\r\n\r\n")[2]


def causes(wire: Wire) -> list[str]:
    return [failure.cause for failure in wire.served.failures]


def whole(content: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content)
