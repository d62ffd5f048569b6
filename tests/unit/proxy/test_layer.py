"""What the proxy layer does with what arrives."""

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

from responses_gateway.proxy.contract import ClientLeft, Limits, ShutDown
from responses_gateway.proxy.layer import setup
from unit.proxy_layers import HEAD, Turn, Wire, chunked

END = b"0\r\n\r\n"


@pytest.fixture
def wire() -> Wire:
    wire = Wire(Turn())
    wire.connect()
    return wire


def test_pieces_of_one_read_leave_in_one_write(wire: Wire) -> None:
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a", b"b", b"c"))
    wire.upstream(chunked(b"d"))
    assert wire.sent == [chunked(b"<abc>"), chunked(b"<d>")]


def test_pieces_that_come_with_the_head_are_kept(wire: Wire) -> None:
    wire.upstream(HEAD + chunked(b"a", b"b"))
    assert b"".join(wire.sent[1:]) == chunked(b"<a>", b"<b>")


def test_pieces_before_the_end_come_before_it(wire: Wire) -> None:
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a", b"b") + END)
    assert b"".join(wire.sent) == chunked(b"<ab>", b".") + b"0\r\n\r\n"


def test_data_sets_no_further_alarm(wire: Wire) -> None:
    wire.upstream(HEAD)
    alarms = wire.alarms
    for _ in range(100):
        wire.upstream(chunked(b"a"))
    assert wire.alarms == alarms


def test_a_nearer_limit_sets_an_alarm(wire: Wire) -> None:
    wire.upstream(HEAD)
    alarms = wire.alarms
    wire.served.settled = True
    wire.upstream(chunked(b"a"))
    assert wire.alarms == alarms + 1


class StoredTurn(Turn):
    """Its end is kept back until the hook of the round has ended. `!` is the end of what it is fed."""

    def feed(self, data: bytes) -> bytes:
        self.is_storing = self.settled = b"!" in data
        return data.rstrip(b"!")

    def finish(self) -> bytes:
        self.is_storing = self.is_storing or not self.ended
        return b""

    def told(self) -> bytes:
        if not self.is_storing:
            return b""
        self.is_storing = False
        self.ended = True
        return b"end"

    def end(self) -> bytes:
        return self.told()


STORED_END = chunked(b"end") + b"0\r\n\r\n"


@pytest.mark.parametrize("piece", [b"a", b"a!"], ids=["with the body", "before it"])
def test_the_end_waits_for_the_hook(piece: bytes) -> None:
    wire = Wire(StoredTurn(), decides=False)
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(piece) + b"0\r\n\r\n")
    assert wire.sent == [chunked(b"a")]
    wire.decide()
    assert b"".join(wire.sent) == chunked(b"a") + STORED_END
    assert wire.rounds == []
    assert wire.served.failures == []


def test_the_upstream_may_run_out_while_the_end_waits() -> None:
    wire = Wire(StoredTurn(), decides=False)
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a!"))
    wire.upstream(chunked(b": more") + b"0\r\n\r\n")
    wire.decide()
    assert b"".join(wire.sent) == chunked(b"a") + STORED_END


def test_a_process_that_ends_does_not_wait() -> None:
    flows: list[http.HTTPFlow] = []

    class Noting(Wire):
        def turn(self, flow: http.HTTPFlow) -> Turn:
            flows.append(flow)
            return super().turn(flow)

    wire = Noting(StoredTurn(Limits(10, 10, 10, 10)), decides=False)
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a!"))
    wire.handle(ShutDown(flows[0]))
    assert b"".join(wire.sent) == chunked(b"a") + STORED_END


class TalkingTurn(StoredTurn):
    """Its heartbeats tell what is new, its end among it."""

    def heartbeat(self) -> bytes:
        return self.told()


def test_a_heartbeat_may_bring_the_end_that_the_hook_waited_for() -> None:
    wire = Wire(TalkingTurn(Limits(1e-9, 10, 10, 10)), decides=False)
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a") + END)
    wire.wake()
    wire.decide()
    assert b"".join(wire.sent) == chunked(b"a") + STORED_END


class BrokenTurn(StoredTurn):
    """It makes its end when it is asked for it, and then has to store it."""

    def end(self) -> bytes:
        self.is_storing = True
        return b""


