"""What becomes of a turn whose methods raise."""

import logging
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.proxy.contract import Failure, Limits
from responses_gateway.proxy.guard import MESSAGE, GuardedTurn
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.observers import Unobserved
from responses_gateway.turn.relay_turn import RelayTurn
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from responses_gateway.upstream.routing import Router
from unit.exchanges import events, exchange, frame
from unit.machine import delta
from unit.proxy_layers import HEAD, Turn, Wire, chunked

STREAM = [HEAD, chunked(b"a"), chunked(b"b"), b"0\r\n\r\n"]
WHOLE = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"{}"]
VALUES = ["limits", "request", "streams", "ended", "settled", "flows", "round_over", "content", "keep_alives"]
SETTINGS = Settings(upstream="http://127.0.0.1:1/v1", store="none")


class Broken(Turn):
    """Raises at `place`, but not the first `spared` times."""

    place = ""
    spared = 0
    begins_stream = True

    def __getattribute__(self, name: str) -> Any:
        get = object.__getattribute__
        if name == get(self, "place"):
            self.spared -= 1
            if get(self, "spared") < 0:
                raise RuntimeError("a bug")
        return get(self, name)

    def begin(self, status: int, headers: http.Headers) -> bool:
        return self.begins_stream

    def heartbeat(self) -> bytes:
        return b"h"

    def answer(self) -> http.Response:
        return http.Response.make(502, b"an error")


def served(turn: Broken, pieces: list[bytes]) -> bytes:
    """What the client gets until its answer is complete."""
    wire = Wire(turn)
    wire.connect()
    for piece in pieces:
        wire.wake()
        if is_over(wire.sent):
            break
        wire.upstream(piece)
    wire.wake()
    assert is_over(wire.sent), wire.sent
    return b"".join(wire.sent)


def is_over(sent: list[bytes]) -> bool:
    """Whether the client has all of its answer."""
    data = b"".join(sent)
    return data.endswith(b"0\r\n\r\n") if data.startswith(b"HTTP/1.1 200") else b"\r\n\r\n" in data


@pytest.mark.parametrize("spared", range(4))
@pytest.mark.parametrize("place", [*VALUES, "begin", "feed", "finish", "heartbeat", "told", "head", "end", "fail"])
def test_a_stream_whose_turn_raises(place: str, spared: int, caplog: pytest.LogCaptureFixture) -> None:
    turn = Broken(Limits(0.0001, 10, 10, 10))
    turn.place, turn.spared = place, spared
    sent = served(turn, STREAM)
    raised = "RuntimeError: a bug" in caplog.text
    assert raised == (turn.spared < 0)
    assert sent.count(b"HTTP/1.1 ") == 1
    if sent.startswith(b"HTTP/1.1 200"):
        assert sent.endswith(b"0\r\n\r\n")
        assert sum(sent.count(b"1\r\n%b\r\n" % end) for end in (b".", b"!", b"?")) == 1
    else:
        assert raised


@pytest.mark.parametrize("place", [*VALUES, "begin", "take", "told", "answer", "presentable", "fail"])
def test_a_whole_answer_whose_turn_raises(place: str, caplog: pytest.LogCaptureFixture) -> None:
    turn = Broken(streams=False)
    turn.place, turn.begins_stream = place, False
    sent = served(turn, WHOLE)
    assert ("RuntimeError: a bug" in caplog.text) == (turn.spared < 0)
    assert sent.count(b"HTTP/1.1 ") == 1
    assert sent.startswith((b"HTTP/1.1 502", b"HTTP/1.1 500"))


def served_turn(**fields: Any) -> ServedTurn:
    async def no_models(*_: object) -> None:
        return None

    one = exchange(**fields)
    one.observe(TurnRecorder(clock=float))
    services = TurnServices(SETTINGS, Router(SETTINGS), LearnedRepairs(None, float), no_models)
    return ServedTurn(one, {}, services)


def error_response(status: int, message: str) -> http.Response:
    return http.Response.make(status, message)


BUGS = [
    "translate.answer.state_machine.read_chunk",
    "translate.answer.state_machine.AnswerStateMachine.chunk",
    "state.recorder.Recorder.take",
    "inspection.recording.turn_recorder.TurnRecorder.received",
    "inspection.recording.turn_recorder.TurnRecorder.sent",
    "turn.exchange.Exchange.feed",
    "turn.exchange.Exchange._safely",
    "turn.served_turn.ServedTurn._checked",
]


