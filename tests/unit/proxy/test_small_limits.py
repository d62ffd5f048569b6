"""Limits of the process: memory for request bodies, client connections, and the end of turns and of clients."""

import asyncio
import itertools
import logging
import signal
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from responses_gateway.proxy import shutdown
from responses_gateway.proxy.client_watch import ClientWatch
from responses_gateway.proxy.connection_limit import ConnectionLimit
from responses_gateway.proxy.request_body_memory import RequestBodyMemory
from responses_gateway.proxy.shutdown import end_turns, stop_on_hangup


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


def test_no_connection_at_all_may_be_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    limit, one, two = ConnectionLimit(lambda: 0), client(), client()
    limit.client_connected(one)
    limit.client_connected(two)
    assert one.error == two.error == "too many connections"
    assert len(caplog.records) == 1


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


def test_a_turn_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "GRACE", 0.02)
    flow, stranger = tflow.tflow(), tflow.tflow()
    stranger.client_conn.id = "of no connection"
    handler = Handler()

    async def run() -> None:
        with taddons.context() as addons:
            server = SimpleNamespace(name="proxyserver", connections={flow.client_conn.id: handler})
            addons.master.addons.add(server)
            async with asyncio.timeout(20):
                await end_turns([flow, stranger])

    flow.live = stranger.live = True
    asyncio.run(run())
    assert [event.flow for event in handler.events] == [flow]
    assert flow.live


def test_a_turn_that_ends_later_is_waited_for() -> None:
    flow = tflow.tflow()

    class Slow(Handler):
        async def server_event(self, event: Any) -> None:
            asyncio.get_running_loop().call_later(0.05, setattr, flow, "live", False)

    async def run() -> None:
        with taddons.context() as addons:
            addons.master.addons.add(SimpleNamespace(name="proxyserver", connections={flow.client_conn.id: Slow()}))
            await end_turns([flow])

    flow.live = True
    asyncio.run(run())
    assert not flow.live


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there are no terminals that hang up")
@pytest.mark.parametrize(("before", "ends"), [("default", True), ("ignored", False), ("own", False)])
@pytest.mark.parametrize("in_main_thread", [True, False])
def test_a_closed_terminal_ends_the_process_unless_somebody_has_decided_otherwise(
    before: str, ends: bool, in_main_thread: bool
) -> None:
    asked: list[str] = []

    async def run() -> None:
        with taddons.context() as addons:
            addons.master.shutdown = lambda: asked.append("to end")  # type: ignore[method-assign]
            if in_main_thread:
                stop_on_hangup()
            else:
                await asyncio.to_thread(stop_on_hangup)
            if before != "default" or in_main_thread:
                signal.raise_signal(signal.SIGHUP)
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    chosen = {"default": signal.SIG_DFL, "ignored": signal.SIG_IGN, "own": lambda *_: None}
    found = signal.signal(signal.SIGHUP, chosen[before])
    try:
        asyncio.run(run())
    finally:
        signal.signal(signal.SIGHUP, found)
    assert asked == (["to end"] if ends and in_main_thread else [])


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
        watch.connection_lost(error)
        assert inner.told == [("lost", error)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return handler.events

    assert len(asyncio.run(run())) == told


@pytest.mark.parametrize("refused_at", [1, 4, 0])
def test_the_looks_at_a_client_become_rare_and_end(refused_at: int) -> None:
    waits: list[float] = []

    async def run() -> list[Any]:
        watch, _, handler = watched(refused_at)
        loop = asyncio.get_running_loop()

        def later(delay: float, look: Any, *arguments: Any) -> Any:
            waits.append(delay)
            return loop.call_soon(look, *arguments)

        loop.call_later = later  # type: ignore[method-assign, assignment]
        watch.eof_received()
        for _ in range(100):
            await asyncio.sleep(0)
        return handler.events

    told = asyncio.run(run())
    assert len(told) == (1 if refused_at else 0)
    assert waits[0] < 0.01
    assert all(after == 2 * before for before, after in itertools.pairwise(waits))
    if refused_at:
        assert len(waits) == refused_at
    else:
        assert waits[-2] < 5 <= waits[-1]


def test_a_client_that_is_gone_is_not_looked_at_again() -> None:
    async def run() -> tuple[int, list[Any]]:
        watch, _, handler = watched(2)
        watch.eof_received()
        watch.connection_lost(None)
        await asyncio.sleep(0.05)
        return watch._socket.looks, handler.events

    assert asyncio.run(run()) == (2, [])
