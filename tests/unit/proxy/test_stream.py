"""One turn on its stream: whole answers, rounds, and connections."""

from dataclasses import dataclass

import pytest
from mitmproxy import http
from mitmproxy.proxy import events

from responses_gateway.proxy import stream, time_limits
from responses_gateway.proxy.contract import Failure
from unit.proxy_layers import HEAD, chunked
from unit.rounds import END, LIMITS, Clock, Noted, Rounds, body, causes, got, served, whole

# Whole answers


def test_a_whole_answer_is_sent_when_the_round_is_over() -> None:
    wire = served(Noted(is_streamed=False, streams=False), whole(b"a secret")[:-1])
    assert wire.sent == []
    wire.upstream(b"t")
    assert body(wire) == b"<a secret>"
    assert wire.hooks == ["requestheaders", "request", "gateway_round", "responseheaders", "response"]
    [flow] = wire.flows
    assert flow.response is not None
    assert flow.response.content == b"<a ***>"
    assert not flow.live
    assert causes(wire) == []
    assert wire.closed == []


def test_the_flow_has_the_upstreams_answer_until_the_gateway_has_its_own() -> None:
    wire = served(Noted(is_streamed=False), whole(b"no", b"418 Teapot"), decides=False)
    [flow] = wire.flows
    assert flow.response is not None
    assert flow.response.status_code == 418
    wire.decide()
    assert flow.response.status_code == 200


def test_an_answer_that_a_killed_flow_would_get_is_not_sent() -> None:
    for turn in (Noted(is_streamed=False), Noted()):
        wire = Rounds(turn)
        wire.do = lambda hook: hook.name == "responseheaders" and wire.flows[0].kill()  # noqa: B023 (called in this turn)
        wire.connect()
        wire.upstream(whole(b"a") if not turn.is_streamed else HEAD + chunked(b"a"))
        assert wire.sent == []
        assert wire._client in wire.closed
        assert wire.hooks[-1] == "error"
        assert not wire.flows[0].live
        if turn.is_streamed:
            assert set(wire.closed) == {wire._client, *wire.opened}


@pytest.mark.parametrize(("status", "is_error"), [(200, False), (299, False), (300, True), (404, True), (500, True)])
def test_only_the_body_of_an_error_has_little_time(clock: Clock, status: int, is_error: bool) -> None:
    turn = Noted(is_streamed=False)
    wire = served(turn, b"HTTP/1.1 %d X\r\ncontent-length: 5\r\n\r\nha" % status)
    clock.now += time_limits.ERROR_BODY_SECONDS
    wire.wake()
    assert turn.statuses == [status]
    assert turn.bodies == ([b"ha"] if is_error else [])
    assert wire.closed == (wire.opened if is_error else [])
    clock.now += 30
    wire.wake()
    assert causes(wire) == ([] if is_error else ["idle_timeout"])
    assert got(wire).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(("status", "limit"), [(b"500", "MAX_ERROR_BODY"), (b"200", "MAX_WHOLE_ANSWER")])
def test_a_body_that_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch, status: bytes, limit: str) -> None:
    monkeypatch.setattr(stream, limit, 2 << 20)
    turn = Noted(is_streamed=False)
    wire = served(turn, b"HTTP/1.1 %b X\r\ncontent-length: 9999999\r\n\r\n" % status, b"a" * ((2 << 20) - 1))
    assert wire.closed == []
    wire.upstream(b"a")
    if status == b"500":
        assert [len(taken) for taken in turn.bodies] == [2 << 20]
        assert turn.failures == []
    else:
        assert wire.closed == []
        wire.upstream(b"a")
        assert turn.failures == [Failure("too_large", "it is longer than 2 MiB")]
        assert turn.bodies == []
    assert wire.closed == wire.opened
    assert got(wire).startswith(b"HTTP/1.1 200")


# Further rounds


def test_each_round_has_a_body_of_its_own() -> None:
    turn = Noted(is_streamed=False)
    wire = served(turn, whole(b"one"), whole(b"two"), further=1)
    assert turn.bodies == [b"one", b"two"]
    assert turn.statuses == [200, 200]
    assert body(wire) == b"<one|two>"
    assert len(wire.opened) == 1
    assert len(wire.asked) == 4
    assert wire.hooks.count("gateway_round") == 2


def test_what_the_turn_asks_may_change_with_the_round() -> None:
    turn = Noted(is_streamed=False)
    wire = Rounds(turn, further=1)
    second = http.Request.make("POST", "http://other:81/v2", b"again")
    wire.do = lambda hook: setattr(turn, "request", second) if hook.name == "gateway_round" else None
    wire.connect()
    wire.upstream(whole(b"one"))
    assert wire.asked[2].startswith(b"POST /v2 HTTP/1.1\r\n")
    assert wire.asked[3] == b"again"
    assert [server.address for server in wire.opened] == [("upstream", 80), ("other", 81)]
    assert wire.flows[0].server_conn is wire.opened[1]
    wire.upstream(whole(b"two"))
    assert body(wire) == b"<one|two>"


def test_the_rounds_of_a_stream_are_one_answer() -> None:
    turn = Noted(rest=b"")
    wire = served(turn, HEAD, chunked(b"a") + END, further=1)
    turn.rest = b"."
    wire.upstream(HEAD + chunked(b"b"))
    wire.upstream(END)
    assert got(wire).count(b"HTTP/1.1 ") == 1
    assert body(wire) == chunked(b"<a>", b"<b>", b".") + END
    assert wire.hooks == ["requestheaders", "request", "responseheaders", "gateway_round", "response"]
    assert not wire.flows[0].live