@pytest.mark.parametrize("place", BUGS)
def test_a_bug_in_a_stream(place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    turn = GuardedTurn(served_turn(), error_response)
    assert turn.begin(200, http.Headers())
    sent = turn.feed(frame(delta(content="half")))
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(f"responses_gateway.{place}", broken)
        sent += turn.feed(frame(delta(content=" an")))
        if not turn.ended:
            assert turn.crashed
            assert not turn.flows
            sent += turn.end()
    assert "RuntimeError: a bug" in caplog.text
    received = events(sent)
    assert [event["type"] for event in received if "response" in event][-1] == "response.failed"
    assert sum(event["type"] == "response.failed" for event in received) == 1
    assert turn.ended


def test_a_bug_in_a_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    turn = GuardedTurn(served_turn(stream=False), error_response)
    assert not turn.begin(500, http.Headers())
    monkeypatch.setattr("responses_gateway.turn.recovery.fault.told_wait", broken)
    turn.take(b'{"error": "x"}')
    assert turn.crashed
    answer = turn.answer()
    assert answer.status_code == 500
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_bug_in_a_relayed_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    request = http.Request.make("POST", "http://127.0.0.1:1/v1/chat/completions")
    turn = GuardedTurn(RelayTurn(request, (), SETTINGS, Unobserved()), error_response)
    assert turn.begin(200, http.Headers([(b"content-type", b"text/event-stream")]))
    assert turn.feed(b"data: {") == b"data: {"
    monkeypatch.setattr("responses_gateway.turn.relay_turn.read_chunk", broken)
    assert turn.feed(b"}\n\n") == b""
    end = turn.end()
    assert end.startswith(b'\n\ndata: {"error":{')
    assert turn.ended


def test_what_comes_after_a_crash_is_not_taken() -> None:
    turn = Broken()
    turn.place = "feed"
    guarded = GuardedTurn(turn, error_response)
    assert guarded.feed(b"a") == guarded.feed(b"b") == b""
    guarded.fail(Failure("broken"))
    assert guarded.end() == b"!"
    assert turn.failures == [Failure("crashed")]


class Hopeless(Turn):
    """Raises whatever it is asked for its end, except what is `spared`."""

    spared: tuple[str, ...] = ()

    def __getattribute__(self, name: str) -> Any:
        get = object.__getattribute__
        if name in ("feed", "end", "last_words", "answer", "presentable") and name not in get(self, "spared"):
            raise RuntimeError(f"a bug in {name}")
        return get(self, name)


def test_whatever_a_turn_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    turn = Hopeless()
    guarded = GuardedTurn(turn, error_response)
    assert guarded.feed(b"a") == b""
    assert guarded.end() == b""
    answer = guarded.answer()
    assert (answer.status_code, answer.content) == (500, MESSAGE.encode())
    assert guarded.presentable(b"a") == b""
    assert [record.getMessage().partition("\n")[0] for record in caplog.records] == [
        "a turn failed",
        "a turn that failed cannot end",
        "a turn that failed has no last words",
        "a turn that failed cannot answer",
        "the answer of a turn that failed cannot be shown",
    ]
    for name, record in zip(("feed", "end", "last_words", "answer", "presentable"), caplog.records, strict=True):
        assert f"a bug in {name}" in record.getMessage()


def test_a_turn_that_failed_makes_its_own_end_if_it_can() -> None:
    turn = Hopeless()
    turn.spared = ("answer", "presentable", "last_words")
    guarded = GuardedTurn(turn, error_response)
    assert guarded.feed(b"a") == b""
    assert guarded.crashed
    assert guarded.turn is not turn
    assert guarded.answer().status_code == 502
    assert turn.failures == [Failure("crashed")]
    assert guarded.presentable(b"a") == b"a"
    assert not guarded.ended
    assert guarded.end() == b"?"
    assert guarded.ended
    assert turn.failures == [Failure("crashed")] * 2
    assert guarded.last_words() == b"?"


def test_a_turn_that_failed_takes_and_gives_nothing_more() -> None:
    turn = Hopeless()
    turn.spared = ("end", "answer")
    turn.round_over = turn.settled = turn.is_storing = True
    guarded = GuardedTurn(turn, error_response)
    assert not guarded.crashed
    guarded.feed(b"a")
    assert not any((guarded.flows, guarded.round_over, guarded.settled, guarded.is_storing, guarded.ended))
    assert [guarded.finish(), guarded.heartbeat(), guarded.told()] == [b"", b"", b""]
    guarded.take(b"a")
    assert guarded.head().status_code == 500
    assert guarded.head().content == MESSAGE.encode()
    assert guarded.end() == b"!"


def test_a_turn_that_fails_before_its_request_is_known_opens_no_connection() -> None:
    turn = Broken()
    turn.place = "request"
    wire = Wire(turn)
    wire.connect()
    assert wire.opened == wire.asked == []
    assert b"".join(wire.sent).startswith(b"HTTP/1.1 502")
    assert turn.failures == [Failure("crashed")]
    assert wire.hooks == ["requestheaders", "request", "responseheaders", "response"]


def test_a_turn_that_fails_is_not_asked_for_another_round() -> None:
    turn = Broken()
    turn.place = "feed"
    wire = Wire(turn)
    wire.connect()
    wire.upstream(HEAD)
    wire.upstream(chunked(b"a"))
    assert wire.closed == wire.opened
    assert wire.hooks == ["requestheaders", "request", "responseheaders", "response"]
    assert b"".join(wire.sent).endswith(chunked(b"!") + b"0\r\n\r\n")
