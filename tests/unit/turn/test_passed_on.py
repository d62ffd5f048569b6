"""What clients get of an answer that is passed on as it is, and of the failures of its upstream."""

import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from responses_gateway.inspection.recording.relay_recorder import RelayRecorder
from responses_gateway.proxy.contract import Failure
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.observers import Unobserved
from responses_gateway.turn.relay_turn import RelayTurn
from unit.exchanges import DONE, frame
from unit.machine import delta

URL = "http://upstream/v1/chat/completions"


def relay(secrets: tuple[str, ...] = (), **headers: str) -> RelayTurn:
    request = http.Request.make("POST", URL, headers={"authorization": "Bearer sk-of-the-gateway"})
    recorder = RelayRecorder(tflow.tflow(), headers, {"authorization": "Bearer sk-of-the-gateway"}, secrets)
    return RelayTurn(request, secrets, Settings(heartbeat=5, idle_timeout=7), recorder)


def streaming(*secrets: str) -> RelayTurn:
    turn = relay(secrets)
    assert turn.begin(200, http.Headers(content_type="text/event-stream; charset=utf-8"))
    return turn


def error_of(turn: RelayTurn) -> tuple[int, dict[str, Any]]:
    answer = turn.answer()
    error: dict[str, Any] = json.loads(answer.content or b"")["error"]
    return answer.status_code, error


@pytest.mark.parametrize(
    ("cause", "status", "why"),
    [
        ("connect_timeout", 504, "no connection within 7 s (gateway_connect_timeout)"),
        ("first_byte_timeout", 504, "no beginning within 7 s (gateway_first_byte_timeout)"),
        ("idle_timeout", 504, "no piece of an answer within 7 s (gateway_idle_timeout)"),
        ("queue_timeout", 504, "nothing but keep-alives within 7 s (gateway_queue_timeout)"),
        ("turn_timeout", 504, "no end within 7 s (gateway_turn_timeout)"),
        ("too_large", 502, "too large: why"),
        ("refused", 502, "refused: why"),
    ],
)
def test_each_failure_is_explained(cause: Any, status: int, why: str) -> None:
    turn = relay()
    turn.fail(Failure(cause, "why", 7.0))
    assert turn.round_over
    assert not turn.flows
    found, error = error_of(turn)
    assert (found, error["message"]) == (status, f"No answer from {URL}: {why}.")
    assert (error["code"], error["type"]) == ("server_error", "server_error")


def test_a_failure_without_words() -> None:
    turn = relay()
    turn.fail(Failure("broken"))
    assert error_of(turn)[1]["message"] == f"No answer from {URL}: broken."


def test_it_sends_no_heartbeats_but_has_limits() -> None:
    turn = relay()
    assert turn.limits.heartbeat == 0
    assert turn.limits.idle == 7
    assert turn.heartbeat() == turn.told() == b""
    assert not turn.is_storing


def test_before_the_answer_there_is_nothing() -> None:
    turn = relay()
    assert (turn.streams, turn.ended, turn.settled, turn.round_over, turn.flows) == (False, False, False, False, True)
    assert (turn.content, turn.keep_alives) == (0, 0)
    assert turn.request.url == URL


class Watching(Unobserved):
    """Keeps what passes."""

    def __init__(self) -> None:
        self.passed: list[bytes] = []
        self.ends = 0

    def relayed(self, data: bytes) -> None:
        self.passed.append(data)

    def ended(self) -> None:
        self.ends += 1


SECRET = "sk-secret-of-the-gateway"


def watched() -> tuple[RelayTurn, Watching]:
    watching = Watching()
    turn = RelayTurn(http.Request.make("POST", URL), (SECRET,), Settings(), watching)
    turn.begin(200, http.Headers(content_type="text/event-stream"))
    return turn, watching


def test_a_secret_in_pieces_is_not_shown_in_an_error() -> None:
    turn, watching = watched()
    pieces = [b'data: {"error": "the key ', SECRET[:10].encode(), SECRET[10:].encode(), b' is wrong"}\n\n']
    shown = b"".join(turn.feed(piece) for piece in pieces) + turn.finish()
    assert shown == b'data: {"error": "the key [redacted] is wrong"}\n\n'
    assert b"".join(watching.passed) == shown
    assert b"" not in watching.passed
    assert watching.ends == 1


