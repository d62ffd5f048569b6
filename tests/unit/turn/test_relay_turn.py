"""What is passed on as it is: bounded in memory, whatever the upstream sends."""

import gzip

import brotli
import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.relay_recorder import RelayRecorder
from responses_gateway.protocol import body, encoding
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.relay_turn import RelayTurn

EVENT = b'data: {"choices": []}\n\n'


def relay(content_type: str = "text/event-stream", encoding: str = "") -> tuple[http.HTTPFlow, RelayTurn]:
    flow = tflow.tflow()
    request = http.Request.make("POST", "http://upstream/v1/chat/completions")
    turn = RelayTurn(request, (), Settings(), RelayRecorder(flow, {}, {}, ()))
    headers = {"content-type": content_type} | ({"content-encoding": encoding} if encoding else {})
    turn.begin(200, http.Headers(**{name.replace("-", "_"): value for name, value in headers.items()}))
    flow.response = turn.head()
    return flow, turn


def kept(flow: http.HTTPFlow) -> bytes:
    assert flow.response is not None
    return flow.response.raw_content or b""


def test_what_is_kept_of_a_long_stream_is_bounded_and_says_so() -> None:
    flow, turn = relay()
    piece = EVENT * 4000
    for _ in range(4 * stream_capture.HEAD // len(piece)):
        assert turn.feed(piece) == piece
    turn.finish()
    assert kept(flow).startswith(EVENT)
    assert b"bytes are not kept here" in kept(flow)
    assert len(kept(flow)) < stream_capture.HEAD + 3 * stream_capture.TAIL


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("br", brotli.compress)])
def test_an_encoded_stream_is_passed_on_without_its_encoding(name: str, pack: object) -> None:
    assert callable(pack)
    flow, turn = relay(encoding=name)
    assert turn.feed(pack(EVENT)) == EVENT
    turn.finish()
    assert flow.response is not None
    assert "content-encoding" not in flow.response.headers
    assert kept(flow) == EVENT


def test_a_bomb_ends_the_stream_with_an_error() -> None:
    _, turn = relay(encoding="br")
    assert turn.feed(brotli.compress(bytes(2 * encoding.MAX_PIECE), quality=1)) == b""
    assert turn.round_over
    assert not turn.flows
    assert b'"code":"server_error"' in turn.end()


def test_a_whole_bomb_is_an_error() -> None:
    _, turn = relay("application/json", "br")
    turn.take(brotli.compress(bytes(65 << 20), quality=1))
    assert turn.answer().status_code == 502


def test_an_encoding_that_is_not_known_is_left_as_it_is() -> None:
    flow, turn = relay(encoding="snappy")
    assert turn.feed(b"\xff\x06") == b"\xff\x06"
    assert flow.response is not None
    assert flow.response.headers["content-encoding"] == "snappy"


def test_a_document_that_is_called_a_stream_counts_as_an_answer() -> None:
    _, turn = relay()
    before = turn.content
    assert turn.feed(b'{"choices": ') == b'{"choices": '
    assert turn.content > before


def test_a_document_without_end_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_DOCUMENT", 1000)
    _, turn = relay()
    turn.feed(b"{" + b"x" * 500)
    assert turn.feed(b"x" * 500) == b""
    assert turn.round_over
    assert b'"code":"server_error"' in turn.end()


def test_events_of_the_responses_api_count_as_an_answer() -> None:
    _, turn = relay()
    before = turn.content
    turn.feed(b'data: {"type": "response.output_text.delta", "delta": "x"}\n\n')
    assert turn.content > before
