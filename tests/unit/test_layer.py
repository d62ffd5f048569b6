"""What the proxy layer does with what arrives."""

import pytest

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
