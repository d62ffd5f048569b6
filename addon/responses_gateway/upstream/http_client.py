"""The HTTP client for the gateway's own requests: model lists, checks of providers, web searches, pages, and turns that
it gives to itself.

Redirects are not followed, cookies are not kept, and bodies are read only as far as the caller asks.
"""

import asyncio
import functools
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from responses_gateway.protocol import encoding
from responses_gateway.proxy.upstream_proxies import ProxyError, UpstreamProxies, UpstreamProxy
from responses_gateway.security.header_fields import UnsafeField, encoded, safe_url

_CONNECT_TIMEOUT = 10.0
"""Seconds."""

_HEAD_LIMIT = 1 << 17
"""Bytes of one line of an answer's head."""


class HttpError(OSError):
    """The server broke the rules of HTTP, or the URL cannot be requested."""


@dataclass(frozen=True)
class HttpResponse:
    """Header names are lower case. `body` can be read once; it is not decoded."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes] = field(repr=False)

    async def read(self, limit: int) -> tuple[bytes, bool]:
        """The body, its content-encoding removed, up to `limit` bytes; and whether that was all of it.

        Raises HttpError for an encoding that is not known, or broken.
        """
        try:
            decoder = encoding.decoder(self.headers.get("content-encoding", ""))
        except ValueError as error:
            raise HttpError(f"{error}, which was not asked for") from None
        body = bytearray()
        try:
            async for piece in self.body:
                body += decoder.decode(piece, limit - len(body)) if decoder else piece
                if len(body) > limit:
                    return bytes(body[:limit]), False
        except encoding.TooLarge as more:
            return bytes(body + more.start), False
        except encoding.ERRORS as error:
            raise HttpError(f"the content-encoding is broken: {error}") from None
        return bytes(body), True


class HttpClient:
    """Sends requests. It belongs to the event loop of its first one, and has to be closed.

    Each request has a connection of its own: requests are rare, and one that meets a kept connection that has died
    meanwhile could not be repeated. The proxies that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name are used, or
    those of `proxies`.

    `only`: connect to no other addresses than these, whatever the host of a URL; certificates are checked against the
    host. Such a client uses no proxy, because that would resolve the host once more. `verify`: a server with TLS has to
    prove who it is.
    """

    def __init__(self, only: Sequence[str] | None = None, *, verify: bool = True) -> None:
        self._only = only
        self._verify = verify
        self._session: aiohttp.ClientSession | None = None
        self.proxies: UpstreamProxies | None = UpstreamProxies() if only is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AsyncIterator[HttpResponse]:
        """Send one request; the response is there when its head is. Leaving it early closes its connection.

        Raises OSError (HttpError, TimeoutError among them) when there is no answer; so does the body when it ends
        early.
        """
        target = _target(url)
        sent = _sendable(headers or {})
        uses_tls = target.scheme == "https"
        trusted: ssl.SSLContext | bool = await asyncio.to_thread(tls_context) if self._verify and uses_tls else False
        proxy = self._proxy(target)
        credentials = _credentials(proxy)
        with _translated(target.host or "", proxy):
            response = await self._opened().request(
                method,
                target,
                headers={**sent, **({} if uses_tls else credentials)},
                data=body or None,
                allow_redirects=False,
                ssl=trusted,
                proxy=proxy.url if proxy is not None else None,
                proxy_headers=credentials if uses_tls else None,
            )
        try:
            answer = {name.lower(): value for name, value in response.headers.items()}
            pieces = _body(response)
            try:
                yield HttpResponse(response.status, answer, pieces)
            finally:
                await pieces.aclose()
        finally:
            response.close()

    def _proxy(self, target: URL) -> UpstreamProxy | None:
        try:
            proxies = UpstreamProxies.of_environment(os.environ) if self.proxies is None else self.proxies
        except ProxyError as error:
            raise HttpError(str(error)) from None
        return proxies.choose(target.scheme, target.host or "", target.port or 0)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is not None and self._session.closed:
            # What is asked in the background goes on while the gateway ends.
            raise HttpError("the HTTP client is closed")
        if self._session is None:
            bound = _Bound(self._only) if self._only is not None else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=bound or aiohttp.ThreadedResolver(),
                    socket_factory=bound.socket if bound else None,
                    force_close=True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT),
                auto_decompress=False,
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
                max_line_size=_HEAD_LIMIT,
                max_field_size=_HEAD_LIMIT,
            )
        return self._session


class _Bound(AbstractResolver):
    """Keeps a client to some addresses: they are what every name resolves to. What looks like an address to aiohttp is
    not resolved, so each socket is checked as well."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""

    def socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = address
        if where[0] not in self._addresses:
            raise OSError(f"{where[0]} is not among the addresses that may be connected")
        return socket.socket(family, kind, protocol)


async def all_addresses(host: str, port: int) -> list[str]:
    """All addresses of a host by the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers whose values can be sent as they are. Raises HttpError."""
    try:
        return {name.decode(): value.decode("utf-8", "surrogateescape") for name, value in encoded(headers.items())}
    except UnsafeField as error:
        raise HttpError(str(error)) from None


def _target(url: str) -> URL:
    """`url` with characters quoted that cannot be sent as they are. Raises HttpError."""
    try:
        target = URL(safe_url(url.strip().replace(" ", "%20")), encoded=True)
        is_web = target.scheme in ("http", "https") and bool(target.host) and target.port is not None
    except UnsafeField as error:
        raise HttpError(str(error)) from None
    except ValueError:
        is_web = False
    if not is_web:
        raise HttpError(f"not an HTTP URL: {url}")
    return target.with_fragment(None)


def _credentials(proxy: UpstreamProxy | None) -> dict[str, str]:
    """The header that a proxy needs to know who asks."""
    return {"proxy-authorization": proxy.authorization} if proxy is not None and proxy.authorization else {}


@contextmanager
def _translated(host: str, proxy: UpstreamProxy | None = None) -> Iterator[None]:
    """aiohttp's errors as OSError."""
    way = f" through the proxy {proxy.url}" if proxy is not None else ""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise TimeoutError(f"{host} did not accept a connection{way} within {_CONNECT_TIMEOUT:g} seconds") from None
    except aiohttp.ClientProxyConnectionError as error:
        raise HttpError(f"{host} cannot be reached{way}: {error.os_error}") from None
    except aiohttp.ClientHttpProxyError as error:
        raise HttpError(f"{host} cannot be reached{way}: {error.status} {error.message}") from None
    except aiohttp.ServerDisconnectedError:
        raise HttpError("the server closed the connection without an answer") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise HttpError(f"the certificate of {host} is not valid: {error.certificate_error}") from None
    except aiohttp.ClientPayloadError:
        raise HttpError("the server's answer broke off") from None
    except aiohttp.ClientResponseError as error:
        raise HttpError(f"the server's answer is broken: {error.message}") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise HttpError(str(error)) from None


async def _body(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    with _translated(response.url.host or ""):
        async for piece in response.content.iter_any():
            yield piece


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The system's certificates, and certifi's: some systems give Python none. Reads files."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
