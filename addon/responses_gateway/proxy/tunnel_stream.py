"""mitmproxy's HTTP stream, which opens tunnels (CONNECT) to hosts that are not read without looking into them."""

import ipaddress

from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy

from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import Gateway
from responses_gateway.proxy.silent_client import SilentClientLayer
from responses_gateway.proxy.user_choice import shows_all

type Commands = layer.CommandGenerator[None]


class TunnelStream(HttpStream):
    """One request; if it is CONNECT, what is in the tunnel is read only if it may be the gateway's to answer.

    mitmproxy waits for the client's first bytes to see what it is, and connects after that. There are protocols in
    which the server speaks first.
    """

    def __init__(self, context: Context, stream_id: int, gateway: Gateway) -> None:
        super().__init__(context, stream_id)
        self._gateway = gateway

    def handle_connect_regular(self) -> Commands:
        if self.flow.response or self._is_read():
            self.child_layer = SilentClientLayer(self.context, layer.NextLayer(self.context))
            yield from self.handle_connect_finish()  # type: ignore[no-untyped-call]
            return
        if error := (yield commands.OpenConnection(self.context.server)):
            text = f"Cannot connect to {self.flow.request.host}:{self.flow.request.port}: {error}"
            self.flow.response = messages.response(502, text.encode(), {"content-type": "text/plain; charset=utf-8"})
        self.child_layer = TCPLayer(self.context, ignore=True)
        yield from self.handle_connect_finish()  # type: ignore[no-untyped-call]

    def handle_connect_upstream(self) -> Commands:
        if self.flow.response or self._is_read():
            yield from super().handle_connect_upstream()  # type: ignore[no-untyped-call]
            return
        stack = HttpUpstreamProxy.make(self.context, True)
        stack /= TCPLayer(self.context, ignore=True)
        self.child_layer = stack[0]
        yield from self.handle_connect_finish()  # type: ignore[no-untyped-call]

    def _is_read(self) -> bool:
        """Whether to look into the tunnel: what is at an address says only the client's TLS handshake."""
        host = self.flow.request.host
        return shows_all() or _is_address(host) or self._gateway.may_serve(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
