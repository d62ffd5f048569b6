"""What clients are told when the connection to an upstream fails, by the proxy layer's causes."""

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.proxy.contract import Failure
from responses_gateway.proxy.guard import MESSAGE

_WRONG_ADDRESS = {
    "Certificate verify failed": "mitmproxy's option ssl_verify_upstream_trusted_ca names an authority of your own.",
    "does not speak TLS": "Is it http:// instead of https://?",
}
"""What mitmproxy says of a TLS handshake that will always fail, and what to do about it."""

_PROXY_SAYS = "refused HTTP CONNECT request: "
"""What mitmproxy says of a proxy, before the status."""

_WRONG_PROXY = {
    "407 ": "The user and password for it belong into the variable that names it: http://user:password@host:port.",
    _PROXY_SAYS + "403": "NO_PROXY names the hosts that are reached without it.",
    "Certificate verify failed": "mitmproxy's option ssl_verify_upstream_trusted_ca names an authority of your own.",
    "does not speak TLS": "Is it http:// instead of https://?",
}
"""The same for a proxy on the way, and what it says itself."""


def failure_error(failure: Failure, upstream: str, base_url: str) -> GatewayError:
    """`upstream` is the name of the provider."""
    where, seconds = f"{upstream} ({base_url})", f"{failure.seconds:g} s"
    match failure.cause:
        case "refused":
            return _unreachable(where, failure)
        case "connect_timeout":
            way = f" through the proxy {failure.proxy}" if failure.proxy else ""
            what = f"{where} did not accept a connection{way} within {seconds}"
            return server_error(504, f"{what} (gateway_connect_timeout).")
        case "first_byte_timeout":
            return server_error(504, f"{where} did not begin to answer within {seconds} (gateway_first_byte_timeout).")
        case "idle_timeout":
            return server_error(504, f"{where} sent no content for {seconds} (gateway_idle_timeout).")
        case "queue_timeout":
            return server_error(504, f"{where} sent nothing but keep-alives for {seconds} (gateway_queue_timeout).")
        case "turn_timeout":
            return server_error(504, f"The turn with {where} is not over after {seconds} (gateway_turn_timeout).")
        case "broken":
            return server_error(502, f"{where} closed the connection before its answer was complete: {failure.text}.")
        case "too_large":
            return server_error(502, f"The answer of {where} is too large: {failure.text}.")
        case "shutdown":
            return server_error(503, "the gateway is shutting down")
        case "killed":
            # A status of the client's, because it must not repeat the request.
            return GatewayError("The turn was killed in mitmproxy.", 400, "killed", type="server_error")
        case "crashed":
            return server_error(500, MESSAGE)


def proxy_failed(failure: Failure) -> bool:
    """Whether the proxy on the way is to blame, and not the upstream behind it: of that, a proxy says 502 to 504."""
    return failure.cause == "refused" and bool(failure.proxy) and _PROXY_SAYS + "5" not in failure.text


def _unreachable(where: str, failure: Failure) -> GatewayError:
    """Connections were refused. An address that can never work is as permanent an error as a wrong key."""
    why = failure.text.rstrip(".")
    way = f" through the proxy {failure.proxy}" if failure.proxy else ""
    message = f"Cannot connect to {where}{way}: {why}."
    hints = _WRONG_PROXY if failure.proxy else _WRONG_ADDRESS
    hint = next((hint for words, hint in hints.items() if words in why), None)
    if hint is None:
        return server_error(502, message)
    return GatewayError(f"{message} {hint}", 400, "upstream_unreachable", type="server_error")


def server_error(status: int, message: str) -> GatewayError:
    """An error that the client is not to blame for."""
    return GatewayError(message, status, "server_error", type="server_error")
