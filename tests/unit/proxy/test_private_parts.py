"""mitmproxy without one of the parts that a feature uses: its ordinary way is taken, and the log says so."""

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionIO, SimpleConnectionHandler
from mitmproxy.test import taddons, tflow

from responses_gateway import proxy
from responses_gateway.addon import Gateway
from responses_gateway.proxy.client_watch import ClientWatch, ClientWatches
from responses_gateway.proxy.private_parts import (
    CLIENT_WATCH,
    FAST_PATH,
    FEATURES,
    GRACEFUL_END,
    UPSTREAM_CONNECTION,
    Feature,
    missing_features,
    missing_parts,
)
from responses_gateway.proxy.shutdown import end_turns
from unit.proxy.test_socket_fast_path import Sockets, body, upstream_connection
from unit.proxy_layers import HEAD, Turn, Wire, chunked

END = b"0\r\n\r\n"


@pytest.fixture(autouse=True)
def _checked_anew() -> Iterator[None]:
    missing_parts.cache_clear()
    yield
    missing_parts.cache_clear()


def remove(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Let the class neither have nor announce it."""
    for base in owner.__mro__:
        if name in vars(base):
            monkeypatch.delattr(base, name)
        if name in vars(base).get("__annotations__", {}):
            monkeypatch.delitem(base.__annotations__, name)


@pytest.fixture
def _without_one(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Check the features as if mitmproxy had renamed a part. mitmproxy itself, which needs it, gets it back."""
    with monkeypatch.context() as change:
        remove(change, owner, name)
        missing_features()


def each_part(feature: Feature) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("owner", "name"), feature.parts)


def test_this_mitmproxy_has_them_all() -> None:
    assert missing_features() == []


@pytest.mark.parametrize(("owner", "name"), dict.fromkeys(part for feature in FEATURES for part in feature.parts))
@pytest.mark.usefixtures("_without_one")
def test_the_log_names_a_missing_part_once_for_each_feature(
    owner: type, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway()
    with caplog.at_level(logging.WARNING), taddons.context(Proxyserver(), gateway):
        pass
    lines = [line for line in caplog.messages if f"{owner.__module__}.{owner.__name__}.{name}" in line]
    assert len(lines) == sum((owner, name) in feature.parts for feature in FEATURES)


@each_part(FAST_PATH)
@pytest.mark.usefixtures("_without_one")
def test_streams_go_through_the_layers() -> None:
    sockets = Sockets()
    for data in (HEAD, chunked(b"a", b"b"), chunked(b"c"), END):
        sockets.read(data)
        sockets.catch_up()
    sockets.close()
    assert sockets.took_fast_path == 0
    assert body(sockets.wire.sent) == b"abc"
    assert sockets.wire.served.ended


@each_part(FAST_PATH)
@pytest.mark.usefixtures("_without_one")
def test_no_socket_fast_path_is_installed() -> None:
    asyncio.run(no_socket_fast_path())


async def no_socket_fast_path() -> None:
    async with upstream_connection() as (paths, server, _):
        assert paths.of(server) is None


@each_part(UPSTREAM_CONNECTION)
@pytest.mark.usefixtures("_without_one")
def test_upstream_connections_are_mitmproxys() -> None:
    sockets = Sockets()
    for _ in range(2):
        sockets.wire.sent.clear()
        sockets.wire.served.ended = False
        for data in (HEAD, chunked(b"a", b"b"), chunked(b"c") + END):
            sockets.read(data)
            sockets.catch_up()
        assert body(sockets.wire.sent) == b"abc"
        assert sockets.wire.served.ended
        sockets.wire.ask()
    sockets.close()
    assert sockets.took_fast_path == 0
    assert len(sockets.wire.opened) == 1


@each_part(CLIENT_WATCH)
@pytest.mark.usefixtures("_without_one")
def test_a_client_that_sends_no_more_has_left() -> None:
    wire = Wire(Turn())
    wire.connect()
    wire.upstream(HEAD)
    wire.client_ends(ConnectionState.CAN_WRITE)
    assert set(wire.opened) < set(wire.closed)


@pytest.mark.parametrize(("owner", "name"), [*CLIENT_WATCH.parts, (object, "all are there")])
@pytest.mark.usefixtures("_without_one")
def test_clients_are_watched_only_if_that_is_possible(name: str) -> None:
    assert asyncio.run(is_watched()) == (name == "all are there")


@pytest.mark.parametrize("change", ["mode", "stranger", "no server", "writer", "protocol"])
def test_only_clients_of_reverse_proxies_are_watched(change: str) -> None:
    assert not asyncio.run(is_watched(change))


async def is_watched(change: str = "") -> bool:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        client = tflow.tclient_conn()
        client.proxy_mode = ProxyMode.parse("regular" if change == "mode" else "reverse:http://upstream")
        with taddons.context(Proxyserver()) as addons:
            handler = SimpleConnectionHandler(reader, writer, addons.options, client.proxy_mode, {})
            told_of = SimpleNamespace(transport=writer.transport) if change == "writer" else writer
            handler.transports[client] = ConnectionIO(reader=reader, writer=told_of)  # type: ignore[arg-type]
            proxyserver = addons.master.addons.get("proxyserver")
            if change != "stranger":
                proxyserver.connections[client.id] = handler
            if change == "no server":
                addons.master.addons.remove(proxyserver)
            before = writer.transport.get_protocol()
            if change == "protocol":
                writer.transport.set_protocol(asyncio.Protocol())
            ClientWatches().client_connected(client)
            is_watched = isinstance(writer.transport.get_protocol(), ClientWatch)
            writer.transport.set_protocol(before)
        writer.close()
    return is_watched


@each_part(GRACEFUL_END)
@pytest.mark.usefixtures("_without_one")
def test_turns_are_cut_off_at_the_end_of_the_process() -> None:
    asyncio.run(end_of_process())


async def end_of_process() -> None:
    with taddons.context(Proxyserver()):
        del ctx.master.addons.get("proxyserver").connections
        flow = tflow.tflow()
        flow.live = True
        await end_turns([flow])
        assert flow.live


def test_the_folders_docstring_names_who_uses_private_modules() -> None:
    folder = Path(proxy.__file__).parent
    users = {path.stem for path in folder.glob("*.py") if re.search(r"^from mitmproxy\S*\._", path.read_text(), re.M)}
    _, _, listed = (proxy.__doc__ or "").partition("The private parts of mitmproxy")
    assert users - set(re.findall(r"`(\w+)`", listed)) <= {"private_parts"}