def test_a_stream_that_no_round_follows_is_ended() -> None:
    wire = served(Noted(rest=b""), HEAD, chunked(b"a") + END)
    assert body(wire) == chunked(b"<a>", b"!") + END
    assert wire.hooks == ["requestheaders", "request", "responseheaders", "gateway_round", "response"]
    assert causes(wire) == []


@dataclass
class Calling(Noted):
    """Needs nothing more from the upstream after `!`."""

    def feed(self, data: bytes) -> bytes:
        self.round_over = b"!" in data
        return super().feed(data)


@pytest.mark.parametrize("follows", [b"", chunked(b"more"), END])
def test_a_round_that_is_over_is_not_waited_for(follows: bytes) -> None:
    wire = served(Calling(), HEAD, chunked(b"a!") + follows, further=1)
    assert wire.closed == wire.opened[:1]
    wire.served.round_over = False
    wire.upstream(HEAD)
    wire.upstream(chunked(b"b"))
    wire.upstream(END)
    told = b"<a!more>" if b"more" in follows else b"<a!>"
    assert body(wire) in (chunked(told, b"<b>", b".") + END, chunked(told, b".") + END)
    assert got(wire).count(b"HTTP/1.1 ") == 1


def test_what_comes_late_of_a_round_is_not_taken_for_the_next() -> None:
    turn = Calling()
    wire = served(turn, HEAD, chunked(b"a!"), further=1)
    turn.round_over = False
    old = wire.opened[0]
    wire.handle(events.DataReceived(old, chunked(b"late")))
    wire.handle(events.ConnectionClosed(old))
    wire.upstream(HEAD)
    wire.upstream(chunked(b"b"))
    wire.upstream(END)
    assert b"late" not in got(wire)
    assert body(wire) == chunked(b"<a!>", b"<b>", b".") + END
    assert causes(wire) == []


# Connections


def test_an_upstream_that_cannot_be_reached() -> None:
    wire = Rounds(Noted(), connects=False)
    wire.connect()
    assert wire.asked == []
    wire.attempted("nobody there")
    assert wire.served.failures == [Failure("refused", "nobody there")]
    assert got(wire).startswith(b"HTTP/1.1 200")
    assert wire.hooks == ["requestheaders", "request", "gateway_round", "responseheaders", "response"]


def test_an_upstream_that_could_not_be_reached_is_tried_anew() -> None:
    wire = Rounds(Noted(is_streamed=False), connects=False, further=1)
    wire.connect()
    wire.attempted("nobody there")
    wire.attempted(None)
    assert len(wire.opened) == 2
    wire.upstream(whole(b"a"))
    assert body(wire) == b"<a>"
    assert causes(wire) == ["refused"]


def test_a_connection_that_takes_too_long_is_given_up(clock: Clock) -> None:
    wire = Rounds(Noted(), connects=False, decides=False)
    wire.connect()
    clock.now += 9.99
    wire.wake()
    assert causes(wire) == wire.closed == []
    clock.now = 1010.0
    wire.wake()
    assert wire.served.failures == [Failure("connect_timeout", seconds=10)]
    assert wire.closed == wire.opened
    wire.attempted("closed by command")
    assert causes(wire) == ["connect_timeout"]
    assert wire.asked == []
    wire.decide()
    assert got(wire).startswith(b"HTTP/1.1 200")


def test_heartbeats_are_sent_while_the_upstream_is_connected(clock: Clock) -> None:
    wire = Rounds(Noted(limits=LIMITS._replace(heartbeat=2)), connects=False)
    wire.connect()
    clock.now += 2
    wire.wake()
    assert body(wire) == chunked(b":")
    wire.attempted(None)
    assert len(wire.asked) == 2
    clock.now += 1.9
    wire.wake()
    assert body(wire) == chunked(b":")
    clock.now += 0.1
    wire.wake()
    assert body(wire) == chunked(b":", b":")
    wire.upstream(HEAD)
    wire.upstream(chunked(b"a") + END)
    assert body(wire) == chunked(b":", b":", b"<a>", b".") + END
    assert got(wire).count(b"HTTP/1.1 ") == 1


def test_the_client_is_told_what_the_addon_does_between_rounds(clock: Clock) -> None:
    told = [b"", b"news", b"", b"more"]

    @dataclass
    class Busy(Noted):
        def told(self) -> bytes:
            return told.pop(0)

    wire = served(Busy(rest=b""), HEAD, chunked(b"a") + END, decides=False)
    before = body(wire)
    assert before == chunked(b"<a>")
    for _ in range(3):
        clock.now += 0.5
        wire.wake()
    assert body(wire) == before + chunked(b"news")
    wire.decide()
    assert body(wire) == before + chunked(b"news", b"more", b"!") + END


def test_who_waits_for_a_whole_answer_gets_no_heartbeats(clock: Clock) -> None:
    wire = Rounds(Noted(limits=LIMITS._replace(heartbeat=2), streams=False, is_streamed=False))
    wire.connect()
    assert wire.alarm is not None
    assert wire.alarm.delay >= 10
    clock.now += 5
    wire.wake()
    assert wire.sent == []


def test_each_round_has_the_whole_time_for_its_connection(clock: Clock) -> None:
    wire = Rounds(Noted(), connects=False, further=1)
    wire.connect()
    clock.now += 9
    wire.attempted("nobody there")
    clock.now += 9
    wire.wake()
    assert causes(wire) == ["refused"]
    clock.now += 1
    wire.wake()
    assert causes(wire) == ["refused", "connect_timeout"]
