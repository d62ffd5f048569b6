"""What clients send, and what they get: heads and bodies that cannot be read or are too large, and old HTTP."""

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events

from unit.proxy_layers import HEAD, REQUEST, Turn, Wire, chunked

ANSWER = HEAD + chunked(b"a") + b"0\r\n\r\n"


def asked(*pieces: bytes) -> Wire:
    wire = Wire(Turn())
    wire.handle(events.Start())
    for piece in pieces:
        wire.handle(events.DataReceived(wire._client, piece))
    return wire


def sent(wire: Wire) -> bytes:
    return b"".join(wire.sent)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + bytes(300_000).replace(b"\0", b"a"), b"431"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused_in_our_form(head: bytes, status: bytes) -> None:
    wire = asked(head)
    assert sent(wire).startswith(b"HTTP/1.1 " + status)
    assert b"connection: close\r\n" in sent(wire)
    assert wire.closed == [wire._client]
    assert wire.asked == []


def test_a_long_head_may_still_be_one() -> None:
    head = b"POST /v1/responses HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\nx: " + b"a" * 200_000
    wire = asked(head, b"\r\n\r\n{}")
    assert sent(wire) == b""
    assert len(wire.opened) == 1


def test_a_body_that_cannot_be_read_is_refused_in_our_form() -> None:
    wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
    assert sent(wire).startswith(b"HTTP/1.1 400")
    assert b"body cannot be parsed" in sent(wire)
    assert wire.closed == [wire._client]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused(declared: bool) -> None:
    if declared:
        wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n")
    else:
        start = b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        wire = asked(start, chunked(b"a" * 600), chunked(b"a" * 600))
    assert sent(wire).startswith(b"HTTP/1.1 413")
    assert b"larger than 1000 bytes" in sent(wire)
    assert wire.asked == []


def test_a_body_of_the_limit_is_taken() -> None:
    wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n" + b"a" * 1000)
    assert len(wire.opened) == 1


def test_a_process_that_holds_enough_says_so_and_reads_no_further() -> None:
    class Full(Wire):
        def reserve_body_memory(self, flow: http.HTTPFlow, size: int) -> bool:
            return False

    wire = Full(Turn())
    wire.handle(events.Start())
    wire.handle(events.DataReceived(wire._client, REQUEST.replace(b": 2", b": 900")))
    assert sent(wire).startswith(b"HTTP/1.1 503")
    assert b"gateway_bodies_limit" in sent(wire)
    assert b"connection: close" in sent(wire)
    assert wire.opened == []
    wire.handle(events.DataReceived(wire._client, b"more"))
    assert sent(wire).count(b"HTTP/1.1 ") == 1


def test_a_client_of_old_gets_no_chunks() -> None:
    wire = asked(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"))
    wire.upstream(ANSWER)
    head, _, body = sent(wire).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"<a>."
    assert wire._client in wire.closed


def test_a_client_of_today_gets_chunks_and_keeps_its_connection() -> None:
    wire = asked(REQUEST)
    wire.upstream(ANSWER)
    assert sent(wire).endswith(b"3\r\n<a>\r\n1\r\n.\r\n0\r\n\r\n") or sent(wire).endswith(b"4\r\n<a>.\r\n0\r\n\r\n")
    assert wire._client not in wire.closed


def test_a_client_that_sends_far_ahead_is_let_go() -> None:
    wire = asked(REQUEST)
    wire.handle(events.DataReceived(wire._client, b"a" * 1000))
    assert wire.closed == []
    for _ in range(20):
        if wire._client.state is ConnectionState.CLOSED:
            break
        wire.handle(events.DataReceived(wire._client, b"a" * 100_000))
    assert wire._client in wire.closed
