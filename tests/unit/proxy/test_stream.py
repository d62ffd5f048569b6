"""One turn on its stream: its rounds, its ends, and who is told what."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events

from responses_gateway.proxy import stream, time_limits
from responses_gateway.proxy.contract import ClientLeft, Failure, GatewayRoundHook, Limits, ShutDown
from unit.proxy_layers import HEAD, Turn, Wire, chunked

END = b"0\r\n\r\n"
LIMITS = Limits(heartbeat=0, connect=10, first_byte=20, idle=30)
MITMPROXYS = ["requestheaders", "request", "responseheaders", "response"]


@dataclass
class Noted(Turn):
    """Notes what it is told; `is_streamed` says how it takes answers."""

    limits: Limits = LIMITS
    is_streamed: bool = True
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    rest: bytes = b"."
    """What `finish` gives; it ends the answer, unless it is empty."""

    def begin(self, status: int, headers: http.Headers) -> bool:
        self.statuses.append(status)
        return self.is_streamed

    def take(self, body: bytes) -> None:
        self.bodies.append(body)

    def finish(self) -> bytes:
        self.ended = self.rest != b""
        return self.rest

    def answer(self) -> http.Response:
        return http.Response.make(200, b"<%b>" % b"|".join(self.bodies))

    def presentable(self, body: bytes) -> bytes:
        return body.replace(b"secret", b"***")


@dataclass
class Rounds(Wire):
    """Its addon wants as many further rounds."""

    further: int = 0
    do: Callable[[commands.StartHook], Any] = lambda _: None

    def hooked(self, hook: commands.StartHook) -> None:
        if isinstance(hook, GatewayRoundHook):
            hook.data.again, self.further = self.further > 0, self.further - 1
        self.do(hook)


class Clock:
    """Takes the place of the time."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def served(turn: Turn, *answer: bytes, further: int = 0, decides: bool = True) -> Rounds:
    """A wire on which the client has asked, and the upstream has answered this much."""
    wire = Rounds(turn, further=further, decides=decides)
    wire.connect()
    for data in answer:
        wire.upstream(data)
    return wire


def got(wire: Wire) -> bytes:
    return b"".join(wire.sent)


def body(wire: Wire) -> bytes:
    return got(wire).partition(b"\r\n\r\n")[2]


def causes(wire: Wire) -> list[str]:
    return [failure.cause for failure in wire.served.failures]


def whole(content: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content)


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


def test_who_waits_for_a_whole_answer_gets_no_heartbeats(clock: Clock) -> None:
    wire = Rounds(Noted(limits=LIMITS._replace(heartbeat=2), streams=False, is_streamed=False))
    wire.connect()
    assert wire.alarm is not None
    assert wire.alarm.delay >= 10
    clock.now += 5
    wire.wake()
    assert wire.sent == []


# The whole turn's time


@pytest.mark.parametrize("answer", [[], [HEAD], [HEAD, chunked(b"a")]], ids=["before", "head", "piece"])
def test_a_turn_whose_time_is_up_has_no_further_round(clock: Clock, answer: list[bytes]) -> None:
    wire = served(Noted(limits=LIMITS._replace(turn=15)), *answer, further=1)
    clock.now += 15
    wire.wake()
    wire.wake()
    assert wire.served.failures == [Failure("turn_timeout", seconds=15)]
    assert wire.closed == wire.opened
    assert "gateway_round" not in wire.hooks
    assert got(wire).count(b"HTTP/1.1 ") == 1
    assert got(wire).endswith(chunked(b"!") + END if answer else b"<>")


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_turn_whose_time_is_up_waits_for_no_decision(clock: Clock, is_streamed: bool) -> None:
    turn = Noted(limits=LIMITS._replace(turn=15), rest=b"", is_streamed=is_streamed)
    wire = served(turn, HEAD, chunked(b"a") + END, decides=False)
    clock.now += 15
    wire.wake()
    assert causes(wire) == ["turn_timeout"]
    told = list(wire.sent)
    wire.decide()
    assert wire.sent == told
    assert wire.hooks[-1] == "response"


# The end of an answer


