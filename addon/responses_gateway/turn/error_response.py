"""Errors as HTTP responses."""

from mitmproxy import http

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy import messages


def error_response(error: GatewayError) -> http.Response:
    """An error as the whole answer."""
    headers = {"content-type": "application/json"}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return messages.response(error.status, dumps(error.body()), headers)
