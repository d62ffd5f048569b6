"""Who may connect when nobody said where to listen."""

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from responses_gateway.proxy.listening import LoopbackOnly

OPEN = "reverse:http://upstream:80"


@pytest.mark.parametrize(
    ("peer", "mode", "listen_host", "served"),
    [
        ("127.0.0.1", OPEN, "", True),
        ("127.8.8.8", OPEN, "", True),
        ("::1", OPEN, "", True),
        ("::ffff:127.0.0.1", OPEN, "", True),
        ("192.0.2.7", OPEN, "", False),
        ("::ffff:192.0.2.7", OPEN, "", False),
        ("fe80::1%eth0", OPEN, "", False),
        ("0.0.0.0", OPEN, "", False),
        ("192.0.2.7", OPEN, "0.0.0.0", True),
        ("192.0.2.7", f"{OPEN}@0.0.0.0:4141", "", True),
        ("192.0.2.7", f"{OPEN}@4141", "", False),
        ("192.0.2.7", "regular", "", True),
    ],
)
def test_who_is_served(peer: str, mode: str, listen_host: str, served: bool) -> None:
    addon = LoopbackOnly()
    with taddons.context(Proxyserver(), addon) as context:
        context.options.listen_host = listen_host
        client = tflow.tclient_conn()
        client.peername, client.proxy_mode = (peer, 1), ProxyMode.parse(mode)
        addon.client_connected(client)
    assert (client.error is None) == served