def test_the_end_of_a_broken_answer_waits_for_the_hook_too() -> None:
    wire = Wire(BrokenTurn(), decides=False)
    wire.connect()
    wire.upstream(HEAD)
    wire.upstream(chunked(b"a"))
    wire.sent.clear()
    [upstream] = wire.opened
    wire.upstream_ends(upstream)
    wire.handle(events.ConnectionClosed(upstream))
    wire.decide()
    assert wire.sent == []
    wire.decide()
    assert b"".join(wire.sent) == STORED_END


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_interim_responses_and_trailers_are_read_over(wire: Wire, size: int) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    answer = interim + HEAD + chunked(b"a") + b"0\r\nx-checksum: 1\r\nnot a field\r\n\r\n"
    for at in range(0, len(answer), size):
        wire.upstream(answer[at : at + size])
    assert b"".join(wire.sent).endswith(b"." + b"\r\n" + END)
    assert b"HTTP/1.1 1" not in b"".join(wire.sent)
    wire.ask()
    assert len(wire.opened) == 1
    assert not wire.closed


def test_the_end_of_a_kept_connection_may_come_late(wire: Wire) -> None:
    wire.upstream(HEAD + END)
    [old] = wire.opened
    wire.upstream_ends(old)
    wire.ask()
    assert len(wire.opened) == 2
    wire.handle(events.ConnectionClosed(old))
    assert wire.closed == [old]


def test_bytes_behind_an_answer_close_the_connection(wire: Wire) -> None:
    wire.upstream(HEAD + END + HEAD)
    assert wire.closed == wire.opened
    wire.ask()
    assert len(wire.opened) == 2


def test_a_request_that_crosses_the_end_of_its_connection_is_sent_again(wire: Wire) -> None:
    wire.upstream(HEAD + END)
    wire.served.ended = False
    wire.asked.clear()
    wire.ask()
    [old] = wire.opened
    wire.upstream_ends(old)
    wire.handle(events.ConnectionClosed(old))
    assert len(wire.opened) == 2
    assert wire.asked == [*wire.asked[:2]] * 2
    assert not wire.served.failures


@pytest.mark.parametrize("heard", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 2"])
def test_a_request_that_the_upstream_took_is_not_sent_again(wire: Wire, heard: bytes) -> None:
    if heard:
        wire.upstream(HEAD + END)
        wire.served.ended = False
        wire.ask()
        wire.upstream(heard)
    [old] = wire.opened
    wire.upstream_ends(old)
    wire.handle(events.ConnectionClosed(old))
    assert [failure.cause for failure in wire.served.failures] == ["broken"]


@pytest.mark.parametrize("answer", [b"", HEAD])
def test_a_client_that_sends_no_more_is_asked_whether_it_reads(wire: Wire, answer: bytes) -> None:
    wire.upstream(answer)
    wire.sent.clear()
    wire.client_ends(ConnectionState.CAN_WRITE)
    assert wire.sent == [chunked(b":") if answer else b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert not wire.closed
    wire.handle(ClientLeft())
    assert set(wire.opened) < set(wire.closed)


def test_a_client_may_have_left_before_its_end_is_told(wire: Wire) -> None:
    wire.handle(ClientLeft())
    wire.client_ends(ConnectionState.CAN_WRITE)
    assert set(wire.opened) < set(wire.closed)


def test_a_client_whose_connection_is_closed_has_left(wire: Wire) -> None:
    wire.client_ends(ConnectionState.CLOSED)
    assert wire.closed == wire.opened


def test_a_client_that_sends_no_more_is_let_go_after_its_answer(wire: Wire) -> None:
    wire.client_ends(ConnectionState.CAN_WRITE)
    wire.upstream(HEAD + chunked(b"a") + END)
    assert b"".join(wire.sent).endswith(END)
    assert len(wire.closed) == 1
    assert wire.closed != wire.opened


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
    wire.handle(ShutDown(wire.flows[0]))
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


class Refused(Turn):
    """Takes whole answers."""

    taken: bytes | None = None

    def begin(self, status: int, headers: http.Headers) -> bool:
        return False

    def take(self, body: bytes) -> None:
        self.taken = body


def refusal() -> tuple[Wire, Refused]:
    turn = Refused()
    wire = Wire(turn)
    wire.connect()
    wire.upstream(b"HTTP/1.1 500 X\r\ncontent-length: 100000000\r\n\r\nno")
    return wire, turn


def test_the_body_of_an_error_has_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("responses_gateway.proxy.time_limits.ERROR_BODY_SECONDS", 0)
    wire, turn = refusal()
    wire.wake()
    assert turn.taken == b"no"
    assert not turn.failures
    assert wire.sent


def test_the_body_of_an_error_may_not_be_long() -> None:
    wire, turn = refusal()
    while turn.taken is None:
        wire.upstream(b"o" * 60_000)
    assert len(turn.taken) < 2_000_000
    assert not turn.failures
    assert wire.sent
