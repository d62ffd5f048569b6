"""Connections to MCP servers by the package `mcp`: Streamable HTTP, the older SSE, and programs.

An address that a client names is not trusted: names are resolved first, only public addresses are connected to, and
redirects lead nowhere but to the same origin, which the package makes sure of. For the same reason no proxy is used for
it.
"""

import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TextIO, cast
from urllib.parse import urlsplit

import httpx2
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from responses_gateway.hosted.addresses import CheckedAddresses
from responses_gateway.hosted.interface import HostedError
from responses_gateway.hosted.mcp.session import CallOutcome, Connect, NotTaken, Refused, ServerAddress, Session
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.protocol.pictures import picture_address, picture_kind
from responses_gateway.proxy.upstream_proxies import UpstreamProxies, UpstreamProxy
from responses_gateway.security.terminal import silence
from responses_gateway.version import __version__

_ANSWER_LIMIT = 8 << 20
"""Bytes of one HTTP answer, or of one stream of events, at most."""

_PICTURES_LIMIT = 4 << 20
"""Characters of base64 that the pictures of one result may have: they are sent again in every round."""

_ASKS_FOR_SSE = frozenset({400, 404, 405, 406, 410, 415})
"""Answers of older servers to Streamable HTTP (MCP specification 2025-06-18, Transports, Backwards Compatibility)."""

_FORGOTTEN = frozenset({400, 404})
"""Answers of servers that do not know the session that a request belongs to: 404 by the specification, 400 by older
releases of the SDKs."""

_PLACE_LIMIT = 200
"""Characters of the place of a fault in an answer; the server has chosen some of them."""

_INFO = types.Implementation(name="responses-gateway", version=__version__)


def connector(addresses: CheckedAddresses, seconds: float, proxies: UpstreamProxies) -> Connect:
    """What opens connections; each step of a connection may take `seconds`. `proxies` lead to configured servers."""
    silence("mcp", "httpx2", "httpcore2")

    def connect(address: ServerAddress) -> AbstractAsyncContextManager[Session]:
        return _program(address) if address.command else _web(address, addresses, seconds, proxies)

    return connect


@asynccontextmanager
async def _program(address: ServerAddress) -> AsyncIterator[Session]:
    command, *args = address.command
    parameters = StdioServerParameters(command=command, args=args, env=dict(address.env))
    # What it writes there is for nobody, and a terminal must not see it as it is.
    nowhere = cast("TextIO", subprocess.DEVNULL)
    with _explained(None):
        async with Client(stdio_client(parameters, nowhere), cache=None, client_info=_INFO) as client:
            yield _SdkSession(client, None)


