"""Sends WebSocket upgrade requests that come through the proxy to the WebSocket server."""

from collections.abc import Mapping

from mitmproxy import http

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.proxy import messages
from responses_gateway.websocket.server import SocketServer


def asks_for_socket(call: Call) -> bool:
    """Whether a call opens a WebSocket for responses."""
    return (call.method, call.path, call.headers.get("upgrade", "").lower()) == ("GET", "/responses", "websocket")


def redirect_upgrade(flow: http.HTTPFlow, headers: Mapping[str, str], server: SocketServer | None) -> None:
    """Change the flow's request so that it goes to `server`; `headers` are the client's, by lower-case name.

    Raises GatewayError 426, on which clients use POST.
    """
    if server is None:
        raise GatewayError("WebSocket is not served here; use HTTP POST.", 426, "upgrade_required")
    if headers.get("sec-websocket-version") != "13" or not headers.get("sec-websocket-key"):
        message = "The WebSocket handshake needs Sec-WebSocket-Version 13 and a Sec-WebSocket-Key."
        raise GatewayError(message, 426, "upgrade_required")
    host, port = flow.client_conn.sockname[:2]
    # Its path stays: it is what people know the connection by.
    flow.request.scheme, flow.request.host, flow.request.port = "http", "127.0.0.1", server.port
    admitted = server.admit((host, port), headers)
    flow.request.headers = messages.headers(admitted.items())
