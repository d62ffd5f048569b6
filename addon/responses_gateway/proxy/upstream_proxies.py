"""Which HTTP proxy leads to an upstream: by the variables that curl, Go and requests read, as they read them."""

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from mitmproxy.proxy.mode_specs import ProxyMode, UpstreamMode

from responses_gateway.security.loopback import leads_here

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DEFAULT_PORTS = {"http": 80, "https": 443}


class ProxyError(ValueError):
    """A variable names no proxy that can be used. The message never holds its value, which may hold a password."""


@dataclass(frozen=True)
class UpstreamProxy:
    """An HTTP proxy on the way to upstreams; `scheme` is how it is spoken to itself."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    """The value of Proxy-Authorization, which is for the proxy alone."""

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def via(self) -> tuple[Literal["http", "https"], tuple[str, int]]:
        """mitmproxy's `Server.via`."""
        return self.scheme, self.address

    @property
    def url(self) -> str:
        """Without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True)
class _Exception:
    """One entry of NO_PROXY. `port` None: any port."""

    host: str
    port: int | None
    network: Network | None

    def holds_for(self, host: str, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        return host == self.host or host.endswith(f".{self.host}")


@dataclass(frozen=True)
class UpstreamProxies:
    """The proxy of each scheme, and the hosts that are reached without one."""

    by_scheme: Mapping[str, UpstreamProxy] = field(default_factory=dict)
    exceptions: tuple[_Exception, ...] = ()

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Self:
        """By HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; the lower-case names win. Raises ProxyError.

        What NO_PROXY=* or another variable makes pointless is not read.
        """
        excepted = _value(environ, "no_proxy")[1].replace(",", " ").split()
        if "*" in excepted:
            return cls()
        by_scheme = {}
        for scheme in ("http", "https"):
            variable, value = _value(environ, f"{scheme}_proxy")
            if variable is None:
                variable, value = _value(environ, "all_proxy")
            if variable is not None and value:
                by_scheme[scheme] = _parsed(variable, value)
        return cls(by_scheme, tuple(map(_exception, excepted)))

    def without(self, ports: Iterable[int]) -> Self:
        """Without the proxies on these ports of this machine."""
        own = set(ports)
        kept = {
            scheme: proxy
            for scheme, proxy in self.by_scheme.items()
            if not (leads_here(proxy.host) and proxy.port in own)
        }
        return replace(self, by_scheme=kept)

    def is_direct(self, host: str, port: int) -> bool:
        """Whether a host is reached without any proxy: this machine always is."""
        name = host.strip("[]").rstrip(".").lower()
        return leads_here(name) or any(entry.holds_for(name, port) for entry in self.exceptions)

    def choose(self, scheme: str, host: str, port: int, mode: object = None) -> UpstreamProxy | None:
        """The proxy on the way to a host; `mode` is that of the listener, which may name a proxy of its own."""
        if self.is_direct(host, port):
            return None
        if isinstance(mode, UpstreamMode):
            way, address = mode.scheme, mode.address
            return UpstreamProxy(way, *address, self.authorization(address)) if way in ("http", "https") else None
        return self.by_scheme.get(scheme)

    def authorization(self, address: tuple[str, int] | None) -> str | None:
        """What the proxy at an address is to be shown."""
        known = (proxy.authorization for proxy in self.by_scheme.values() if proxy.address == address)
        return next(filter(None, known), None)


def _value(environ: Mapping[str, str], name: str) -> tuple[str | None, str]:
    """The variable that is set, and its value; an empty one says that there is none."""
    variable = next((spelling for spelling in (name, name.upper()) if spelling in environ), None)
    return variable, environ[variable].strip() if variable is not None else ""


def _parsed(variable: str, value: str) -> UpstreamProxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError:
        raise ProxyError(f"{variable} is not the URL of a proxy, such as http://proxy.example:3128") from None
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    if parts.scheme != scheme:
        raise ProxyError(
            f"{variable} names a proxy of the kind {parts.scheme}, and upstreams are reached through http:// and "
            "https:// proxies only; NO_PROXY=* is for none"
        )
    host = parts.hostname or ""
    if not host or port == 0 or not host.isprintable() or " " in host:
        raise ProxyError(f"{variable} is not the URL of a proxy, such as http://proxy.example:3128")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ProxyError(f"{variable} has a path: in a user or password, / ? # and @ are written %2F %3F %23 %40")
    authorization = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode()
    return UpstreamProxy(scheme, host, port or _DEFAULT_PORTS[scheme], authorization)


def _exception(entry: str) -> _Exception:
    """`example.com`, `.example.com` and `*.example.com` mean the name and what is below it; a port may follow."""
    text = entry.lower()
    try:
        return _Exception("", None, ipaddress.ip_network(text.strip("[]"), strict=False))
    except ValueError:
        host, colon, digits = text.rpartition(":")
    if not colon or not digits.isascii() or not digits.isdigit():
        return _Exception(text.lstrip("*").strip("."), None, None)
    address = _address(host.strip("[]"))
    network = ipaddress.ip_network(address) if address is not None else None
    return _Exception(host.lstrip("*").strip("."), int(digits), network)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def own_ports(modes: Iterable[str], default: int | None) -> set[int]:
    """The ports on which a process with these modes of mitmproxy listens; `default` is its option listen_port.

    A shell that sends its other programs through this process may have started it as well.
    """
    ports = {ProxyMode.parse(mode).listen_port(default) for mode in modes}
    return {port for port in ports if port}
