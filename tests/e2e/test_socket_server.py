"""The WebSocket server by itself, in front of a stand-in for the gateway's listener: limits, tickets, slow readers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from responses_gateway.turn.steerings import Steerings
from responses_gateway.websocket.server import SocketLimits, SocketServer

type Listener = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
TIMEOUT = 60


def event(kind: str, **fields: Any) -> bytes:
    return b"data: " + json.dumps({"type": kind, **fields}, separators=(",", ":")).encode() + b"\n\n"


COMPLETED = event("response.completed", response={"id": "resp_1", "status": "completed", "output": []})


def run(limits: SocketLimits, listener: Listener, use: Callable[[ClientConnection], Awaitable[None]]) -> None:
    """`use` gets a connection that was admitted."""

    async def body() -> None:
        gateway = await asyncio.start_server(listener, "127.0.0.1", 0)
        server = SocketServer(limits, Steerings())
        server.start()
        address = gateway.sockets[0].getsockname()
        headers = server.admit((address[0], address[1]), {"authorization": "Bearer key", "session-id": "s1"})
        headers.pop("host")
        url = f"ws://127.0.0.1:{server.port}/"
        async with (
            asyncio.timeout(TIMEOUT),
            connect(url, additional_headers=headers, proxy=None, compression=None, max_size=None) as connection,
        ):
            await use(connection)
        server.close()
        gateway.close()

    asyncio.run(body())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + COMPLETED)
    await writer.drain()
    writer.close()


def create(**fields: Any) -> str:
    return json.dumps({"type": "response.create", "input": "hi", "store": False, **fields})


def test_an_answer_may_be_large() -> None:
    text = b"x" * (17 << 20)

    async def answer_at_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + COMPLETED.replace(b'"id"', b'"text": "%b", "id"' % text, 1))
        await writer.drain()
        writer.close()

    async def use(connection: ClientConnection) -> None:
        await connection.send(create())
        event = json.loads(await connection.recv())
        assert event["type"] == "response.completed"
        assert len(event["response"]["text"]) == len(text)

    run(SocketLimits(), answer_at_length, use)


def test_idle_connections_are_closed() -> None:
    async def use(connection: ClientConnection) -> None:
        await connection.send(create())
        assert json.loads(await connection.recv())["type"] == "response.completed"
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert (connection.close_code, connection.close_reason) == (1000, "idle")

    run(SocketLimits(idle=0.3), answer, use)


def test_lifetime_ends_with_an_error_that_clients_know() -> None:
    async def use(connection: ClientConnection) -> None:
        frame = json.loads(await connection.recv())
        assert (frame["type"], frame["status"]) == ("error", 400)
        assert frame["error"]["code"] == "websocket_connection_limit_reached"
        with pytest.raises(ConnectionClosed):
            await connection.recv()

    run(SocketLimits(lifetime=0.1), answer, use)


def test_lifetime_lets_a_turn_end() -> None:
    go_on = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await answer(reader, writer)

    async def use(connection: ClientConnection) -> None:
        await connection.send(create())
        await connection.send("{")
        assert json.loads(await connection.recv())["error"]["code"] == "invalid_json"
        asyncio.get_running_loop().call_later(0.5, go_on.set)
        assert json.loads(await connection.recv())["type"] == "response.completed"
        assert json.loads(await connection.recv())["error"]["code"] == "websocket_connection_limit_reached"

    run(SocketLimits(lifetime=0.2), slow, use)


def test_nobody_comes_in_without_a_ticket() -> None:
    async def body() -> None:
        server = SocketServer(SocketLimits(), Steerings())
        server.start()
        admitted = server.admit(("127.0.0.1", 1), {"authorization": "Bearer key", "cookie": "c=1"})
        assert "Bearer key" not in str(admitted)
        url = f"ws://127.0.0.1:{server.port}/"
        for headers in ({}, {"x-gateway-ticket": "guess"}):
            with pytest.raises(InvalidStatus):
                await connect(url, additional_headers=headers, proxy=None)
        ticket = {"x-gateway-ticket": admitted["x-gateway-ticket"]}
        async with connect(url, additional_headers=ticket, proxy=None):
            with pytest.raises(InvalidStatus):
                await connect(url, additional_headers=ticket, proxy=None)
        server.close()

    asyncio.run(body())


def test_headers_of_the_client_reach_the_turn() -> None:
    heads: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD + COMPLETED)
        writer.close()

    async def use(connection: ClientConnection) -> None:
        await connection.send(create())
        await connection.recv()

    run(SocketLimits(), listen, use)
    head = heads[0].decode().lower()
    assert head.startswith("post /v1/responses ")
    assert "authorization: bearer key\r\n" in head
    assert "session-id: s1\r\n" in head
    assert "upgrade" not in head
    assert "ticket" not in head
    assert "sec-websocket" not in head


def test_a_slow_reader_slows_the_answer_down() -> None:
    """Far more than all buffers on the way is not taken from the listener while the client does not read."""
    size, total = 1 << 16, 1000
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        for _ in range(total):
            writer.write(event("response.output_text.delta", delta="x" * size))
            await writer.drain()
            sent += 1
        writer.write(COMPLETED)
        writer.close()

    async def use(connection: ClientConnection) -> None:
        await connection.send(create())
        await connection.recv()
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < total / 2
        while json.loads(await connection.recv())["type"] != "response.completed":
            pass
        assert sent == total

    run(SocketLimits(), flood, use)


def test_lanes_share_the_connection_with_one_that_never_stops() -> None:
    """Another lane's answer comes through, event for event, while as much as can be sent is sent in the first one."""
    small = 20

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        endless = b"flood" in await reader.readexactly(length)
        writer.write(HEAD)
        if not endless:
            writer.write(event("response.output_text.delta", delta="y") * small + COMPLETED)
        while endless and not writer.is_closing():
            writer.write(event("response.output_text.delta", delta="x" * 100) * 1000)
            await writer.drain()
        writer.close()

    async def use(connection: ClientConnection) -> None:
        await connection.send(create(input="flood", stream_id="endless"))
        assert json.loads(await connection.recv())["stream_id"] == "endless"
        for lane in ("one", "two"):
            await connection.send(create(stream_id=lane))
        done: list[str] = []
        deltas = 0
        while len(done) < 2:
            frame = json.loads(await connection.recv())
            if frame["stream_id"] != "endless":
                deltas += frame["type"] == "response.output_text.delta"
                done += [frame["stream_id"]] if frame["type"] == "response.completed" else []
        assert (sorted(done), deltas) == (["one", "two"], 2 * small)

    run(SocketLimits(), listen, use)


def test_an_answer_without_an_end_is_an_error() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + event("response.output_text.delta", delta="x"))
        writer.close()

    async def use(connection: ClientConnection) -> None:
        await connection.send(create())
        await connection.recv()
        frame = json.loads(await connection.recv())
        assert (frame["type"], frame["status"], frame["error"]["type"]) == ("error", 502, "server_error")

    run(SocketLimits(), cut, use)
