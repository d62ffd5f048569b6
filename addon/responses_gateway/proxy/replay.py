"""Serves mitmproxy's replays (`replay.client`, mitmweb's Replay button) as every other request.

mitmproxy replays a flow through layers that it builds for that, with the flow in the place of a client. For flows of
the gateway, the HTTP layer among them is `GatewayLayer`.
"""

from collections.abc import Callable, Iterable

from mitmproxy import http
from mitmproxy.addons import clientplayback
from mitmproxy.options import Options
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from responses_gateway.proxy.contract import Gateway
from responses_gateway.proxy.layer import GatewayLayer

_MitmproxyReplay = clientplayback.ReplayHandler

type Listener = Callable[[http.HTTPFlow], ProxyMode | None]
"""Says which listener a flow belongs to; None when it is not the gateway's."""


class GatewayReplay(_MitmproxyReplay):
    """One replay of a flow of the gateway."""

    def __init__(self, flow: http.HTTPFlow, options: Options, gateway: Gateway) -> None:
        super().__init__(flow, options)
        context = self.layer.context
        self.layer = GatewayLayer(context, gateway)
        self.layer.connections[context.client] = clientplayback.MockServer(flow, context.fork())

    async def replay(self) -> None:
        try:
            await super().replay()
        finally:
            # The wakeups that the layer asked for, perhaps in minutes, are of no use any more.
            while self.wakeup_timer:
                self.wakeup_timer.pop().cancel()


class Replays:
    """Replaces mitmproxy's handler of replays, between `install` and `remove`."""

    def __init__(self, gateway: Gateway, listener: Listener) -> None:
        self._gateway = gateway
        self._listener = listener

    def install(self) -> None:
        clientplayback.ReplayHandler = self._handler  # type: ignore[assignment, misc]

    def remove(self) -> None:
        clientplayback.ReplayHandler = _MitmproxyReplay  # type: ignore[misc]

    def _handler(self, flow: http.HTTPFlow, options: Options) -> clientplayback.ReplayHandler:
        if self._listener(flow) is None:
            return _MitmproxyReplay(flow, options)
        return GatewayReplay(flow, options, self._gateway)


def listener_of(flow: http.HTTPFlow, specs: Iterable[str]) -> ReverseMode | None:
    """The listener that a flow came through, or is replayed for; None when it is no reverse proxy's.

    `specs` are the modes of this process. A flow that was loaded is replayed to today's upstream, not to one that its
    file names: the key is meant for the former.
    """
    own = flow.client_conn.proxy_mode
    if not isinstance(own, ReverseMode) or flow.is_replay != "request":
        return own if isinstance(own, ReverseMode) else None
    modes = [mode for mode in map(ProxyMode.parse, specs) if isinstance(mode, ReverseMode)]
    return modes[0] if modes and own not in modes else own
