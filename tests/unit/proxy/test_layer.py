"""What the proxy layer does with what arrives."""

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events

from responses_gateway.proxy.contract import ClientLeft, Limits, StopTurn
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
    wire.handle(StopTurn(flows[0]))
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