@dataclass
class Brief(Noted):
    """Its answer has ended, or is settled, with `!`."""

    settles: bool = False

    def feed(self, data: bytes) -> bytes:
        self.settled = self.settles and b"!" in data
        self.ended = not self.settles and b"!" in data
        return super().feed(data)


def test_a_client_need_not_wait_for_the_end_of_the_upstreams_message(clock: Clock) -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    assert body(wire) == chunked(b"<a!>") + END
    assert wire.hooks == MITMPROXYS
    assert not wire.flows[0].live
    assert wire.closed == []
    clock.now += time_limits.DRAIN_SECONDS - 0.01
    wire.wake()
    assert wire.closed == []
    clock.now += 0.01
    wire.wake()
    assert wire.closed == wire.opened
    assert causes(wire) == []
    assert wire.hooks == MITMPROXYS


@pytest.mark.parametrize("late", [b"", chunked(b"late")])
def test_a_drained_connection_is_used_again(late: bytes) -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    wire.upstream(late)
    wire.upstream(END)
    wire.served = Noted()
    wire.ask()
    assert len(wire.opened) == 1
    assert b"late" not in got(wire)
    assert wire.closed == []


def test_a_connection_that_is_not_drained_is_not_waited_for() -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    wire.served = Noted()
    wire.ask()
    assert wire.closed == wire.opened[:1]
    assert len(wire.opened) == 2
    assert wire.served.failures == []


@pytest.mark.parametrize("ending", ["closed", "nonsense"])
def test_what_breaks_after_the_answer_breaks_nothing(ending: str) -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    if ending == "closed":
        wire.upstream_ends(wire.opened[0])
        wire.handle(events.ConnectionClosed(wire.opened[0]))
    else:
        wire.upstream(b"nonsense\r\n")
    wire.wake()
    assert causes(wire) == []
    assert wire.hooks == MITMPROXYS
    assert body(wire) == chunked(b"<a!>") + END
    assert wire.closed == wire.opened


def test_a_settled_answer_ends_with_the_upstreams_or_a_moment_later(clock: Clock) -> None:
    for ends in (True, False):
        wire = served(Brief(settles=True), HEAD, chunked(b"a!"))
        assert body(wire) == chunked(b"<a!>")
        if ends:
            wire.upstream(END)
        else:
            clock.now += time_limits.DRAIN_SECONDS
            wire.wake()
        assert body(wire) == chunked(b"<a!>", b".") + END
        assert wire.closed == ([] if ends else wire.opened)
        assert causes(wire) == []


@pytest.mark.parametrize("answer", [[], [HEAD], [HEAD, chunked(b"a")]], ids=["before", "head", "piece"])
def test_a_broken_answer_ends_properly(answer: list[bytes]) -> None:
    wire = served(Noted(), *answer)
    wire.upstream_ends(wire.opened[0])
    wire.handle(events.ConnectionClosed(wire.opened[0]))
    assert causes(wire) == ["broken"]
    assert wire.served.failures[0].text
    assert wire.hooks.count("gateway_round") == 1
    assert got(wire).endswith(chunked(b"!") + END if answer else b"<>")
    assert wire.closed == wire.opened


# Clients that leave, and a process that ends


@pytest.mark.parametrize("answer", [[], [HEAD, chunked(b"a")]], ids=["before", "within"])
def test_a_client_that_leaves_stops_its_turn(answer: list[bytes]) -> None:
    wire = served(Noted(limits=LIMITS._replace(heartbeat=5)), *answer)
    wire.sent.clear()
    wire.client_ends(ConnectionState.CLOSED)
    assert wire.closed == wire.opened
    assert wire.hooks[-1] == "error"
    [flow] = wire.flows
    assert flow.error is not None
    assert flow.error.msg == "Client disconnected."
    assert not flow.live
    wire.wake()
    assert wire.sent == []
    assert causes(wire) == []


def test_a_client_that_leaves_after_its_answer_has_it() -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    wire.client_ends(ConnectionState.CLOSED)
    assert "error" not in wire.hooks
    assert wire.flows[0].error is None


@dataclass
class Mute(Noted):
    def heartbeat(self) -> bytes:
        return b""


