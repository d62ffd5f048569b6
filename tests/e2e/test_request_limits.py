"""What the gateway does not take: bodies of strangers, more than it can hold, heads and connections without end."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPResponse

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from e2e.gateway import GatewayProcess, StartGateway
from e2e.socket_client import open_socket
from upstream import Gate, Script, done, finish, reply, stream, text, usage

KEY = "gw-key-1"
MIB = 1 << 20
POST = b"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


@pytest.fixture
def locked(start_gateway: StartGateway) -> GatewayProcess:
    return start_gateway({"gateway_access_keys": KEY})


def connect(gateway: GatewayProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=60)


def answer(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection)
    response.begin()
    return response


def memory(gateway: GatewayProcess, field: str = "VmRSS") -> int:
    """Bytes that the process holds, or (`VmHWM`) has ever held."""
    with open(f"/proc/{gateway.pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))


HEADS = {
    "declared": POST + b"content-length: %d\r\n\r\n" % (49 * MIB),
    "chunked": POST + b"transfer-encoding: chunked\r\n\r\n",
    "expected": POST + b"expect: 100-continue\r\ncontent-length: 5000\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_stranger_is_refused_by_the_head_alone(locked: GatewayProcess, head: bytes) -> None:
    with closing(connect(locked)) as connection:
        connection.sendall(head)
        refused = answer(connection)
        assert (refused.status, refused.headers["connection"]) == (401, "close")
        assert json.loads(refused.read())["error"]["code"] == "invalid_api_key"
        assert connection.recv(1) == b""


def test_a_stranger_that_sends_all_the_same_can_read_why_not(locked: GatewayProcess) -> None:
    connection = HTTPConnection("127.0.0.1", locked.port, timeout=60)
    with closing(connection):
        connection.request("POST", "/v1/responses", b"x" * (8 * MIB))
        assert connection.getresponse().status == 401


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bodies_of_strangers_take_no_memory(locked: GatewayProcess) -> None:
    with closing(connect(locked)) as connection:
        connection.sendall(HEADS["expected"])
        answer(connection).read()
    before = memory(locked, "VmHWM")
    piece = bytes(MIB)
    for _ in range(10):
        with closing(connect(locked)) as connection, suppress(ConnectionError):
            connection.sendall(HEADS["declared"])
            for _ in range(48):
                connection.sendall(piece)
    assert memory(locked, "VmHWM") - before < 10 * MIB


def test_a_body_that_is_declared_too_large_is_not_read(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"gateway_body_limit": "1MiB"})
    with closing(connect(gateway)) as connection:
        connection.sendall(POST + b"content-length: 2000000\r\n\r\n{")
        refused = answer(connection)
        assert (refused.status, json.loads(refused.read())["error"]["code"]) == (413, "request_too_large")
        assert connection.recv(1) == b""


def test_more_bodies_than_fit_are_told_to_come_back(start_gateway: StartGateway, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("a"), gate, finish(), usage(), done()), reply(text="b"))
    gateway = start_gateway({"gateway_bodies_limit": "1MiB"})
    body = json.dumps({"model": script.model, "input": "x" * 600_000}).encode()
    request = POST + b"content-length: %d\r\n\r\n" % len(body) + body
    with closing(connect(gateway)) as first:
        first.sendall(request)
        gate.wait_reached()
        with closing(connect(gateway)) as second:
            second.sendall(request)
            refused = answer(second)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert "gateway_bodies_limit" in json.loads(refused.read())["error"]["message"]
        gate.open()
        served = answer(first)
        assert (served.status, json.loads(served.read())["status"]) == (200, "completed")
        first.sendall(request)
        assert answer(first).status == 200


@pytest.mark.parametrize("message", ["x" * 3 * MIB, ["x" * MIB] * 3], ids=["one frame", "fragments"])
def test_a_socket_message_that_is_too_large_closes_the_socket(
    start_gateway: StartGateway, message: str | list[str]
) -> None:
    gateway = start_gateway({"gateway_body_limit": "1MiB"})
    with open_socket(gateway.url) as socket:
        with suppress(ConnectionClosed):
            socket.connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG


def test_a_head_without_end_is_refused(gateway: GatewayProcess) -> None:
    with closing(connect(gateway)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nx: " + b"x" * (300 << 10))
        assert answer(connection).status == 431


def test_connections_beyond_the_limit_are_closed(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"gateway_connections": "2"})
    with ExitStack() as stack:
        held = [stack.enter_context(closing(connect(gateway))) for _ in range(2)]
        for connection in held:
            assert health(connection) == 200
        with closing(connect(gateway)) as third, suppress(ConnectionError):
            assert third.recv(1) == b""
        gateway.wait_log("gateway_connections")
        assert health(held[0]) == 200
    assert next(status for status in attempts(gateway) if status is not None) == 200


def health(connection: socket.socket) -> int | None:
    connection.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    response = answer(connection)
    response.read()
    return response.status


def attempts(gateway: GatewayProcess) -> Iterator[int | None]:
    """The gateway learns a little later that its clients have left."""
    for _ in range(1000):
        with closing(connect(gateway)) as connection:
            try:
                yield health(connection)
            except OSError:
                yield None
