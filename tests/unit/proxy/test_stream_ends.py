"""How the answer of a turn ends: by itself, by its limits, by its client, or with the process."""

from dataclasses import dataclass

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events

from responses_gateway.proxy import time_limits
from responses_gateway.proxy.contract import ClientLeft, Failure, StopTurn
from unit.proxy_layers import HEAD, chunked
from unit.rounds import END, LIMITS, Clock, Noted, Rounds, body, causes, got, served, whole

MITMPROXYS = ["requestheaders", "request", "responseheaders", "response"]

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
    wire.handle(StopTurn(http.HTTPFlow(wire._client, wire.opened[0])))
    assert causes(wire) == []
    wire.handle(StopTurn(wire.flows[0]))
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
    wire.handle(StopTurn(wire.flows[0]))
    assert wire.sent == told
    assert causes(wire) == ["shutdown"]


def test_a_process_that_ends_has_nothing_to_say_behind_an_answer() -> None:
    wire = served(Brief(), HEAD, chunked(b"a!"))
    wire.handle(StopTurn(wire.flows[0]))
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
