"""Events that the gateway's HTTP layer sends to its own streams."""

from dataclasses import dataclass

from mitmproxy.proxy import events

from responses_gateway.proxy.contract import Cause


@dataclass
class TimerFired(events.Event):
    """A time for which the stream asked (`due`) may have come; `now` as of time.monotonic()."""

    now: float


@dataclass
class ReadDone(events.Event):
    """All that one read from the upstream brought has been handed to the stream, or was translated on the fast path."""


@dataclass
class EndTurn(events.Event):
    """The turn has to end at once."""

    cause: Cause


@dataclass
class CheckClient(events.Event):
    """The client has sent its last byte. Whether it still reads shows only when it is sent something."""
