"""The way past the layers: whatever takes it or does not, the client gets everything, once and in order."""

import asyncio
import datetime
import functools
import itertools
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import ctx, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.tls import TlsStartServerHook
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionIO, SimpleConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.test import taddons, tflow
from OpenSSL import SSL

from responses_gateway.proxy.socket_fast_path import SocketFastPath, SocketFastPaths
from responses_gateway.proxy.upstream_tls import UpstreamTls
from unit.proxy_layers import HEAD, Turn, Wire, chunked


class Echo(Turn):
    """Settled after `!`."""

    def feed(self, data: bytes) -> bytes:
        self.settled = self.settled or b"!" in data
        return data

    def finish(self) -> bytes:
        self.ended = True
        return b""


class UpstreamTransport(asyncio.WriteTransport):
    """The transport to the upstream: its socket, and what was written past the layers."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


class Sockets(asyncio.StreamReaderProtocol, asyncio.WriteTransport):
    """The client's transport, and the task between an upstream connection and the layers, which may fall behind."""

    def __init__(self, wire: Wire | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__(asyncio.StreamReader(loop=self.loop), loop=self.loop)
        self.wire = wire or Wire(Echo())
        self.client_is_slow = self.client_is_gone = False
        self.told: list[object] = []
        self.waiting: deque[bytes] = deque()
        self.took_fast_path = 0
        self.timeout_watchdog = self
        self.far_end, self._near_end = socket.socketpair()
        self.upstream = UpstreamTransport(self._near_end)
        self.path = self.new_path()
        self.wire.upstream_socket_path = self.path
        self.wire.connect()

    def new_path(self) -> SocketFastPath:
        server = Server(address=("upstream", 80))
        return SocketFastPath(self, server, self, self.upstream, self)  # type: ignore[arg-type]

    def encrypt(self, data: bytes) -> bytes:
        """`data` as the upstream sends it."""
        return data

    def close(self) -> None:
        self.loop.close()
        self.far_end.close()
        self._near_end.close()

    def register_activity(self) -> None:
        self.took_fast_path += 1

    def get_write_buffer_size(self) -> int:
        return 1 if self.client_is_slow else 0

    def is_closing(self) -> bool:
        return self.client_is_gone

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.wire.sent.append(bytes(data))

    def data_received(self, data: bytes) -> None:
        self.waiting.append(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(exc)

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    async def server_event(self, event: events.Event) -> None:
        self.wire.handle(event)

    def read(self, data: bytes) -> None:
        async def run() -> None:
            self.path.data_received(data)
            await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    def catch_up(self) -> None:
        """The task reads: all that is there, as StreamReader.read does."""
        data = b"".join(self.waiting)
        self.waiting.clear()
        if data:
            self.wire.upstream(data)


class EncryptedWire(Wire):
    """A layer whose upstream speaks TLS."""

    def __init__(self, connection: SSL.Connection) -> None:
        super().__init__(Echo(request=http.Request.make("POST", "https://upstream/chat", b"{}")))
        self.tls = UpstreamTls(connection)

    def hooked(self, hook: commands.StartHook) -> None:
        if isinstance(hook, TlsStartServerHook):
            assert isinstance(self.upstream_socket_path, SocketFastPath)
            self.upstream_socket_path.attach_tls(self.tls)
            hook.data.ssl_conn = self.tls.for_layers


class EncryptedSockets(Sockets):
    """The same with TLS to the upstream, which is here."""

    def __init__(self, version: int = SSL.TLS1_3_VERSION) -> None:
        client, self.server = SSL.Connection(SSL.Context(SSL.TLS_METHOD)), SSL.Connection(server_context(version))
        client.set_connect_state()
        self.server.set_accept_state()
        super().__init__(EncryptedWire(client))
        # The layers look up what is told of a connection by the connection itself.
        self.path = self.wire.upstream_socket_path = self.new_path()
        while b"POST" not in self.received():
            self.read(self.sent())
            self.catch_up()

    def new_path(self) -> SocketFastPath:
        server = self.wire.opened[-1] if self.wire.opened else Server(address=("upstream", 443))
        path = SocketFastPath(self, server, self, self.upstream, self)  # type: ignore[arg-type]
        assert isinstance(self.wire, EncryptedWire)
        path.attach_tls(self.wire.tls)
        return path

    def received(self) -> bytes:
        """What the upstream reads."""
        for data in (*self.wire.asked, *self.upstream.written):
            self.server.bio_write(data)
        self.wire.asked.clear()
        self.upstream.written.clear()
        try:
            return self.server.recv(65535)
        except SSL.WantReadError:
            return b""

    def sent(self) -> bytes:
        """What the upstream has to send."""
        try:
            return self.server.bio_read(65535)
        except SSL.WantReadError:
            return b""

    def encrypt(self, data: bytes) -> bytes:
        if data:
            self.server.sendall(data)
        return self.sent()


@functools.cache
def server_context(version: int) -> SSL.Context:
    """A server's for this version of TLS, with a certificate that nobody checks."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(1))
    certificate = builder.sign(key, hashes.SHA256())
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    return context


BOTH = pytest.mark.parametrize("make", [Sockets, EncryptedSockets], ids=["plain", "TLS"])


def body(sent: list[bytes]) -> bytes:
    chunks, payload = b"".join(sent).partition(b"\r\n\r\n")[2], b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        payload += rest[: int(size, 16)]
        chunks = rest[int(size, 16) + 2 :]
    return payload


@BOTH
@given(
    writes=st.lists(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=3)),
    cuts=st.lists(st.integers(0, 999)),
    data=st.data(),
)
def test_everything_arrives_once_and_in_order(
    make: Callable[[], Sockets], writes: list[list[bytes]], cuts: list[int], data: st.DataObject
) -> None:
    sockets = make()
    whole = [sockets.encrypt(part) for part in (HEAD, *(chunked(*pieces) for pieces in writes), b"0\r\n\r\n")]
    wire = b"".join(whole)
    edges = sorted({0, *(sum(map(len, whole[: n + 1])) for n in range(len(whole))), *(cut % len(wire) for cut in cuts)})
    for begin, end in itertools.pairwise(edges):
        sockets.client_is_slow = data.draw(st.booleans())
        sockets.read(wire[begin:end])
        if data.draw(st.booleans()):
            sockets.catch_up()
    sockets.catch_up()
    sockets.close()
    assert body(sockets.wire.sent) == b"".join(piece for pieces in writes for piece in pieces)
    assert sockets.wire.served.ended


def test_whole_chunks_take_the_fast_path_and_leave_as_one() -> None:
    sockets = Sockets()
    sockets.read(HEAD)
    sockets.catch_up()
    sockets.wire.sent.clear()
    sockets.read(chunked(b"a", b"b"))
    sockets.close()
    assert sockets.took_fast_path == 1
    assert not sockets.waiting
    assert sockets.wire.sent == [chunked(b"ab")]


def test_the_layers_are_told_when_the_answer_is_settled() -> None:
    sockets = Sockets()
    sockets.read(HEAD)
    sockets.catch_up()
    alarms = sockets.wire.alarms
    sockets.read(chunked(b"!"))
    sockets.close()
    assert sockets.took_fast_path == 1
    assert sockets.wire.alarms == alarms + 1


def streaming() -> Sockets:
    """Sockets on which an answer has begun."""
    sockets = Sockets()
    sockets.read(HEAD)
    sockets.catch_up()
    sockets.wire.sent.clear()
    return sockets


def streaming_in_tls(version: int = SSL.TLS1_3_VERSION) -> EncryptedSockets:
    """Sockets on which an answer has begun, in TLS."""
    sockets = EncryptedSockets(version)
    sockets.read(sockets.encrypt(HEAD))
    sockets.catch_up()
    sockets.wire.sent.clear()
    return sockets


def test_chunks_in_tls_take_the_fast_path_whatever_records_and_reads_they_come_in() -> None:
    sockets = streaming_in_tls()
    sockets.read(sockets.encrypt(chunked(b"a")) + sockets.encrypt(chunked(b"b")))
    record = sockets.encrypt(chunked(b"c"))
    sockets.read(record[:9])
    sockets.read(record[9:])
    sockets.close()
    assert not sockets.waiting
    assert sockets.wire.sent == [chunked(b"ab"), chunked(b"c")]


def test_what_is_not_whole_chunks_is_left_to_the_layers_when_it_is_out_of_tls() -> None:
    sockets = streaming_in_tls()
    for data in (b"2\r\na", b"b\r\n", chunked(b"c")):
        sockets.read(sockets.encrypt(data))
    sockets.close()
    assert not sockets.waiting
    assert body([HEAD, *sockets.wire.sent]) == b"abc"
    assert sockets.took_fast_path == 1


def test_what_comes_before_the_layers_have_read_what_was_left_is_read_behind_it() -> None:
    sockets = streaming_in_tls()
    cut, rest = sockets.encrypt(b"2\r\na"), sockets.encrypt(b"b\r\n")

    async def at_once() -> None:
        sockets.path.data_received(cut)
        sockets.path.data_received(rest)
        assert list(sockets.waiting) == [rest]
        sockets.catch_up()

    sockets.loop.run_until_complete(at_once())
    sockets.close()
    assert body([HEAD, *sockets.wire.sent]) == b"ab"


@pytest.mark.parametrize("ending", ["close_notify", "garbage"])
def test_the_end_of_tls_is_told_behind_what_came_with_it(ending: str) -> None:
    sockets = streaming_in_tls()
    data = sockets.encrypt(chunked(b"a"))
    if ending == "close_notify":
        sockets.server.shutdown()
        data += sockets.sent()
    else:
        data += b"not a record at all"
    sockets.read(data)
    assert sockets.wire.sent[:1] == [chunked(b"a")]
    assert sockets.path.has_unread
    sockets.read(sockets.encrypt(b"") or b"late")
    assert list(sockets.waiting) == [b"late"]
    sockets.close()
    assert bool(sockets.wire.served.failures) is (ending == "close_notify")


def test_tls_is_answered_past_the_layers() -> None:
    sockets = streaming_in_tls(SSL.TLS1_2_VERSION)
    sockets.server.renegotiate()
    sockets.server.do_handshake()
    sockets.read(sockets.sent())
    sockets.close()
    assert [data[0] for data in sockets.upstream.written] == [22], "a handshake record"
    assert not sockets.waiting


@pytest.mark.parametrize("attribute", ["client_is_slow", "client_is_gone"])
def test_a_client_that_does_not_take_it_all_is_left_to_the_layers(attribute: str) -> None:
    sockets = streaming()
    setattr(sockets, attribute, True)
    sockets.read(chunked(b"a"))
    assert sockets.took_fast_path == 0
    assert sockets.wire.sent == []
    assert list(sockets.waiting) == [chunked(b"a")]
    setattr(sockets, attribute, False)
    sockets.read(chunked(b"b"))
    assert sockets.took_fast_path == 0
    sockets.catch_up()
    sockets.read(chunked(b"c"))
    sockets.close()
    assert sockets.took_fast_path == 1
    assert sockets.wire.sent == [chunked(b"ab"), chunked(b"c")]


@pytest.mark.parametrize("on_sockets", [True, False])
def test_what_only_looks_like_chunks_is_content(on_sockets: bool) -> None:
    sockets = streaming()
    send = sockets.read if on_sockets else sockets.wire.upstream
    for data in (b"6\r\n", b"1\r\nx\r\n", b"\r\n", chunked(b"after"), b"0\r\n\r\n"):
        send(data)
        sockets.catch_up()
    sockets.close()
    assert body([HEAD, *sockets.wire.sent]) == b"1\r\nx\r\nafter"
    assert sockets.wire.served.ended
    assert sockets.took_fast_path == int(on_sockets)


def test_pieces_that_come_with_the_head_are_not_read_twice() -> None:
    sockets = Sockets()
    sockets.read(HEAD + b"6\r\n1\r\nx")
    sockets.catch_up()
    sockets.read(b"\r\n\r\n")
    sockets.catch_up()
    sockets.read(chunked(b"after"))
    sockets.close()
    assert body(sockets.wire.sent) == b"1\r\nx\r\nafter"
    assert sockets.took_fast_path == 1


def test_a_piece_that_says_nothing_to_the_client_writes_nothing() -> None:
    sockets = streaming()
    sockets.wire.served.feed = lambda _: b""  # type: ignore[method-assign]
    sockets.read(chunked(b"a"))
    sockets.close()
    assert sockets.took_fast_path == 1
    assert b"".join(sockets.wire.sent) == b""


def test_an_answer_that_ends_on_the_way_past_the_layers_is_ended_by_them() -> None:
    sockets = streaming()

    def last(_: bytes) -> bytes:
        sockets.wire.served.ended = True
        return b"end"

    sockets.wire.served.feed = last  # type: ignore[method-assign]
    sockets.read(chunked(b"a"))
    assert sockets.took_fast_path == 1
    assert b"".join(sockets.wire.sent) == chunked(b"end") + b"0\r\n\r\n"
    sockets.read(chunked(b"late"))
    sockets.catch_up()
    sockets.close()
    assert sockets.took_fast_path == 1
    assert b"".join(sockets.wire.sent) == chunked(b"end") + b"0\r\n\r\n"


def test_before_the_layers_know_the_connection_everything_goes_to_them() -> None:
    sockets = Sockets()
    path = sockets.new_path()
    assert not path.has_unread
    path.data_received(chunked(b"a"))
    assert path.has_unread
    sockets.close()
    assert list(sockets.waiting) == [chunked(b"a")]


def test_what_else_happens_to_a_connection_is_told_behind_the_path() -> None:
    sockets, error = streaming(), ConnectionResetError()
    path = sockets.path
    path.pause_writing()
    path.resume_writing()
    assert not path.has_unread
    assert path.eof_received() is True
    assert path.has_unread
    path.connection_lost(error)
    sockets.close()
    assert sockets.told == ["pause", "resume", "eof", error]


def test_a_connection_that_is_lost_is_not_used_again() -> None:
    sockets = streaming()
    sockets.path.connection_lost(None)
    assert sockets.path.has_unread
    sockets.close()


@pytest.mark.parametrize("stage", ["in the socket", "before the layers", "end", "nothing"])
def test_what_came_between_two_requests_is_seen_before_the_second(stage: str) -> None:
    sockets = Sockets()
    sockets.read(HEAD + chunked(b"a") + b"0\r\n\r\n")
    sockets.catch_up()
    sockets.wire.served.ended = False
    match stage:
        case "in the socket":
            sockets.far_end.send(b"!")
        case "before the layers":
            sockets.read(b"!")
        case "end":
            sockets.path.eof_received()
    sockets.wire.ask()
    sockets.close()
    assert len(sockets.wire.opened) == (1 if stage == "nothing" else 2)


def test_a_closed_connection_is_forgotten() -> None:
    asyncio.run(_open_and_close())


async def _open_and_close() -> None:
    async with upstream_connection() as (paths, server, close):
        assert paths.of(server) is not None
        await close()
        assert paths.of(server) is None


@pytest.mark.parametrize(
    "change", ["none", "client's TLS", "via", "mode", "stranger", "upstream", "client", "protocol"]
)
def test_only_connections_between_a_plain_client_and_an_upstream_have_a_path(change: str) -> None:
    asyncio.run(_changed(change))


async def _changed(change: str) -> None:
    async with upstream_connection() as (paths, server, _):
        [handler] = ctx.master.addons.get("proxyserver").connections.values()
        client, transports = handler.client, handler.transports
        transport = transports[server].writer.transport
        before = transport.get_protocol()
        other = Server(address=("upstream", 80))
        client.tls = change == "client's TLS"
        other.via = ("http", ("proxy", 3128)) if change == "via" else None
        client.proxy_mode = ProxyMode.parse("regular" if change == "mode" else "reverse:http://upstream")
        transports[other] = transports[server]
        for side, connection in (("upstream", other), ("client", client)):
            if change == side:
                transports[connection] = ConnectionIO(writer=SimpleNamespace(transport=transport))
        fresh = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        transport.set_protocol(asyncio.Protocol() if change == "protocol" else fresh)
        told_of = tflow.tclient_conn() if change == "stranger" else client
        told_of.proxy_mode = client.proxy_mode
        paths.server_connected(ServerConnectionHookData(other, told_of))
        path, protocol = paths.of(other), transport.get_protocol()
        transport.set_protocol(before)
        assert (path is not None) is (change == "none")
        assert isinstance(protocol, SocketFastPath) is (change == "none")
        assert path is None or path is protocol


@asynccontextmanager
async def upstream_connection() -> AsyncIterator[tuple[SocketFastPaths, Server, Callable[[], Awaitable[None]]]]:
    """An upstream's connection that mitmproxy has told the addon of, and what closes it."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)

    async def close() -> None:
        theirs.close()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    with taddons.context(Proxyserver()) as addons:
        handler = SimpleConnectionHandler(
            reader, writer, addons.options, ProxyMode.parse("reverse:http://upstream"), {}
        )
        client = handler.client
        server = Server(address=("upstream", 80))
        handler.transports[server] = ConnectionIO(reader=reader, writer=writer)
        addons.master.addons.get("proxyserver").connections[client.id] = handler
        paths = SocketFastPaths()
        paths.server_connected(ServerConnectionHookData(server, client))
        yield paths, server, close
    if not writer.is_closing():
        await close()
