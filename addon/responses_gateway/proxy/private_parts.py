"""The parts of mitmproxy that the short way of a streamed answer uses although mitmproxy promises nothing about them.

They are checked once, at the start. If one is missing, answers go through mitmproxy's layers as they do anyway when an
upstream has TLS: they cost more, and are the same.
"""

import functools

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.layers.http import HttpClient, HttpLayer
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO, TimeoutWatchdog
from mitmproxy.proxy.tunnel import TunnelLayer

PARTS: tuple[tuple[type, str], ...] = (
    # `Shortcut` stands before the asyncio protocol of an upstream's connection.
    (Proxyserver, "connections"),
    (ConnectionHandler, "client"),
    (ConnectionHandler, "transports"),
    (ConnectionHandler, "timeout_watchdog"),
    (ConnectionHandler, "server_event"),
    (ConnectionIO, "writer"),
    (TimeoutWatchdog, "register_activity"),
    # `Passage` stands before the HTTP/1 layer of that connection.
    (HttpLayer, "connections"),
    (HttpLayer, "register_connection"),
    (HttpClient, "child_layer"),
    (TunnelLayer, "child_layer"),
    (Http1Client, "buf"),
)
"""Classes, and what their instances have: a method, or an attribute that the class annotates."""


@functools.cache
def missing_parts() -> tuple[str, ...]:
    """The names of those that this mitmproxy does not have."""
    return tuple(f"{owner.__module__}.{owner.__name__}.{name}" for owner, name in PARTS if not _has(owner, name))


def _has(owner: type, name: str) -> bool:
    return hasattr(owner, name) or any(name in vars(base).get("__annotations__", ()) for base in owner.__mro__)
