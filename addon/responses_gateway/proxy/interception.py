"""The gateway as a proxy: what is read of a client's connections, and what only passes.

TLS ends here for the hosts of APIs that the gateway answers, and for no others. What passes is neither changed nor
kept: it does not stay in mitmproxy's list of flows. Whoever sets allow_hosts or ignore_hosts decides that himself.
"""

import asyncio
from collections.abc import Callable

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import TCPLayer, UDPLayer
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.tls import ClientHelloData

from responses_gateway.proxy.arrivals import PROXIES
from responses_gateway.proxy.contract import Gateway
from responses_gateway.proxy.layer import GatewayLayer
from responses_gateway.proxy.private_parts import SILENT_CLIENTS, missing_parts
from responses_gateway.proxy.silent_client import serve_silent_client
from responses_gateway.proxy.user_choice import shows_all, user_decides


class Interception:
    """The addon for all modes but reverse proxies."""

    def __init__(self, gateway: Gateway, serves: Callable[[http.HTTPFlow], bool]) -> None:
        """`serves` says whether a flow is the gateway's to answer."""
        self._gateway = gateway
        self._serves = serves

    def client_connected(self, client: Client) -> None:
        server = ctx.master.addons.get("proxyserver")
        handler = server.connections.get(client.id) if server else None
        if handler is not None and isinstance(client.proxy_mode, PROXIES) and not missing_parts(SILENT_CLIENTS):
            serve_silent_client(handler)

    def tls_clienthello(self, data: ClientHelloData) -> None:
        """A client begins TLS, with the proxy itself or with the host that it wants to reach."""
        client, address = data.context.client, data.context.server.address
        if not isinstance(client.proxy_mode, PROXIES) or address is None or user_decides():
            return
        host = data.client_hello.sni or address[0]
        # What comes over QUIC stays whole: those who call APIs come over TCP.
        if client.transport_protocol != "tcp" or not self._gateway.may_serve(host):
            data.ignore_connection = True

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Let mitmproxy choose, and take the gateway's layer where it chooses HTTP."""
        context = nextlayer.context
        if nextlayer.layer is not None or not isinstance(context.client.proxy_mode, PROXIES):
            return
        ctx.master.addons.get("nextlayer").next_layer(nextlayer)
        chosen = nextlayer.layer
        if isinstance(chosen, HttpLayer) and context.client.transport_protocol == "tcp":
            context.layers.remove(chosen)
            nextlayer.layer = GatewayLayer(context, self._gateway, chosen.mode)
        elif isinstance(chosen, TCPLayer | UDPLayer) and not shows_all():
            # Without a flow, nothing of it is shown or kept.
            chosen.flow = None

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if self._only_passes(flow):
            # mitmproxy puts it into its list after this hook.
            asyncio.get_running_loop().call_soon(_hide, flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if self._only_passes(flow) and flow.response is not None:
            flow.response.stream = True

    def _only_passes(self, flow: http.HTTPFlow) -> bool:
        passes = isinstance(flow.client_conn.proxy_mode, PROXIES) and not self._serves(flow)
        return passes and flow.live and not flow.is_replay and not shows_all()


def _hide(flow: http.HTTPFlow) -> None:
    """Take a flow out of mitmproxy's list, which would end one that is live."""
    view = ctx.master.addons.get("view")
    if view is not None:
        live, flow.live = flow.live, False
        view.remove([flow])
        flow.live = live
