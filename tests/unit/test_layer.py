"""What the proxy layer does with what arrives."""

import pytest
from mitmproxy import http

from responses_gateway.proxy.contract import Limits, ShutDown
from unit.proxy_layers import HEAD, Turn, Wire, chunked


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
    assert wire.sent[1:] == [chunked(b"<ab>")]


def test_pieces_before_the_end_come_before_it(wire: Wire) -> None:
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a", b"b") + b"0\r\n\r\n")
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


END = chunked(b"end") + b"0\r\n\r\n"


@pytest.mark.parametrize("piece", [b"a", b"a!"], ids=["with the body", "before it"])
def test_the_end_waits_for_the_hook(piece: bytes) -> None:
    wire = Wire(StoredTurn())
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(piece) + b"0\r\n\r\n")
    assert wire.sent == [chunked(b"a")]
    wire.decide()
    assert b"".join(wire.sent) == chunked(b"a") + END
    assert wire.rounds == []
    assert wire.served.failures == []


def test_the_upstream_may_run_out_while_the_end_waits() -> None:
    wire = Wire(StoredTurn())
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a!"))
    wire.upstream(chunked(b": more") + b"0\r\n\r\n")
    wire.decide()
    assert b"".join(wire.sent) == chunked(b"a") + END


def test_a_process_that_ends_does_not_wait() -> None:
    flows: list[http.HTTPFlow] = []

    class Noting(Wire):
        def turn(self, flow: http.HTTPFlow) -> Turn:
            flows.append(flow)
            return super().turn(flow)

    wire = Noting(StoredTurn(Limits(10, 10, 10, 10)))
    wire.connect()
    wire.upstream(HEAD)
    wire.sent.clear()
    wire.upstream(chunked(b"a!"))
    wire.handle(ShutDown(flows[0]))
    assert b"".join(wire.sent) == chunked(b"a") + END