@asynccontextmanager
async def _web(
    address: ServerAddress, addresses: CheckedAddresses, seconds: float, proxies: UpstreamProxies
) -> AsyncIterator[Session]:
    gate = _Gate(None if address.configured else addresses, _proxy(address.url, proxies))

    def client(
        headers: Mapping[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
    ) -> httpx2.AsyncClient:
        # Encoded answers would be as long as they like when they are decoded.
        own = {**dict(address.headers), "accept-encoding": "identity"}
        limits = httpx2.Timeout(seconds, read=None)
        return httpx2.AsyncClient(transport=gate, headers=own, timeout=limits, trust_env=False)

    is_old = urlsplit(address.url).path.rstrip("/").endswith("/sse")
    if not is_old:
        opened = False
        try:
            with _explained(gate):
                async with client() as http:
                    transport = streamable_http_client(address.url, http_client=http, max_sse_event_size=_ANSWER_LIMIT)
                    async with Client(transport, cache=None, client_info=_INFO) as session:
                        opened, gate.status = True, 0
                        yield _SdkSession(session, gate)
                        return
        except HostedError:
            if opened or gate.fault is not None or gate.status not in _ASKS_FOR_SSE:
                raise
            gate = _Gate(gate.addresses, gate.proxy)
    gate.noted = ("GET", "POST")
    with _explained(gate):
        events = sse_client(address.url, timeout=seconds, sse_read_timeout=3600, httpx_client_factory=client)
        async with Client(events, mode="legacy", cache=None, client_info=_INFO) as session:
            gate.status = 0
            yield _SdkSession(session, gate)


def _proxy(url: str, proxies: UpstreamProxies) -> UpstreamProxy | None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return proxies.choose(parts.scheme, parts.hostname or "", port)


def _spoken_to(proxy: UpstreamProxy | None) -> httpx2.Proxy | None:
    if proxy is None:
        return None
    return httpx2.Proxy(proxy.url, headers={"proxy-authorization": proxy.authorization} if proxy.authorization else {})


class _Gate(httpx2.AsyncBaseTransport):
    """Sends requests to addresses that were checked, and limits what comes back."""

    def __init__(self, addresses: CheckedAddresses | None, proxy: UpstreamProxy | None) -> None:
        """`addresses` None: any address is right, and `proxy` leads there."""
        self.addresses = addresses
        self.proxy = proxy
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False, proxy=_spoken_to(proxy) if addresses is None else None)
        self.noted: Sequence[str] = ("POST",)
        """The methods of the requests whose failure matters; many servers have no stream of their own to GET."""

        self.status = 0
        """That of the last answer to one which was none of 2xx."""

        self.not_taken = 0
        """Requests for tools that the server refused to take, and of which nobody was told yet."""

        self.fault: HostedError | None = None
        """Why something was not sent or not read: the package itself would not tell."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._sent(request)
        except HostedError as error:
            self.fault = error
            raise httpx2.ConnectError(str(error), request=request) from None
        except OSError as error:
            raise httpx2.ConnectError(f"{request.url.host} cannot be reached: {error}", request=request) from None
        if not response.is_success and request.method in self.noted:
            self.status = response.status_code
            self.not_taken += self.status in _FORGOTTEN and b'"tools/' in request.read()
        if response.headers.get("content-encoding", "identity") != "identity":
            self.fault = HostedError(f"{request.url.host} sends an encoding that nobody asked for")
            await response.aclose()
            raise httpx2.ReadError(str(self.fault), request=request)
        stream = cast("httpx2.AsyncByteStream", response.stream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_LimitedStream(stream, self),
            extensions=response.extensions,
        )

    async def _sent(self, request: httpx2.Request) -> httpx2.Response:
        if self.addresses is None:
            return await self._inner.handle_async_request(request)
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        fault: httpx2.ConnectError | None = None
        for address in await self.addresses.of(url.host, port):
            there = httpx2.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
            try:
                return await self._inner.handle_async_request(there)
            except httpx2.ConnectError as error:
                fault = error
        raise fault or HostedError(f"{url.host} has no address")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _LimitedStream(httpx2.AsyncByteStream):
    """The body of an answer, up to the limit."""

    def __init__(self, stream: httpx2.AsyncByteStream, gate: _Gate) -> None:
        self._stream = stream
        self._gate = gate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > _ANSWER_LIMIT:
                self._gate.fault = HostedError(f"the server's answer is longer than {_ANSWER_LIMIT >> 20} MiB")
                raise httpx2.ReadError(str(self._gate.fault))
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _SdkSession:
    """`Session`. The answers are not checked by the schemas that the server itself has written: a hostile one can make
    that take forever."""

    def __init__(self, client: Client, gate: _Gate | None) -> None:
        self._session = client.session
        self._gate = gate

    async def list_tools(self, cursor: str | None) -> tuple[list[JsonObject], str | None]:
        request = types.ListToolsRequest(params=types.PaginatedRequestParams(cursor=cursor))
        with _explained(self._gate):
            page = await self._session.send_request(request, types.ListToolsResult)
        return [_listed(tool) for tool in page.tools], page.next_cursor

    async def call_tool(self, name: str, arguments: JsonObject) -> CallOutcome:
        request = types.CallToolRequest(params=types.CallToolRequestParams(name=name, arguments=arguments))
        with _explained(self._gate):
            return _outcome(await self._session.send_request(request, types.CallToolResult))


def _listed(tool: types.Tool) -> JsonObject:
    """A tool as an mcp_list_tools item has it."""
    annotations = (
        tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True) if tool.annotations else None
    )
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "annotations": annotations,
    }


def _outcome(result: types.CallToolResult) -> CallOutcome:
    texts: list[str] = []
    pictures: list[str] = []
    room, left_out = _PICTURES_LIMIT, 0
    for block in result.content:
        data = _picture_data(block)
        if data is not None and picture_kind(data) is not None and len(data) <= room:
            room -= len(data)
            pictures.append(picture_address(data))
            texts.append(f"[Picture {len(pictures)}: image/{picture_kind(data)}]")
            continue
        match block:
            case types.TextContent():
                texts.append(block.text)
            case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
                texts.append(resource.text)
            case types.ResourceLink():
                texts.append(f"[{block.name}]({block.uri})")
            case _:
                left_out += 1
                too_large = " It is too large." if data is not None and len(data) > room else ""
                texts.append(f"[{block.type} content, which cannot be shown here.{too_large}]")
    if not result.content and result.structured_content is not None:
        texts.append(dumps_text(result.structured_content))
    return CallOutcome("\n".join(texts), bool(result.is_error), left_out, tuple(pictures))


def _picture_data(block: types.ContentBlock) -> str | None:
    """The base64 of what a server says is a picture; None for any other content."""
    match block:
        case types.ImageContent():
            return block.data
        case types.EmbeddedResource(resource=types.BlobResourceContents(mime_type=str() as kind) as resource):
            return resource.blob if kind.startswith("image/") else None
    return None


@contextmanager
def _explained(gate: _Gate | None) -> Iterator[None]:
    """Make a HostedError of whatever the package raises."""
    try:
        yield
    except HostedError:
        raise
    except Exception as error:  # noqa: BLE001 (the package raises what its packages raise)
        if gate is not None and gate.fault is not None:
            raise gate.fault from None
        raise _kind(error, gate)(_reason(error, gate)) from None


def _kind(error: Exception, gate: _Gate | None) -> type[HostedError]:
    if gate is not None and gate.not_taken:
        gate.not_taken -= 1
        return NotTaken
    if gate is not None and gate.status:
        return HostedError
    return Refused if isinstance(error, MCPError) and error.code != types.CONNECTION_CLOSED else HostedError


def _reason(error: BaseException, gate: _Gate | None) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case HostedError():
            return str(error)
        case ValidationError():
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))[:_PLACE_LIMIT]
            return f"the server's answer is not what the protocol says ({place}: {first['msg']})"
        case MCPError() if gate is None or not gate.status:
            return str(error)
    status = f"the server answered {gate.status}: " if gate is not None and gate.status else ""
    return f"{status}{_first_line(error)}"


def _first_line(error: Any) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
