"""What the proxy layer does with what arrives."""

import pytest
from mitmproxy import http

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
    monkeypatch.setattr("responses_gateway.proxy.clock.REFUSAL", 0)
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
