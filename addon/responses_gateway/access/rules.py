"""Who may use the gateway: keys, and protection against web pages that would spend the user's key.

A page in the user's browser can send requests to loopback. It cannot hide its Origin; and when its own host name is
made to point here (DNS rebinding), it cannot hide that name in Host. For requests without an Origin (pictures, links),
the browser says in Sec-Fetch-Site that another site is behind them (https://www.w3.org/TR/fetch-metadata/).
"""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from responses_gateway.access.owner import named_by, owner_of
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.security.loopback import leads_here
from responses_gateway.settings.settings import Settings

HEALTH_PATHS = frozenset({"/health", "/healthz", "/readyz"})
"""Paths that need no key, unless they are asked for details."""

PREFLIGHT_MAX_AGE = 600
"""Seconds that a browser may remember the answer to a preflight."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules, made from the settings. Header names are in lower case everywhere."""

    key_digests: tuple[bytes, ...]
    hosts: tuple[str, ...]
    origins: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        digests = tuple(_digest(key.get_secret_value()) for key in settings.access_keys)
        hosts = tuple(host.lower() for host in settings.allowed_hosts)
        origins = tuple(origin.lower().rstrip("/") for origin in settings.allowed_origins)
        return cls(digests, hosts, origins)

    def check(self, target: str, host: str, headers: Mapping[str, str], address: str) -> None:
        """Raise GatewayError for a request that is refused: 421 for its Host, 403 for its Origin, 401 for its key.

        `target` is the request target: path and query. `host` is the request's authority, with or without port;
        `address` is where the connection arrived.
        """
        if not self._is_our_host(host, address):
            name = _host_name(host)
            raise GatewayError(
                f"This gateway does not answer under the name {name!r}. Add it to allowed_hosts if that is wanted.",
                421,
                "host_not_allowed",
            )
        origin = headers.get("origin")
        if origin is not None and not self.allows_origin(origin) and not _same_origin(origin, host):
            raise GatewayError(
                f"Web pages of {origin!r} may not call this gateway. Add it to allowed_origins if that is wanted.",
                403,
                "origin_not_allowed",
            )
        if headers.get("sec-fetch-site") == "cross-site" and (origin is None or not self.allows_origin(origin)):
            raise GatewayError(
                "Web pages may not call this gateway. Add their origin to allowed_origins if that is wanted.",
                403,
                "origin_not_allowed",
            )
        if self.key_digests and not _is_open(target) and not self._has_key(headers):
            raise GatewayError(
                "This gateway wants one of its access keys, as Authorization: Bearer … or x-api-key: …",
                401,
                "invalid_api_key",
                type="authentication_error",
            )

    def proxy_key(self, shown: str) -> str | None:
        """The access key in a Proxy-Authorization header; None when there is none.

        It is what a proxy's URL has as user or password, or a token.
        """
        scheme, _, value = shown.partition(" ")
        offered = [value.strip()] if scheme.lower() == "bearer" else list(_basic(value)) if scheme else []
        return next((key for key in offered if self._has_key({"x-api-key": key})), None)

    def owner(self, headers: Mapping[str, str]) -> str:
        """The owner of everything that is remembered of a request: a name for the access key that let it in.

        Without access keys, it is a name for the key that the client sends; "" for requests without a key.
        """
        if not self.key_digests:
            return owner_of(headers)
        return next((named_by(key) for key in _offered(headers) if _digest(key) in self.key_digests), "")

    def allows_origin(self, origin: str) -> bool:
        """Whether web pages of that origin may call the gateway."""
        return _matches(origin.lower(), self.origins)

    def _is_our_host(self, host: str, address: str) -> bool:
        name = _host_name(host)
        return not name or name == address.lower() or leads_here(name) or _matches(name, self.hosts)

    def _has_key(self, headers: Mapping[str, str]) -> bool:
        # Every pair is compared, so that the time it takes says nothing about the keys.
        pairs = [(_digest(key), digest) for key in _offered(headers) for digest in self.key_digests]
        return sum(hmac.compare_digest(one, other) for one, other in pairs) > 0


def asks_for_details(query: str) -> bool:
    """Whether a health check asks for the state of the upstreams: `?verbose`, with any value."""
    return any(name == "verbose" for name, _ in parse_qsl(query, keep_blank_values=True))


def _is_open(target: str) -> bool:
    """Whether a request needs no key."""
    path, _, query = target.partition("?")
    return path.removeprefix("/v1").rstrip("/") in HEALTH_PATHS and not asks_for_details(query)


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks if a page may send a request (CORS, https://fetch.spec.whatwg.org/#cors-preflight-fetch)."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The answer to a preflight of an allowed origin, besides `origin_headers`."""
    allowed = {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-max-age": str(PREFLIGHT_MAX_AGE),
    }
    if wanted := headers.get("access-control-request-headers"):
        allowed["access-control-allow-headers"] = wanted
    return allowed


def origin_headers(origin: str) -> dict[str, str]:
    """The headers that every answer to a page of an allowed origin has."""
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "x-responses-gateway-ledger",
        "vary": "origin",
    }


def _offered(headers: Mapping[str, str]) -> list[str]:
    """The keys that a request brings."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    offered = [token.strip()] if scheme.lower() == "bearer" else []
    return [*offered, headers.get("x-api-key", "")]


def _basic(value: str) -> tuple[str, ...]:
    """User name and password (RFC 7617)."""
    try:
        return tuple(b64decode(value, validate=True).decode().split(":", 1))
    except ValueError:
        return ()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _host_name(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return authority.lower()


def _same_origin(origin: str, host: str) -> bool:
    return urlsplit(origin).scheme in ("http", "https") and origin.partition("://")[2].lower() == host.lower()


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
