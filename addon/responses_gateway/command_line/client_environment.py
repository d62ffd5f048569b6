"""How a client is told of the gateway by arguments and environment variables, without changing any file of the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from responses_gateway.command_line.codex_config import ANY_KEY, CLIENT_KEY_VARIABLE

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


@dataclass(frozen=True)
class ProxyMode:
    """mitmproxy's mode for the proxy, with what it needs to log in at the proxy behind it."""

    spec: str
    upstream_auth: str | None = None


def proxy_mode(environ: Mapping[str, str], port: int) -> ProxyMode | None:
    """A proxy on a loopback port that goes through the proxy which the user has set, if there is one.

    None: mitmproxy cannot go through the user's proxy.
    """
    own = environ.get("HTTPS_PROXY") or environ.get("https_proxy") or ""
    if not own:
        return ProxyMode(f"regular@127.0.0.1:{port}")
    url = urlsplit(own if "://" in own else f"http://{own}")
    if url.scheme not in ("http", "https") or not url.hostname:
        return None
    credentials, _, authority = url.netloc.rpartition("@")
    return ProxyMode(f"upstream:{url.scheme}://{authority}@127.0.0.1:{port}", credentials or None)
