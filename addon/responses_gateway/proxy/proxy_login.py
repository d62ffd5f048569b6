"""Tells the proxy on the way to upstreams who asks."""

from collections.abc import Callable

from mitmproxy import http
from mitmproxy.proxy.mode_specs import UpstreamMode

from responses_gateway.proxy import messages
from responses_gateway.proxy.upstream_proxies import UpstreamProxies


class ProxyLogin:
    """The addon that does so where mitmproxy speaks to the proxy: in CONNECT, and for what passes without TLS.

    mitmproxy's own option upstream_auth, which comes first, is for reverse proxies as well: there it takes the place of
    the client's key.
    """

    def __init__(self, proxies: Callable[[], UpstreamProxies], serves: Callable[[http.HTTPFlow], bool]) -> None:
        """`serves` says whether a flow is the gateway's to answer."""
        self._proxies = proxies
        self._serves = serves

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        self._log_in(flow, flow.server_conn.address)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        mode = flow.client_conn.proxy_mode
        if isinstance(mode, UpstreamMode) and flow.request.scheme == "http" and not self._serves(flow):
            self._log_in(flow, mode.address)

    def _log_in(self, flow: http.HTTPFlow, address: tuple[str, int] | None) -> None:
        authorization = self._proxies().authorization(address)
        if authorization is not None:
            messages.log_in(flow.request, authorization)
