"""Limits of the process: memory for request bodies, client connections, and the end of turns and of clients."""

import asyncio
import logging
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from responses_gateway.proxy.client_watch import ClientWatch
from responses_gateway.proxy.connection_limit import ConnectionLimit
from responses_gateway.proxy.request_body_memory import RequestBodyMemory
from responses_gateway.proxy.shutdown import end_turns


def test_bodies_are_counted_together() -> None:
    bodies, one, other = RequestBodyMemory(), tflow.tflow(), tflow.tflow()
    assert bodies.reserve(one, 4, 10)
    assert bodies.reserve(other, 3, 10)
    assert bodies.reserve(one, 3, 10)
    assert not bodies.reserve(other, 1, 10)
    assert bodies.reserve(other, 1, 11)


def test_bodies_of_flows_that_are_over_do_not_count() -> None:
    bodies, one, other = RequestBodyMemory(), tflow.tflow(), tflow.tflow()
    assert bodies.reserve(one, 6, 10)
    assert bodies.reserve(other, 4, 10)
    one.live = False
    assert not bodies.reserve(other, 7, 10)
    assert bodies.reserve(other, 6, 10)
    assert not bodies.reserve(other, 1, 10)


def client(mode: str = "reverse:http://upstream") -> Client:
    return Client(
        peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0, proxy_mode=ProxyMode.parse(mode)
    )


def test_connections_beyond_the_limit_are_closed_and_that_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    limit = ConnectionLimit(lambda: 2)
    one, two, three, four, five, regular = client(), client(), client(), client(), client(), client("regular")
    with caplog.at_level(logging.WARNING):
        for each in (one, two, three, four, regular):
            limit.client_connected(each)
        assert [each.error for each in (one, two, three, four)] == [None, None] + ["too many connections"] * 2
        assert regular.error is None
        assert len(caplog.records) == 1
        limit.client_disconnected(three)
        limit.client_connected(five)
        assert five.error
        limit.client_disconnected(one)
        again, late = client(), client()
        limit.client_connected(again)
        limit.client_connected(late)
        assert (again.error, late.error) == (None, "too many connections")
        assert len(caplog.records) == 2
        assert "2 client connections" in caplog.text


class Handler:
    """A connection of mitmproxy's: keeps the events that it gets, and ends flows when told."""

    def __init__(self, *flows: Any) -> None:
        self.flows = flows
        self.events: list[Any] = []

    async def server_event(self, event: Any) -> None:
        self.events.append(event)
        for flow in self.flows:
            flow.live = False


def test_every_live_turn_is_told_of_the_end() -> None:
    flow, gone = tflow.tflow(), tflow.tflow()
    gone.live = False
    handler = Handler(flow)

    async def run() -> None:
        with taddons.context() as addons:
            await end_turns([flow])
            assert handler.events == []
            server = SimpleNamespace(name="proxyserver", connections={flow.client_conn.id: handler})
            addons.master.addons.add(server)
            async with asyncio.timeout(20):
                await end_turns([flow, gone])

    flow.live = False
    asyncio.run(run())
    assert len(handler.events) == 1
    assert handler.events[0].flow is flow


class Inner:
    """mitmproxy's protocol: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append(("lost", error))

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Socket:
    """Says after some looks that it was refused."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        self.looks -= 1
        return 104 if self.looks == 0 else 0


def watched(looks: int) -> tuple[Any, Inner, Handler]:
    inner, handler = Inner(), Handler()
    watch: Any = ClientWatch(handler, inner, Socket(looks))  # type: ignore[arg-type]
    return watch, inner, handler


def test_what_a_client_sends_goes_on() -> None:
    watch, inner, _ = watched(1)
    watch.data_received(b"a")
    watch.pause_writing()
    watch.resume_writing()
    assert inner.told == [b"a", "pause", "resume"]


def test_a_client_that_refuses_what_it_is_sent_has_left() -> None:
    async def run() -> list[Any]:
        watch, inner, handler = watched(3)
        told = asyncio.Event()
        tell = handler.server_event

        async def telling(event: Any) -> None:
            await tell(event)
            told.set()

        handler.server_event = telling  # type: ignore[method-assign]
        assert watch.eof_received() is True
        assert inner.told == ["eof"]
        async with asyncio.timeout(20):
            await told.wait()
        return handler.events

    assert len(asyncio.run(run())) == 1


@pytest.mark.parametrize(("error", "told"), [(None, 0), (ConnectionResetError(), 1)])
def test_a_connection_that_breaks_is_one_that_was_left(error: Exception | None, told: int) -> None:
    async def run() -> list[Any]:
        watch, inner, handler = watched(99)
        watch.eof_received()
        watch.connection_lost(error)
        assert inner.told == ["eof", ("lost", error)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return handler.events

    assert len(asyncio.run(run())) == told
