"""mitmproxy without one of the parts that the short way uses: streams take the ordinary way, and it is said."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.test import taddons

from responses_gateway.addon import Gateway
from responses_gateway.proxy.private_parts import PARTS, missing_parts
from unit.proxy.test_shortcut import Sockets, body, upstream_connection
from unit.proxy_layers import HEAD, chunked


@pytest.fixture(autouse=True)
def _checked_anew() -> Iterator[None]:
    missing_parts.cache_clear()
    yield
    missing_parts.cache_clear()


def remove(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Let the class neither have nor announce it."""
    for base in owner.__mro__:
        monkeypatch.delattr(base, name, raising=False)
        if name in vars(base).get("__annotations__", {}):
            monkeypatch.delitem(base.__annotations__, name)


def test_this_mitmproxy_has_them_all() -> None:
    assert missing_parts() == ()


@pytest.mark.parametrize(("owner", "name"), PARTS)
def test_a_missing_part_is_noticed(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    with monkeypatch.context() as change:
        remove(change, owner, name)
        found = missing_parts()
    assert f"{owner.__module__}.{owner.__name__}.{name}" in found


@pytest.fixture
def _without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if mitmproxy had renamed a part; it goes on to use it itself."""
    remove(monkeypatch, ConnectionHandler, "transports")


@pytest.mark.usefixtures("_without_one")
def test_streams_go_through_the_layers() -> None:
    sockets = Sockets()
    for data in (HEAD, chunked(b"a", b"b"), chunked(b"c"), b"0\r\n\r\n"):
        sockets.read(data)
        sockets.catch_up()
    sockets.loop.close()
    assert sockets.took_shortcut == 0
    assert body(sockets.wire.sent) == b"abc"
    assert sockets.wire.served.ended


@pytest.mark.usefixtures("_without_one")
def test_no_shortcut_is_opened() -> None:
    asyncio.run(no_shortcut())


async def no_shortcut() -> None:
    async with upstream_connection() as (shortcuts, server, _):
        assert shortcuts.of(server) is None


@pytest.mark.usefixtures("_without_one")
def test_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway()
    with caplog.at_level(logging.WARNING), taddons.context(Proxyserver(), gateway):
        pass
    assert "mitmproxy.proxy.server.ConnectionHandler.transports" in caplog.text