def test_what_was_held_comes_at_the_end() -> None:
    turn, watching = watched()
    half = b"data: " + SECRET[:10].encode()
    assert turn.feed(half) == b"data: "
    assert not turn.ended
    assert turn.finish() == SECRET[:10].encode()
    assert b"".join(watching.passed) == half
    assert (turn.ended, watching.ends) == (True, 1)
    failed, watching = watched()
    failed.feed(half)
    failed.fail(Failure("broken"))
    assert failed.end().startswith(b"\n\ndata: {")
    assert (failed.ended, watching.ends) == (True, 1)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_the_head_is_that_of_the_upstream(status: int) -> None:
    turn = relay()
    turn.begin(status, http.Headers(content_type="text/event-stream", x_request_id="r1", content_length="7"))
    for response in (turn.head(), turn.answer()):
        assert (response.status_code, response.headers["x-request-id"]) == (status, "r1")
    assert "content-length" not in turn.head().headers
    assert turn.answer().headers["content-length"] == "0"


def test_headers_of_the_connection_and_cookies_stay_behind() -> None:
    turn = relay(("sk-secret-of-the-gateway",))
    turn.begin(
        418,
        http.Headers(
            [
                (b"Connection", b"close"),
                (b"Content-Length", b"7"),
                (b"Set-Cookie", b"a=b"),
                (b"Trailer", b"x"),
                (b"X-Request-Id", b"r1"),
                (b"X-Echo", b"sk-secret-of-the-gateway"),
                (b"Content-Type", b"text/plain"),
            ]
        ),
    )
    turn.take(b"teapot")
    answer = turn.answer()
    assert answer.status_code == 418
    assert answer.content == b"teapot"
    assert answer.headers["content-length"] == "6"
    assert answer.headers["x-request-id"] == "r1"
    assert "sk-secret" not in answer.headers["x-echo"]
    assert {name.lower() for name in answer.headers} == {"content-length", "content-type", "x-request-id", "x-echo"}


@pytest.mark.parametrize(("kind", "streams"), [("text/event-stream", True), ("application/json", False), ("", False)])
def test_only_event_streams_stream(kind: str, streams: bool) -> None:
    turn = relay()
    assert turn.begin(200, http.Headers(content_type=kind)) is streams
    assert turn.streams is streams


def test_a_stream_has_no_length() -> None:
    head = streaming().head()
    assert head.status_code == 200
    assert head.headers["transfer-encoding"] == "chunked"
    assert head.stream


def test_it_tells_content_from_keep_alives() -> None:
    turn = streaming()
    for data, content, keep_alives in (
        (b": waiting\n\n", 0, 1),
        (frame({"choices": []}), 0, 1),
        (frame(delta(role="assistant")), 0, 1),
        (frame(delta(content="a")), 1, 1),
        (frame({"error": {"message": "no"}}), 1, 1),
    ):
        assert turn.feed(data) == data
        assert (turn.content, turn.keep_alives >= keep_alives) == (content, True)
    assert turn.flows
    assert not turn.settled
    assert turn.feed(DONE) == DONE
    assert turn.settled
    assert not turn.flows
    assert not turn.ended
    turn.finish()
    assert turn.ended


def test_anything_is_content_where_nothing_can_be_read() -> None:
    turn = relay()
    turn.begin(200, http.Headers(content_type="text/event-stream", content_encoding="pig"))
    assert turn.feed(b"abc") == b"abc"
    assert turn.content == 1
    assert turn.head().headers["content-encoding"] == "pig"


@pytest.mark.parametrize(("passed", "before"), [(b"data: {", b"\n\n"), (b"data: {}\n\n", b""), (b"", b"")])
def test_an_error_behind_what_has_passed_is_an_event_of_its_own(passed: bytes, before: bytes) -> None:
    turn = streaming()
    if passed:
        turn.feed(passed)
    turn.fail(Failure("broken", "reset"))
    end = turn.end()
    assert end.startswith(before + b"data: {")
    assert end.endswith(b"}\n\n")
    assert b"broken: reset" in end
    assert turn.ended


def test_without_an_error_the_end_adds_nothing() -> None:
    turn = streaming()
    turn.feed(frame(delta(content="a")))
    assert turn.end() == b""


def test_the_last_words_are_an_error() -> None:
    words = streaming().last_words()
    assert json.loads(words.removeprefix(b"data: "))["error"]["type"] == "server_error"


def test_an_answer_that_cannot_be_decoded_is_an_error() -> None:
    turn = relay()
    turn.begin(200, http.Headers(content_encoding="gzip"))
    turn.take(b"no gzip at all")
    status, error = error_of(turn)
    assert status == 502
    assert "it cannot be decoded" in error["message"]


def test_an_error_that_repeats_a_key_does_not_show_it() -> None:
    turn = relay(("sk-secret-of-the-gateway",))
    turn.begin(401, http.Headers(content_type="application/json"))
    turn.take(b'{"error": "wrong key sk-secret-of-the-gateway"}')
    body = turn.answer().content or b""
    assert b"wrong key" in body
    assert b"sk-secret" not in body
    assert b"sk-of-the-gateway" not in turn.presentable(b"Bearer sk-of-the-gateway")
