"""Who may use the gateway as a proxy: what passes through it costs nothing, but nobody is to be served by accident.

A proxy that was given no host to listen on serves this machine only. One that others can reach needs access keys or
mitmproxy's `proxyauth`; without either, anybody could go anywhere through it, and spend the user's key.
"""

import socket
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ProxyMode, RegularMode, Socks5Mode, TransparentMode, UpstreamMode

from responses_gateway.access.rules import Access
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.arrivals import EXPLICIT
from responses_gateway.security.loopback import is_loopback

HEADER = "proxy-authorization"

_LISTENING = (*EXPLICIT, TransparentMode)
"""The proxies that anybody can connect to who reaches their port; WireGuard knows its peers."""

_HTTP = (RegularMode, UpstreamMode)
"""The proxies that can be shown a key."""


class OpenProxyError(Exception):
    """A proxy would serve everybody; the message says what to do."""


def refuse_open_proxies(specs: Iterable[str], listen_host: str, *, has_keys: bool, has_proxyauth: bool) -> None:
    """Raise OpenProxyError for a mode whose proxy other machines can reach and everybody may use.

    `specs` are the modes of mitmproxy, `listen_host` is the host for those that have none of their own.
    """
    for spec in specs:
        mode = ProxyMode.parse(spec)
        host = mode.listen_host(listen_host)
        if not isinstance(mode, _LISTENING) or not host or is_loopback(host) or has_proxyauth:
            continue
        if isinstance(mode, Socks5Mode):
            raise OpenProxyError(f"Everybody who reaches {host} could use the proxy of mode {spec}: set proxyauth.")
        if not has_keys:
            advice = "set gateway_access_keys or proxyauth, or listen on 127.0.0.1"
            raise OpenProxyError(f"Everybody who reaches {host} could use the proxy of mode {spec}: {advice}.")


class ProxyAccess:
    """The addon that refuses clients of proxies."""

    def __init__(self, access: Callable[[], Access], serves: Callable[[http.HTTPFlow], bool]) -> None:
        """`serves` says whether a flow is the gateway's to answer, so that other rules are for it."""
        self._access = access
        self._serves = serves
        self._keys: WeakKeyDictionary[Client, str] = WeakKeyDictionary()
        """What clients have shown when they opened a tunnel."""

    def key_of(self, client: Client) -> str | None:
        """The access key that a client has shown to the proxy."""
        return self._keys.get(client)

    def client_connected(self, client: Client) -> None:
        mode = client.proxy_mode
        if not isinstance(mode, _LISTENING) or _is_this_machine(client.peername[0]):
            return
        if not mode.listen_host(ctx.options.listen_host):
            client.error = "Other machines are not served, because no listen_host is set."
        elif not ctx.options.proxyauth and (isinstance(mode, Socks5Mode) or not self._access().key_digests):
            client.error = "Other machines are not served, because neither access keys nor proxyauth are set."

    def http_connect(self, flow: http.HTTPFlow) -> None:
        if flow.response is None:
            self._check(flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if isinstance(flow.client_conn.proxy_mode, _HTTP) and flow.response is None and not flow.is_replay:
            self._check(flow)
            # It is for this proxy, and not for whom the client asks.
            flow.request.headers.pop(HEADER, None)

    def _check(self, flow: http.HTTPFlow) -> None:
        client, access = flow.client_conn, self._access()
        if not access.key_digests:
            return
        key = access.proxy_key(messages.read(flow.request.headers).get(HEADER, ""))
        if key is not None:
            self._keys[client] = key
        is_let_in = client in self._keys or ctx.options.proxyauth or _is_this_machine(client.peername[0])
        if not is_let_in and not self._serves(flow):
            error = GatewayError(
                "This proxy wants one of the gateway's access keys, as the password of Proxy-Authorization: Basic …",
                407,
                "invalid_api_key",
                type="authentication_error",
            )
            headers = {"content-type": "application/json", "proxy-authenticate": 'Basic realm="responses-gateway"'}
            flow.response = messages.response(error.status, dumps(error.body()), headers)


def _is_this_machine(address: str) -> bool:
    """Whether an address is one of this machine's own."""
    host = address.partition("%")[0]
    if is_loopback(host):
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
