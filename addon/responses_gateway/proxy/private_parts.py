"""Parts of mitmproxy that features of this folder use although mitmproxy promises nothing about them.

Each feature is checked once, at the start. If mitmproxy lacks one of its parts, the feature is not used, mitmproxy's
ordinary way is taken instead, and the gateway says so once in its log.
"""

import functools
import inspect
from typing import NamedTuple

from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.layers.http import HttpClient, HttpLayer
from mitmproxy.proxy.layers.http._base import HttpConnection
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Connection
from mitmproxy.proxy.layers.modes import DestinationKnown
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO, TimeoutWatchdog
from mitmproxy.proxy.tunnel import TunnelLayer


class Feature(NamedTuple):
    """Something that works only with certain parts of mitmproxy."""

    without: str
    """What happens without it, for the log."""

    parts: tuple[tuple[type, str], ...]
    """Classes, and what their instances have: a method, or an attribute that the class annotates."""


_HANDLER = ((Proxyserver, "connections"), (ConnectionHandler, "server_event"))
"""How an addon finds the handler of a client's connection, and sends an event to its layers."""

_TRANSPORTS = ((ConnectionHandler, "transports"), (ConnectionIO, "writer"))
"""How an addon finds the sockets of that handler."""

UPSTREAM_CONNECTION = Feature(
    "interim responses, trailers and connections that the upstream has closed are dealt with as mitmproxy does,"
    " and streamed answers cost more",
    (
        # `UpstreamPoolLayer` puts it in the place of mitmproxy's HTTP/1 layer.
        (HttpLayer, "connections"),
        (HttpLayer, "register_connection"),
        (HttpLayer, "get_connection"),
        (HttpClient, "child_layer"),
        (TunnelLayer, "child_layer"),
        # `GatewayHttp1Client` overrides these methods, and reads and sets these attributes.
        (Http1Client, "send"),
        (Http1Client, "read_headers"),
        (Http1Client, "read_body"),
        (Http1Connection, "body_reader"),
        (Http1Connection, "request"),
        (Http1Connection, "response"),
        (Http1Connection, "stream_id"),
        (HttpConnection, "conn"),
    ),
)
"""`upstream_connection`, and what reads over trailers (`trailers`)."""

FAST_PATH = Feature(
    "streamed answers go through all of mitmproxy's layers and cost more",
    (
        # `SocketFastPath` stands before the asyncio protocol of an upstream's connection.
        *_HANDLER,
        *_TRANSPORTS,
        (ConnectionHandler, "client"),
        (ConnectionHandler, "timeout_watchdog"),
        (TimeoutWatchdog, "register_activity"),
        # `FastPath` stands before the HTTP/1 layer of that connection.
        (Http1Client, "buf"),
    ),
)
"""`fast_path` and `socket_fast_path`; where a client speaks TLS, or a proxy is on the way, there is only the former.
Needs UPSTREAM_CONNECTION."""

CLIENT_WATCH = Feature(
    "a client that has sent its last byte is taken for one that has left",
    (*_HANDLER, *_TRANSPORTS),
)
"""`client_watch`."""

SILENT_CLIENTS = Feature(
    "a client of a SOCKS or transparent proxy that waits for the server to speak first waits for ever",
    (*_HANDLER, (ConnectionHandler, "layer"), (DestinationKnown, "finish_start"), (DestinationKnown, "child_layer")),
)
"""`silent_client`."""

GRACEFUL_END = Feature("turns that still run when the process ends are cut off", _HANDLER)
"""`shutdown`."""

FEATURES = (UPSTREAM_CONNECTION, FAST_PATH, CLIENT_WATCH, SILENT_CLIENTS, GRACEFUL_END)


@functools.cache
def missing_parts(feature: Feature) -> tuple[str, ...]:
    """The names of the parts of a feature that this mitmproxy does not have."""
    return tuple(
        f"{owner.__module__}.{owner.__name__}.{name}" for owner, name in feature.parts if not _has(owner, name)
    )


def missing_features() -> list[str]:
    """A line for the log about each feature that this mitmproxy does not support."""
    return [
        f"{feature.without}, because it lacks {', '.join(missing)}"
        for feature in FEATURES
        if (missing := missing_parts(feature))
    ]


def _has(owner: type, name: str) -> bool:
    return hasattr(owner, name) or any(name in inspect.get_annotations(base) for base in owner.__mro__)
