"""How requests come to the gateway: sent to it, through it as a proxy, or from itself.

A reverse proxy gets requests that are all for the gateway. Every other mode of mitmproxy gets the requests of a client
for all kinds of hosts; those that are for an API that the gateway answers are its own, the others only pass.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.proxy.mode_specs import (
    LocalMode,
    ProxyMode,
    RegularMode,
    ReverseMode,
    Socks5Mode,
    TransparentMode,
    TunMode,
    UpstreamMode,
    WireGuardMode,
)

from responses_gateway.proxy.inner_listener import MODE as INNER
from responses_gateway.proxy.inner_listener import InnerListener, Pass
from responses_gateway.proxy.replay import listener_of

EXPLICIT = (RegularMode, UpstreamMode, Socks5Mode)
"""The modes in which a client says where it wants to go."""

PROXIES = (*EXPLICIT, TransparentMode, WireGuardMode, LocalMode, TunMode)
"""The modes in which the gateway is a proxy for the requests of clients that do not know it."""

type Target = Callable[[str, str], str | None]
"""Takes host and target of a request, gives the target as the endpoints know it; None if it is no API's."""


class Arrival(NamedTuple):
    """A request that is the gateway's to answer."""

    mode: ProxyMode
    """The listener that it came through."""

    target: str
    """Path and query as the endpoints know them."""

    origin: str | None = None
    """Scheme, host and port that the client asked, when it came through a proxy."""

    owner: str | None = None
    """Who was let in, when the gateway gives the request to itself."""

    @property
    def host(self) -> str | None:
        """The host that the client asked, when it came through a proxy."""
        return urlsplit(self.origin).hostname if self.origin is not None else None


class Arrivals:
    """Says of each flow how it came."""

    def __init__(self, target: Target, inner: InnerListener, modes: Callable[[], Sequence[str]]) -> None:
        """`modes` gives the specifications of all modes of this process."""
        self._target = target
        self._inner = inner
        self._modes = modes
        self._known: WeakKeyDictionary[http.HTTPFlow, Arrival] = WeakKeyDictionary()
        """Kept, because a flow can be sent elsewhere (a WebSocket)."""

    def of(self, flow: http.HTTPFlow) -> Arrival | None:
        """How a flow came; None when it only passes."""
        if flow.is_replay == "request" or flow not in self._known:
            found = self._found(flow)
            if found is None:
                return None
            self._known[flow] = found
        return self._known[flow]

    def admit(self, flow: http.HTTPFlow) -> bool:
        """Look at the head of a new request. Returns False for one that came in where only the gateway itself may."""
        if flow.client_conn.proxy_mode != INNER or flow.is_replay:
            return True
        shown = self._inner.shown_pass(flow.request.path)
        if shown is None:
            return False
        own, target = shown
        flow.request.url = own.origin + own.path
        self._known[flow] = Arrival(ProxyMode.parse(own.mode), target, own.origin, own.owner)
        return True

    async def base_url(self, flow: http.HTTPFlow, owner: str) -> str | None:
        """Where the gateway gives itself a request in the name of a client that came through a proxy.

        None for clients that came to the gateway itself: where they came in, the gateway can come in, too.
        """
        arrival = self.of(flow)
        if arrival is None or arrival.origin is None:
            return None
        path = flow.request.path.partition("?")[0]
        return await self._inner.base_url(Pass(arrival.mode.full_spec, arrival.origin, path, owner))

    def _found(self, flow: http.HTTPFlow) -> Arrival | None:
        mode = flow.client_conn.proxy_mode
        if isinstance(mode, ReverseMode) and mode != INNER:
            return Arrival(listener_of(flow, self._modes()) or mode, flow.request.path)
        if not isinstance(mode, PROXIES) and not (mode == INNER and flow.is_replay):
            return None
        host, scheme, port = flow.request.pretty_host, flow.request.scheme, flow.request.port
        target = self._target(host, flow.request.path)
        if target is None or flow.request.method == "CONNECT":
            return None
        specs = self._modes()
        if flow.is_replay == "request" and mode.full_spec not in specs:
            mode = first_listener(specs) or mode
        return Arrival(mode, target, f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")


def first_listener(specs: Iterable[str]) -> ProxyMode | None:
    """The mode that stands for all: the first reverse proxy, else the first proxy."""
    modes = list(map(ProxyMode.parse, specs))
    reverse = (mode for mode in modes if isinstance(mode, ReverseMode))
    return next(reverse, None) or next((mode for mode in modes if isinstance(mode, PROXIES)), None)


def arrived_at_reverse_proxy(flow: http.HTTPFlow) -> Arrival | None:
    """How a flow came where the gateway is no proxy but a reverse one."""
    mode = flow.client_conn.proxy_mode
    return Arrival(mode, flow.request.path) if isinstance(mode, ReverseMode) else None
