"""Lets only this machine connect, unless the user says where to listen.

mitmproxy listens on every interface by default, and whoever can reach the gateway spends the user's key. Its listeners
are open before it loads a script, so connections of other machines are refused one by one, before anything is read.
"""

import logging

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from responses_gateway.security.loopback import is_loopback

logger = logging.getLogger(__name__)


class LoopbackOnly:
    """An addon that refuses other machines at reverse proxies that were given no host to listen on."""

    def running(self) -> None:
        if any(_is_for_this_machine(ProxyMode.parse(spec)) for spec in ctx.options.mode):
            logger.info("Only this machine may connect. To serve others, say where to listen: --listen-host ADDRESS.")

    def client_connected(self, client: Client) -> None:
        if _is_for_this_machine(client.proxy_mode) and not is_loopback(client.peername[0]):
            client.error = "Other machines are not served, because no listen_host is set."


def _is_for_this_machine(mode: ProxyMode) -> bool:
    return isinstance(mode, ReverseMode) and not (ctx.options.listen_host or mode.custom_listen_host)
