"""Sends WebSocket upgrade requests that come through the proxy to the WebSocket server."""

from urllib.parse import urlsplit

from mitmproxy import http
from mitmproxy.connection import Server

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.proxy import messages
from responses_gateway.websocket.server import SocketServer


def asks_for_socket(call: Call) -> bool:
    """Whether a call opens a WebSocket for responses."""
    return (call.method, call.path, call.headers.get("upgrade", "").lower()) == ("GET", "/responses", "websocket")


def redirect_upgrade(flow: http.HTTPFlow, call: Call, server: SocketServer | None) -> None:
    """Change the flow's request so that it goes to `server`, which posts turns to where the call could have come.

    Raises GatewayError 426, on which clients use POST.
    """
    if server is None:
        raise GatewayError("WebSocket is not served here; use HTTP POST.", 426, "upgrade_required")
    headers = call.headers
    if headers.get("sec-websocket-version") != "13" or not headers.get("sec-websocket-key"):
        message = "The WebSocket handshake needs Sec-WebSocket-Version 13 and a Sec-WebSocket-Key."
        raise GatewayError(message, 426, "upgrade_required")
    base_url = urlsplit(call.base_url)
    address = (base_url.hostname or "", base_url.port or 0)
    # Its path stays: it is what people know the connection by.
    flow.request.scheme, flow.request.host, flow.request.port = "http", "127.0.0.1", server.port
    flow.server_conn = Server(address=("127.0.0.1", server.port))
    admitted = server.admit(address, headers, base_url.path)
    flow.request.headers = messages.headers(admitted.items())
