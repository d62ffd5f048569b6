"""The gateway's own HTTP client: where it connects, whom it believes, and how much it takes."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mitmproxy.certs import CertStore

from responses_gateway.upstream import http_client
from responses_gateway.upstream.http_client import HttpClient, HttpError

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Server:
    """Answers every request with `answer`. `heads` are those of the requests, `connections` is the number of theirs."""

    def __init__(self, answer: bytes = HELLO) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                writer.write(self.answer)
                if b"content-length" not in self.answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def with_server(answer: bytes, ask: Callable[[Server, HttpClient], Awaitable[None]]) -> Server:
    server = Server(answer)

    async def run() -> None:
        async with server.running(), HttpClient() as http:
            await ask(server, http)

    asyncio.run(run())
    return server


async def text(http: HttpClient, url: str, limit: int = 1000) -> tuple[bytes, bool]:
    async with http.request("GET", url) as response:
        return await response.read(limit)


def test_nothing_is_added_to_a_request() -> None:
    async def ask(server: Server, http: HttpClient) -> None:
        assert await text(http, f"{server.url}/a%2Fb?q=%7e#part") == (b"hello", True)
        assert await text(http, f"{server.url}/two words") == (b"hello", True)

    server = with_server(HELLO, ask)
    assert server.heads == [
        f"GET /a%2Fb?q=%7e HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n",
        f"GET /two%20words HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n",
    ]


def test_redirects_and_cookies_are_left_to_the_caller() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: /there\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"

    async def ask(server: Server, http: HttpClient) -> None:
        for _ in range(2):
            async with http.request("GET", f"{server.url}/") as response:
                assert (response.status, response.headers["location"]) == (302, "/there")

    assert all("cookie" not in head.lower() for head in with_server(moved, ask).heads)


def test_a_bomb_does_not_unfold() -> None:
    packed = gzip.compress(bytes(50_000_000))
    bomb = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)

    async def ask(server: Server, http: HttpClient) -> None:
        assert await text(http, server.url) == (bytes(1000), False)

    with_server(bomb, ask)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"nonsense\r\n\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "broke off"),
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: zip\r\n\r\nx", "content-encoding"),
    ],
)
def test_answers_that_are_none(answer: bytes, fault: str) -> None:
    async def ask(server: Server, http: HttpClient) -> None:
        with pytest.raises(HttpError) as failed:
            await text(http, server.url)
        assert fault in str(failed.value)

    with_server(answer, ask)


@pytest.mark.parametrize("url", ["ftp://a/", "http://", "http://a:99999/", "http://[bad/", "http://a\nb/", "", "/path"])
def test_what_is_no_url(url: str) -> None:
    async def ask(server: Server, http: HttpClient) -> None:
        with pytest.raises(OSError):  # noqa: PT011 (any is as good)
            await text(http, url)

    with_server(HELLO, ask)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "127.1", "１２７.0.0.1", "localhost", "[::1]"])
def test_a_bound_client_connects_nowhere_else(host: str) -> None:
    """However the host of the URL is written, and whether or not it needs a name server."""

    async def ask(server: Server, _: HttpClient) -> None:
        async with HttpClient(["127.0.0.2"]) as http:
            with pytest.raises(OSError):  # noqa: PT011 (refused by us, or because nobody listens there)
                await text(http, f"http://{host}:{server.port}/")

    assert with_server(HELLO, ask).connections == 0


def test_a_bound_client_checks_certificates_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CertStore.from_store(tmp_path, "test", 2048)
    entry = store.get_cert("server.example", [x509.DNSName("server.example")])
    chain = tmp_path / "chain.pem"
    key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    chain.write_bytes(entry.cert.to_pem() + key)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(chain)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "test-ca-cert.pem"))
    http_client.tls_context.cache_clear()
    server = Server()

    async def run() -> None:
        async with server.running(tls), HttpClient(["127.0.0.1"]) as http:
            assert await text(http, f"https://server.example:{server.port}/") == (b"hello", True)
            with pytest.raises(HttpError, match="certificate"):
                await text(http, f"https://other.example:{server.port}/")
        async with server.running(tls), HttpClient(["127.0.0.1"], verify=False) as http:
            assert await text(http, f"https://other.example:{server.port}/") == (b"hello", True)

    asyncio.run(run())
    http_client.tls_context.cache_clear()


def test_the_environments_proxies_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def no_names(loop: object, host: str, *_: object, **__: object) -> None:
        asked.append(host)
        raise OSError("no such name")

    async def ask(proxy: Server, http: HttpClient) -> None:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "internal.example")
        assert await text(http, "http://provider.example/v1/models") == (b"hello", True)
        proxy.answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
        with pytest.raises(HttpError):
            await text(http, "https://provider.example/v1/models")
        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", no_names)
        for url in ("http://internal.example/", "http://127.0.0.1:9/", "http://localhost:9/"):
            with pytest.raises(OSError):  # noqa: PT011 (there is nobody)
                await text(http, url)
        assert asked == ["internal.example", "localhost"]
        async with HttpClient(["127.0.0.2"]) as bound:
            with pytest.raises(OSError):  # noqa: PT011 (there is nobody)
                await text(bound, "http://provider.example:9/")

    plain, tunnel = with_server(HELLO, ask).heads
    assert plain.startswith("GET http://provider.example/v1/models HTTP/1.1\r\n")
    assert "proxy-authorization: Basic dXNlcjpwQHNz\r\n" in plain
    assert tunnel.startswith("CONNECT provider.example:443 HTTP/1.1\r\n")
    assert "authorization" not in tunnel.lower()


def test_leaving_early_closes_the_connection() -> None:
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n"

    async def run() -> None:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(endless)
            await reader.read()
            gone.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, HttpClient() as http:
            async with http.request("GET", f"http://127.0.0.1:{port}/") as response:
                assert await anext(aiter(response.body)) == b"x"
            await asyncio.wait_for(gone.wait(), 60)

    asyncio.run(run())


def test_a_client_that_is_closed_asks_nothing_more() -> None:
    async def ask() -> None:
        async with HttpClient() as http:
            with suppress(OSError):
                async with http.request("GET", "http://127.0.0.1:1/"):
                    pass
            await http.close()
            with pytest.raises(HttpError, match="closed"):
                async with http.request("GET", "http://127.0.0.1:1/"):
                    pass

    asyncio.run(ask())
