"""Makes mitmproxy's requests and responses. No other module does, so that all headers and URLs are checked.

The checks are in `security.header_fields`.
"""

from collections.abc import Iterable, Mapping

from mitmproxy import http

from responses_gateway.security.header_fields import encoded, safe_url


def headers(fields: Iterable[tuple[str, str]]) -> http.Headers:
    """mitmproxy's headers from names and values. Raises UnsafeField."""
    return http.Headers(encoded(fields))


def read(fields: http.Headers) -> dict[str, str]:
    """Header fields by lower-case name, as text: bytes that are no UTF-8 are taken for Latin-1."""
    return {name.lower(): _text(value) for name, value in fields.items()}


def request(method: str, url: str, fields: Mapping[str, str], body: bytes = b"") -> http.Request:
    """A request with these header fields, and `host` and (with a body) `content-length`. Raises UnsafeField."""
    made = http.Request.make(method, safe_url(url), body)
    name = f"[{made.host}]" if ":" in made.host else made.host  # an IPv6 address: RFC 3986, section 3.2.2
    host = name if made.port in (80, 443) else f"{name}:{made.port}"
    made.headers = headers([("host", host), *fields.items()])
    if body:
        made.headers["content-length"] = str(len(body))
    return made


def for_proxy(made: http.Request, authorization: str | None) -> http.Request:
    """A copy of a request without TLS, in the form in which a proxy takes it (RFC 9112, section 3.2.2)."""
    copy = made.copy()
    copy.authority = copy.headers["host"]
    if authorization is not None:
        log_in(copy, authorization)
    return copy


def log_in(made: http.Request, authorization: str) -> None:
    """Tell a proxy who asks, unless the request says so already. Raises UnsafeField."""
    if "proxy-authorization" not in made.headers:
        fields = headers([("proxy-authorization", authorization)])
        made.headers = http.Headers((*made.headers.fields, *fields.fields))


def response(status: int, body: bytes = b"", fields: Mapping[str, str] | None = None) -> http.Response:
    """A response with these header fields and `content-length`. Raises UnsafeField."""
    made = http.Response.make(status, body)
    made.headers = headers([("content-length", str(len(body))), *(fields or {}).items()])
    return made


def _text(value: str) -> str:
    """Text from what mitmproxy has decoded as UTF-8, with a surrogate for each byte that was not."""
    data = value.encode("utf-8", "surrogateescape")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
