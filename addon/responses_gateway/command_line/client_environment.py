"""How a client is told of the gateway by arguments and environment variables, without changing any file of the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from responses_gateway.command_line.codex_config import ANY_KEY, CLIENT_KEY_VARIABLE
from responses_gateway.proxy.upstream_proxies import UpstreamProxies

_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE")
"""Where runtimes look for the authorities that they trust: OpenSSL, requests, curl, Node.js, Codex."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Proxy:
    """The gateway as a proxy."""

    url: str
    certificates: Path
    """A file with the authorities that the client is to trust, the proxy's own among them."""


@dataclass(frozen=True)
class ClientPlace:
    """Where a client finds the gateway. `key` is None for a gateway that wants none."""

    url: str
    """The base URL, with /v1."""

    key: str | None = None
    proxy: Proxy | None = None


def codex_environment(environ: Mapping[str, str], place: ClientPlace) -> dict[str, str]:
    """The environment of Codex, which gets all but its key by arguments."""
    return {**environ, **({CLIENT_KEY_VARIABLE: place.key} if place.key else {})}


def client_environment(environ: Mapping[str, str], place: ClientPlace) -> dict[str, str]:
    """The environment of a client: the base URL for those that can be told, the proxy for all others."""
    made = {**environ, "OPENAI_BASE_URL": place.url}
    if place.key is not None:
        made["OPENAI_API_KEY"] = place.key
    made.setdefault("OPENAI_API_KEY", ANY_KEY)
    without = [name for name in (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",") if name]
    reached = ",".join(dict.fromkeys([*without, *_LOOPBACK]))
    made |= {"NO_PROXY": reached, "no_proxy": reached}
    if place.proxy is not None:
        made |= {"HTTPS_PROXY": place.proxy.url, "https_proxy": place.proxy.url, "NODE_USE_ENV_PROXY": "1"}
        made |= dict.fromkeys(_CERTIFICATES, str(place.proxy.certificates))
    return made


def proxy_mode(environ: Mapping[str, str], port: int) -> str:
    """mitmproxy's mode for a proxy on a loopback port that goes through the proxy which the user has set, if any.

    User and password for that proxy are no part of it. Raises ProxyError.
    """
    own = UpstreamProxies.of_environment(environ).by_scheme.get("https")
    return f"regular@127.0.0.1:{port}" if own is None else f"upstream:{own.url}@127.0.0.1:{port}"
