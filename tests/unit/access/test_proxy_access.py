"""Who may use the gateway as a proxy."""

import json
from base64 import b64encode
from contextlib import nullcontext

import pytest
from mitmproxy.addons.proxyauth import ProxyAuth
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow
from pydantic import SecretStr

from responses_gateway.access.proxy_access import OpenProxyError, ProxyAccess, refuse_open_proxies
from responses_gateway.access.rules import Access
from responses_gateway.settings.settings import Settings

KEY = "sk-of-the-gateway"
OPEN = Access.of(Settings())
LOCKED = Access.of(Settings(access_keys=[SecretStr(KEY)]))
AWAY = "192.0.2.7"


@pytest.mark.parametrize(
    ("spec", "listen_host", "has_keys", "has_proxyauth", "refused"),
    [
        ("regular", "0.0.0.0", False, False, True),
        ("regular", "::", False, False, True),
        ("regular@192.0.2.1:8080", "", False, False, True),
        ("upstream:http://next:3128", "0.0.0.0", False, False, True),
        ("transparent", "0.0.0.0", False, False, True),
        ("socks5", "0.0.0.0", True, False, True),
        ("socks5", "0.0.0.0", False, True, False),
        ("regular", "0.0.0.0", True, False, False),
        ("regular", "0.0.0.0", False, True, False),
        ("regular", "127.0.0.1", False, False, False),
        ("regular", "localhost", False, False, False),
        ("regular", "", False, False, False),
        ("wireguard", "0.0.0.0", False, False, False),
        ("reverse:http://upstream", "0.0.0.0", False, False, False),
    ],
)
def test_open_proxies(spec: str, listen_host: str, has_keys: bool, has_proxyauth: bool, refused: bool) -> None:
    with pytest.raises(OpenProxyError, match="could use the proxy") if refused else nullcontext():
        refuse_open_proxies([spec], listen_host, has_keys=has_keys, has_proxyauth=has_proxyauth)


@pytest.mark.parametrize(
    ("peer", "spec", "listen_host", "access", "served"),
    [
        ("127.0.0.1", "regular", "", OPEN, True),
        (AWAY, "regular", "", OPEN, False),
        (AWAY, "regular", "", LOCKED, False),
        (AWAY, "transparent", "", LOCKED, False),
        (AWAY, "regular", "0.0.0.0", OPEN, False),
        (AWAY, "regular", "0.0.0.0", LOCKED, True),
        (AWAY, "socks5", "0.0.0.0", LOCKED, False),
        ("10.0.0.1", "wireguard", "", OPEN, True),
        (AWAY, "reverse:http://upstream", "", OPEN, True),
    ],
)
def test_who_may_connect(peer: str, spec: str, listen_host: str, access: Access, served: bool) -> None:
    addon = ProxyAccess(lambda: access, lambda flow: False)
    with taddons.context(Proxyserver(), ProxyAuth(), addon) as context:
        context.options.listen_host = listen_host
        client = tflow.tclient_conn()
        client.peername, client.proxy_mode = (peer, 1), ProxyMode.parse(spec)
        addon.client_connected(client)
    assert (client.error is None) == served


@pytest.mark.parametrize(
    ("peer", "shown", "is_ours", "let_in"),
    [
        ("127.0.0.1", "", False, True),
        (AWAY, "", False, False),
        (AWAY, "", True, True),
        (AWAY, f"Bearer {KEY}", False, True),
        (AWAY, f"Basic {b64encode(f'me:{KEY}'.encode()).decode()}", False, True),
        (AWAY, f"Basic {b64encode(f'{KEY}:'.encode()).decode()}", False, True),
        (AWAY, f"Basic {b64encode(b'me:another').decode()}", False, False),
        (AWAY, "Basic %%%", False, False),
    ],
)
def test_what_may_pass(peer: str, shown: str, is_ours: bool, let_in: bool) -> None:
    """What is the gateway's to answer has the rules of its own."""
    addon = ProxyAccess(lambda: LOCKED, lambda flow: is_ours)
    with taddons.context(Proxyserver(), ProxyAuth(), addon):
        flow = tflow.tflow()
        flow.client_conn.peername = (peer, 1)
        flow.client_conn.proxy_mode = ProxyMode.parse("regular")
        flow.request.headers["proxy-authorization"] = shown
        addon.requestheaders(flow)
    assert "proxy-authorization" not in flow.request.headers
    assert (flow.response is None) == let_in
    if flow.response is not None:
        assert flow.response.status_code == 407
        assert json.loads(flow.response.content or b"")["error"]["code"] == "invalid_api_key"
        assert flow.response.headers["proxy-authenticate"].startswith("Basic ")
    assert addon.key_of(flow.client_conn) == (KEY if let_in and shown else None)
