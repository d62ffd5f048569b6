"""Reads the client's request out of a flow of mitmproxy."""

from collections.abc import Mapping

from mitmproxy import http

from responses_gateway.protocol import encoding
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call


def call_of(
    flow: http.HTTPFlow,
    headers: Mapping[str, str],
    owner: str,
    body_limit: int,
    target: str | None = None,
    base_url: str | None = None,
) -> Call:
    """`headers` are the client's, by lower-case name; `owner` says who the client is; `body_limit` is in bytes.

    `target` and `base_url` stand for the request's own, where it was sent to another host. Raises GatewayError for a
    body that cannot be decoded.
    """
    request = flow.request
    body = _decoded(request, body_limit)
    own_url = base_url or _listener_url(flow)
    return Call.parse(request.method, target or request.path, headers, body, own_url, flow.id, owner)


def _listener_url(flow: http.HTTPFlow) -> str:
    host, port = flow.client_conn.sockname[:2]
    scheme = "https" if flow.client_conn.tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _decoded(request: http.Request, limit: int) -> bytes:
    """The request's body without its content-encoding. Raises GatewayError."""
    raw = request.raw_content or b""
    try:
        return encoding.decode(raw, request.headers.get("content-encoding", ""), limit)
    except encoding.TooLarge:
        # The body stays in the flow, and whoever looked at it would unpack all of it.
        del request.headers["content-encoding"]
        message = f"The decoded request body is larger than {limit} bytes (gateway_body_limit)."
        raise GatewayError(message, 413, "request_too_large") from None
    except (ValueError, *encoding.ERRORS) as error:
        raise GatewayError(f"The request body cannot be decoded: {error}", code="invalid_encoding") from None
