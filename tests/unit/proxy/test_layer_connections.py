"""Which layers a connection gets, what is passed on unserved, and connections to upstreams that end or are shared."""

import gc
import weakref

import pytest
from h2.connection import H2Connection
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from responses_gateway.proxy.contract import StopTurn
from responses_gateway.proxy.layer import setup
from unit.proxy_layers import HEAD, Turn, Wire, chunked

END = b"0\r\n\r\n"


@pytest.fixture
def wire() -> Wire:
    wire = Wire(Turn())
    wire.connect()
    return wire


@pytest.mark.parametrize(
    ("mode", "begins", "layers"),
    [
        ("reverse:http://upstream", b"POST", ["GatewayLayer"]),
        ("reverse:http://upstream", b"", ["GatewayLayer"]),
        ("reverse:http://upstream", b"\x16\x03\x01", ["ClientTLSLayer", "GatewayLayer"]),
        ("reverse:https://upstream", b"POST", ["ServerTLSLayer", "GatewayLayer"]),
        ("reverse:https://upstream", b"\x16\x03\x01", ["ServerTLSLayer", "ClientTLSLayer", "GatewayLayer"]),
        ("reverse:tcp://upstream:80", b"POST", None),
        ("regular", b"POST", None),
        ("reverse:http3://upstream", b"POST", None),
    ],
)
def test_reverse_proxies_for_http_get_our_layers(mode: str, begins: bytes, layers: list[str] | None) -> None:
    wire = Wire(Turn())
    context = Context(tflow.tclient_conn(), wire._layer.context.options)
    context.client.proxy_mode = ProxyMode.parse(mode)
    context.layers.append(wire._layer)
    found = setup(context, begins, wire)
    assert (found is not None) is (layers is not None)
    if layers is not None:
        assert found is context.layers[1]
        assert [type(each).__name__ for each in context.layers[1:]] == layers
        context.client.transport_protocol = "udp"
        assert setup(context, begins, wire) is None


class Unserved(Wire):
    """The gateway serves none of its flows."""

    def turn(self, flow: http.HTTPFlow) -> None:
        return None


def test_what_is_not_the_gateways_is_passed_on_as_it_is() -> None:
    wire = Unserved(Turn())
    wire.connect()
    assert b"".join(wire.asked) == b"POST /v1/responses HTTP/1.1\r\nhost: upstream\r\ncontent-length: 2\r\n\r\n{}"
    wire.handle(StopTurn(wire.flows[0]))
    wire.upstream(HEAD + chunked(b"a") + END)
    assert b"<a>" not in b"".join(wire.sent)
    assert b"a" in b"".join(wire.sent).partition(b"\r\n\r\n")[2]
    assert wire.alarm is None
    assert wire.hooks == ["requestheaders", "request", "responseheaders", "response"]
    wire.ask()
    assert len(wire.opened) == 1


@pytest.mark.parametrize("heard", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
def test_an_error_of_an_answer_that_we_only_relay_is_told_in_our_form(heard: bytes) -> None:
    wire = Unserved(Turn())
    wire.connect()
    wire.upstream(heard)
    [upstream] = wire.opened
    wire.upstream_ends(upstream)
    wire.handle(events.ConnectionClosed(upstream))
    sent = b"".join(wire.sent)
    assert sent.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"<html>" not in sent
    assert b"connection: close" not in sent
    assert sent.partition(b"\r\n\r\n")[2] in (b"server closed connection", b"peer closed connection") or heard
    assert wire.hooks[-1] == "error"
    assert wire._client not in wire.closed
    wire.ask()
    assert len(wire.opened) == 2


def test_an_error_for_a_client_that_is_gone_is_not_sent() -> None:
    wire = Unserved(Turn())
    wire.connect()
    [upstream] = wire.opened
    wire._client.state = ConnectionState.CAN_READ
    wire.upstream_ends(upstream)
    wire.handle(events.ConnectionClosed(upstream))
    assert wire.sent == []


def test_a_request_that_may_be_two_is_refused_and_its_connection_closed() -> None:
    wire = Wire(Turn())
    wire.handle(events.Start())
    wire.client_sends(
        b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n"
    )
    sent = b"".join(wire.sent)
    assert sent.startswith(b"HTTP/1.1 400")
    assert b"<html>" not in sent
    assert b"connection: close\r\n" in sent
    assert wire.opened == []
    assert wire._client in [*wire.closed, *wire.half_closed]


def test_an_attempt_that_no_turn_waits_for_is_stopped() -> None:
    wire = Wire(Turn(), connects=False)
    wire.connect()
    wire.client_ends(ConnectionState.CLOSED)
    assert wire.closed == wire.opened
    wire.attempted("closed by command")
    assert wire.asked == wire.sent == []


@pytest.mark.parametrize("second_left", [False, True])
def test_turns_that_wait_for_one_connection_do_not_stop_each_others_attempt(second_left: bool) -> None:
    # Only HTTP/2 has two requests at once; whether they share a connection shows when it is there.
    wire = Wire(Turn(), connects=False, client_alpn=b"h2")
    wire.handle(events.Start())
    client = H2Connection()
    client.initiate_connection()
    for stream in (1, 3):
        client.send_headers(stream, [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")])
        client.end_stream(stream)
    wire.client_sends(client.data_to_send())
    assert len(wire.opened) == 1
    for stream in (1, 3) if second_left else (1,):
        client.reset_stream(stream)
        wire.client_sends(client.data_to_send())
    assert wire.closed == (wire.opened if second_left else [])
    if not second_left:
        wire.attempted(None)
        assert len(wire.asked) == 2


def test_a_closed_connection_is_forgotten_when_another_is_needed() -> None:
    wire = Wire(Turn())
    wire.connect()
    first = wire.opened[0]
    for expected in (1, 2, 3):
        wire.upstream(HEAD + chunked(b"a"))
        current = wire.opened[-1]
        assert len(wire.opened) == expected
        wire.upstream(END)
        current.state = ConnectionState.CLOSED
        wire.handle(events.ConnectionClosed(current))
        wire.served = Turn()
        wire.ask()
    assert first not in wire._layer.connections
    assert len([one for one in wire._layer.connections if one is not wire._client]) <= 2
    wire.handle(events.ConnectionClosed(first))
    wire.handle(events.DataReceived(first, b"late"))
    assert wire.served.failures == []


def test_nothing_keeps_what_knew_a_closed_connection(wire: Wire) -> None:
    wire.upstream(HEAD + chunked(b"a") + END + b"?")
    first = weakref.ref(wire.opened.pop())
    wire.closed.clear()
    wire.served = Turn()
    wire.flows.clear()
    wire.ask()
    wire.upstream(HEAD + chunked(b"a") + END)
    wire.served = Turn()
    wire.ask()
    gc.collect()
    assert first() is None


def test_a_request_that_was_lost_twice_is_given_up(wire: Wire) -> None:
    wire.upstream(HEAD + END)
    wire.served.ended = False
    wire.ask()
    for upstream in (wire.opened[0], wire.opened[-1]):
        wire.upstream_ends(wire.opened[-1])
        wire.handle(events.ConnectionClosed(wire.opened[-1]))
        assert upstream in wire.closed
    assert len(wire.opened) == 2
    assert [failure.cause for failure in wire.served.failures] == ["broken"]
