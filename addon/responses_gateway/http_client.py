"""A small HTTP/1.1 client for the gateway's own requests: web searches, pages, and turns that it gives to itself.

One connection per request, so that leaving the `async with` cancels it at once, and a body that is read no faster than
it is used. Who calls decides which addresses may be connected: names are resolved here, once, and the connection goes
to the address that was checked.
"""

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import certifi
import h11

from responses_gateway.protocol import encoding

type Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses to try for a host and port, in order. Raises OSError."""

_READ_SIZE = 1 << 16
_HEAD_LIMIT = 1 << 17


class HttpError(OSError):
    """The other side does not speak HTTP as it should, or the URL cannot be requested."""


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


async def all_addresses(host: str, port: int) -> list[str]:
    """Whatever the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@asynccontextmanager
async def request(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    resolve: Resolve = all_addresses,
    connect_timeout: float = 10,
    verify: bool = True,
) -> AsyncIterator[HttpResponse]:
    """Send one request; the response is there when its head is. Redirects are not followed.

    `host`, `connection` and `content-length` are set here unless given. `verify`: a server with TLS has to prove who it
    is. Raises OSError (HttpError, TimeoutError among them) when there is no answer; so does the body when it
    ends early.
    """
    parts = urlsplit(url)
    host = parts.hostname
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if parts.scheme not in ("http", "https") or not host:
        raise HttpError(f"not an HTTP URL: {url}")
    context = _tls_context(verify) if parts.scheme == "https" else None
    reader, writer = await _connect(host, port, await resolve(host, port), context, connect_timeout)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"host": parts.netloc.rpartition("@")[2], "connection": "close", **(headers or {})}
        if body or method == "POST":
            fields["content-length"] = str(len(body))
        try:
            head = connection.send(h11.Request(method=method, target=target, headers=list(fields.items())))
            writer.write(head or b"")
            writer.write(connection.send(h11.Data(data=body)) or b"" if body else b"")
            writer.write(connection.send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError as error:
            raise HttpError(str(error)) from None
        await writer.drain()
        event = await _next_event(connection, reader)
        while isinstance(event, h11.InformationalResponse):
            event = await _next_event(connection, reader)
        if not isinstance(event, h11.Response):
            raise HttpError("the server closed the connection without an answer")
        answer = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        pieces = _body(connection, reader)
        try:
            yield HttpResponse(event.status_code, answer, pieces)
        finally:
            await pieces.aclose()
    finally:
        # No lingering close: what was not read is not wanted.
        writer.transport.abort()


async def _connect(
    host: str, port: int, addresses: list[str], context: ssl.SSLContext | None, patience: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    failure: OSError = HttpError(f"{host} has no address")
    for address in addresses:
        try:
            async with asyncio.timeout(patience):
                return await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=host if context else None, limit=_READ_SIZE
                )
        except TimeoutError:
            failure = TimeoutError(f"{host} did not accept a connection within {patience:g} seconds")
        except OSError as error:
            failure = error
    raise failure


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event:
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_SIZE))
    except h11.RemoteProtocolError as error:
        raise HttpError(f"the server's answer is broken: {error}") from None
    if isinstance(event, h11.Event):
        return event
    return h11.ConnectionClosed()


async def _body(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    while isinstance(event := await _next_event(connection, reader), h11.Data):
        yield bytes(event.data)


@functools.cache
def _tls_context(verify: bool) -> ssl.SSLContext:
    """The system's certificates, and certifi's: some systems give Python none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