def test_a_client_whom_nothing_can_be_sent_has_left_with_its_last_byte() -> None:
    wire = served(Mute(), HEAD, chunked(b"a"))
    wire.client_ends(ConnectionState.CAN_WRITE)
    assert set(wire.closed) == {wire._client, *wire.opened}
    assert wire.hooks[-1] == "error"


@pytest.mark.parametrize("step", ["connecting", "asked", "head", "piece", "deciding", "buffering"])
@pytest.mark.parametrize("streams", [True, False])
def test_a_process_that_ends_ends_its_turns(step: str, streams: bool) -> None:
    turn = Noted(rest=b"", streams=streams, is_streamed=step != "buffering")
    wire = Rounds(turn, connects=step != "connecting", decides=False, further=1)
    wire.connect()
    pieces = {"head": [HEAD], "piece": [HEAD, chunked(b"a")], "buffering": [whole(b"ab")[:-1]]}
    for data in [HEAD, chunked(b"a") + END] if step == "deciding" else pieces.get(step, []):
        wire.upstream(data)
    wire.handle(ShutDown(http.HTTPFlow(wire._client, wire.opened[0])))
    assert causes(wire) == []
    wire.handle(ShutDown(wire.flows[0]))
    assert causes(wire) == ["shutdown"]
    assert got(wire).count(b"HTTP/1.1 ") == 1
    assert got(wire).endswith(chunked(b"!") + END if wire.served.ended else b"<>")
    assert wire.hooks[-1] == "response"
    assert wire.closed == ([] if step == "deciding" else wire.opened)
    assert not wire.flows[0].live
    told = list(wire.sent)
    wire.wake()
    while wire.rounds:
        wire.decide()
    wire.handle(ShutDown(wire.flows[0]))
    assert wire.sent == told
    assert causes(wire) == ["shutdown"]


def test_a_process_that_ends_has_nothing_to_say_behind_an_answer() -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    wire.handle(ShutDown(wire.flows[0]))
    assert causes(wire) == []
    assert wire.closed == []
    assert body(wire) == chunked(b"<a!>") + END


def test_a_client_that_sends_no_more_while_its_answer_is_decided_on_is_asked_whether_it_reads() -> None:
    wire = served(Noted(rest=b""), HEAD, chunked(b"a") + END, decides=False)
    wire.sent.clear()
    wire.client_ends(ConnectionState.CAN_WRITE)
    assert wire.sent == [chunked(b":")]
    wire.handle(ClientLeft())
    assert wire.hooks[-1] == "error"
    wire.decide()
    assert wire.sent == [chunked(b":")]


# Storing


@dataclass
class Storing(Noted):
    """Stores its answer at `!`; the hook's end gives the answer's."""

    stored: bytes = b"end"

    def feed(self, data: bytes) -> bytes:
        self.is_storing = self.settled = b"!" in data
        return super().feed(data)

    def told(self) -> bytes:
        self.ended, self.is_storing = bool(self.stored), False
        return self.stored


def test_an_answer_is_stored_once_and_then_ends() -> None:
    wire = served(Storing(), HEAD, chunked(b"a!"), decides=False)
    wire.upstream(chunked(b": more"))
    assert wire.hooks.count("gateway_round") == 1
    assert body(wire) == chunked(b"<a!>")
    wire.decide()
    assert body(wire) == chunked(b"<a!>", b"end") + END
    assert wire.hooks.count("gateway_round") == 1


def test_a_client_that_leaves_while_its_answer_is_stored_gets_no_end() -> None:
    wire = served(Storing(), HEAD, chunked(b"a!"), decides=False)
    wire.client_ends(ConnectionState.CLOSED)
    wire.sent.clear()
    wire.decide()
    assert wire.sent == []
    assert wire.hooks[-1] == "error"


def test_what_a_decision_tells_comes_before_the_next_round() -> None:
    turn = Storing(stored=b"", rest=b"")
    turn.told = lambda: b"told"  # type: ignore[method-assign]
    wire = served(turn, HEAD, chunked(b"a") + END, further=1)
    assert body(wire) == chunked(b"<a>", b"told")
    assert len(wire.asked) == 4
