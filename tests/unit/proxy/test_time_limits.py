"""The time limits of a turn: which one comes first in each of its steps, what puts it off, and what it is called."""

from typing import Any

import pytest

from responses_gateway.proxy.contract import Limits
from responses_gateway.proxy.time_limits import (
    DRAIN_SECONDS,
    ERROR_BODY_SECONDS,
    NEVER,
    PROGRESS_CHECK_SECONDS,
    Deadline,
    TurnTimer,
)
from unit.proxy_layers import HEAD, Turn, Wire, chunked

LIMITS = Limits(heartbeat=5, connect=10, first_byte=20, idle=30, queue=100, turn=0)


class Now:
    """Takes the place of the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Now:
    now = Now()
    monkeypatch.setattr("time.monotonic", now.monotonic)
    return now


def told(limit: Deadline) -> tuple[float, str, float]:
    return limit.due, limit.failure.cause, limit.failure.seconds


@pytest.mark.parametrize(
    ("step", "limit"),
    [
        ("connecting", (1010, "connect_timeout", 10)),
        ("awaiting answer", (1020, "first_byte_timeout", 20)),
        ("buffering error", (1000 + ERROR_BODY_SECONDS, "idle_timeout", ERROR_BODY_SECONDS)),
        ("awaiting decision", (NEVER, "idle_timeout", 0)),
        ("done", (NEVER, "idle_timeout", 0)),
    ],
)
def test_each_step_has_its_limit(time: Now, step: Any, limit: tuple[float, str, float]) -> None:
    assert told(TurnTimer(LIMITS).deadline(step, Turn())) == limit


def test_a_step_begins_anew(time: Now) -> None:
    clock = TurnTimer(LIMITS)
    time.now += 7
    clock.next_step()
    assert clock.deadline("connecting", Turn()).due == 1017


def test_the_whole_turn_has_a_limit_that_nothing_puts_off(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS._replace(turn=15)), Turn()
    assert told(clock.deadline("connecting", turn)) == (1010, "connect_timeout", 10)
    assert told(clock.deadline("awaiting answer", turn)) == (1015, "turn_timeout", 15)
    time.now += 7
    clock.next_step()
    assert told(clock.deadline("connecting", turn)) == (1015, "turn_timeout", 15)
    assert told(clock.deadline("done", turn)) == (1015, "turn_timeout", 15)


@pytest.mark.parametrize("step", ["streaming", "buffering"])
def test_silence_from_the_head_on(time: Now, step: Any) -> None:
    clock = TurnTimer(LIMITS)
    time.now += 3
    clock.answer_begins(Turn())
    assert told(clock.deadline(step, Turn())) == (1033, "idle_timeout", 30)


def test_content_puts_silence_off(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    clock.answer_begins(turn)
    time.now += 20
    turn.content += 1
    clock.fed(turn, b"")
    assert told(clock.deadline("streaming", turn)) == (1050, "idle_timeout", 30)


def test_what_is_no_content_puts_nothing_off(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    clock.answer_begins(turn)
    time.now += 20
    clock.fed(turn, b"")
    assert clock.deadline("streaming", turn).due == 1030


def test_keep_alives_put_silence_off_until_the_queue_is_too_long(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    clock.answer_begins(turn)
    for now, limit in ((1020, (1050, "idle_timeout", 30)), (1090, (1100, "queue_timeout", 100))):
        time.now = now
        turn.keep_alives += 1
        clock.fed(turn, b"")
        assert told(clock.deadline("streaming", turn)) == limit


def test_a_queue_is_waited_for_as_long_as_silence_at_least(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS._replace(queue=5)), Turn()
    clock.answer_begins(turn)
    assert told(clock.deadline("streaming", turn)) == (1030, "idle_timeout", 30)


def test_two_pieces_at_once_are_looked_at_together(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    clock.answer_begins(turn)
    clock.fed(turn, b"")
    time.now += PROGRESS_CHECK_SECONDS / 2
    turn.content += 1
    clock.fed(turn, b"")
    assert clock.deadline("streaming", turn).due == 1030
    clock.check_progress(turn)
    assert clock.deadline("streaming", turn).due == 1030 + PROGRESS_CHECK_SECONDS / 2
    time.now += PROGRESS_CHECK_SECONDS
    turn.content += 1
    clock.fed(turn, b"")
    assert clock.deadline("streaming", turn).due == time.now + 30


def test_blanks_before_a_whole_body_are_a_queue(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    clock.answer_begins(turn)
    time.now = 1090
    clock.buffered(b"\n \n")
    assert told(clock.deadline("buffering", turn)) == (1100, "queue_timeout", 100)
    clock.buffered(b"\n{")
    assert told(clock.deadline("buffering", turn)) == (1120, "idle_timeout", 30)


def test_a_settled_answer_has_a_moment_for_the_rest(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    clock.answer_begins(turn)
    time.now += 2
    turn.settled = True
    assert clock.answer_ends()
    assert not clock.answer_ends()
    assert told(clock.deadline("streaming", turn)) == (1002 + DRAIN_SECONDS, "idle_timeout", DRAIN_SECONDS)
    time.now += 0.5
    turn.content += 1
    clock.fed(turn, b"")
    assert clock.deadline("streaming", turn).due == 1002.5 + DRAIN_SECONDS
    assert told(clock.deadline("draining", turn)) == (1002 + DRAIN_SECONDS, "idle_timeout", 0)
    clock.answer_begins(turn)
    assert clock.answer_ends()


def test_heartbeats_come_after_silence_towards_the_client(time: Now) -> None:
    clock, turn = TurnTimer(LIMITS), Turn()
    assert clock.heartbeat_due == 1005
    time.now += 2
    clock.sent_to_client()
    assert clock.heartbeat_due == 1007
    time.now += 2
    clock.fed(turn, b"")
    assert clock.heartbeat_due == 1007
    clock.fed(turn, b"x")
    assert clock.heartbeat_due == 1009
    assert TurnTimer(LIMITS._replace(heartbeat=0)).heartbeat_due == NEVER


# The layer keeps them


def begun(time: Now, turn: Turn) -> Wire:
    wire = Wire(turn)
    wire.connect()
    return wire


@pytest.mark.parametrize(("late", "failed"), [(19.9, []), (20.1, ["first_byte_timeout"])])
def test_an_upstream_that_does_not_begin(time: Now, late: float, failed: list[str]) -> None:
    turn = Turn(limits=LIMITS._replace(heartbeat=0))
    wire = begun(time, turn)
    time.now += late
    wire.wake()
    assert [failure.cause for failure in turn.failures] == failed
    assert bool(wire.closed) is bool(failed)


@pytest.mark.parametrize(("late", "failed"), [(29.9, []), (30.1, ["idle_timeout"])])
def test_an_upstream_that_falls_silent(time: Now, late: float, failed: list[str]) -> None:
    turn = Turn(limits=LIMITS._replace(heartbeat=0))
    wire = begun(time, turn)
    wire.upstream(HEAD)
    time.now += late
    wire.wake()
    assert [failure.cause for failure in turn.failures] == failed
    if failed:
        assert b"!" in b"".join(wire.sent)
        assert b"".join(wire.sent).endswith(b"0\r\n\r\n")


def test_a_client_that_waits_gets_heartbeats(time: Now) -> None:
    turn = Turn(limits=LIMITS)
    wire = begun(time, turn)
    assert wire.sent == []
    time.now += 5.1
    wire.wake()
    assert b"".join(wire.sent).startswith(b"HTTP/1.1 200")
    assert b"".join(wire.sent).endswith(b"1\r\n:\r\n")
    sent = len(b"".join(wire.sent))
    time.now += 1
    wire.wake()
    assert len(b"".join(wire.sent)) == sent
    time.now += 4.2
    wire.wake()
    assert len(b"".join(wire.sent)) == sent + len(b"1\r\n:\r\n")
    assert wire.alarm is not None


def test_the_alarm_is_for_what_comes_first(time: Now) -> None:
    wire = begun(time, Turn(limits=LIMITS._replace(heartbeat=0, connect=30)))
    assert wire.alarm is not None
    assert wire.alarm.delay == pytest.approx(20, abs=0.1)
    wire = begun(time, Turn(limits=LIMITS))
    assert wire.alarm is not None
    assert wire.alarm.delay == pytest.approx(5, abs=0.1)


def test_no_alarm_is_left_behind_an_answer(time: Now) -> None:
    turn = Turn(limits=LIMITS)
    wire = begun(time, turn)
    wire.upstream(HEAD + chunked(b"a") + b"0\r\n\r\n")
    sent = list(wire.sent)
    time.now += 1000
    wire.wake()
    wire.wake()
    assert wire.sent == sent
    assert wire.alarm is None
    assert turn.failures == []


def test_a_kept_connection_serves_the_next_request(time: Now) -> None:
    wire = begun(time, Turn(limits=LIMITS))
    wire.upstream(HEAD + chunked(b"a") + b"0\r\n\r\n")
    wire.served = Turn(limits=LIMITS)
    time.now += 500
    wire.ask()
    wire.upstream(HEAD + chunked(b"b") + b"0\r\n\r\n")
    assert b"".join(wire.sent).count(b"HTTP/1.1 200") == 2
    assert b"<b>" in b"".join(wire.sent)
    assert wire.served.failures == []
