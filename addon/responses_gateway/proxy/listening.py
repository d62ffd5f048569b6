"""Where we listen: on loopback, unless the user says otherwise.

mitmproxy's default is every interface, and who can reach the gateway spends the user's key. A script is loaded only
when the listeners are being started, so they are moved right after.
"""

import logging
from typing import TYPE_CHECKING

from mitmproxy import ctx
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

if TYPE_CHECKING:
    from mitmproxy.addons.proxyserver import Proxyserver

LOOPBACK = "127.0.0.1"


def announce_only_loopback() -> None:
    """Keep mitmproxy quiet about listeners that are about to move: who reads the log connects to what it names."""
    if any(_moves(ProxyMode.parse(spec)) for spec in ctx.options.mode):
        logging.getLogger("mitmproxy.proxy.mode_servers").addFilter(_UntilMoved())


def keep_to_loopback() -> None:
    """Move every reverse proxy that was given no host to loopback; its port stays."""
    ctx.options.update(mode=[_on_loopback(ProxyMode.parse(spec)) for spec in ctx.options.mode])


class _UntilMoved(logging.Filter):
    """Drops what is said of reverse proxies on every interface, until one listens on loopback."""

    _moved = False

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        self._moved = self._moved or f" listening at {LOOPBACK}:" in message
        return self._moved or not (message.startswith("reverse proxy") and " at *:" in message)


def _moves(mode: ProxyMode) -> bool:
    return isinstance(mode, ReverseMode) and mode.custom_listen_host is None


def _on_loopback(mode: ProxyMode) -> str:
    if not _moves(mode):
        return mode.full_spec
    port = _bound_port(mode) or mode.listen_port(ctx.options.listen_port)
    return f"{mode.type_name}:{mode.data}@{LOOPBACK}:{port}"


def _bound_port(mode: ProxyMode) -> int | None:
    """The port that the listener of `mode` has got, which may have been the system's choice."""
    proxyserver: Proxyserver = ctx.master.addons.get("proxyserver")
    addresses = [
        address for instance in proxyserver.servers if instance.mode == mode for address in instance.listen_addrs
    ]
    return addresses[0][1] if addresses else None
