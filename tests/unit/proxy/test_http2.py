"""HTTP/2 on both sides of the layer."""

from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events

from responses_gateway.proxy.contract import ClientLeft
from unit.proxy_layers import HEAD, Turn, Wire, chunked

HEADERS = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", "/v1/responses")]
END = b"0\r\n\r\n"


class Plain(Turn):
    """Its request and its head are such as HTTP/2 has."""

    def __init__(self) -> None:
        super().__init__(request=http.Request.make("POST", "http://upstream/chat", b"{}", {"host": "upstream"}))

    def head(self) -> http.Response:
        response = super().head()
        response.headers.clear()
        return response


class Modern(Wire):
    """A client that speaks HTTP/2, and what it has received."""

    def __init__(self, turn: Turn, **fields: Any) -> None:
        super().__init__(turn, client_alpn=b"h2", **fields)
        self.end = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.end.initiate_connection()
        self.received: list[Event] = []
        self.handle(events.Start())

    def request(self, body: bytes = b"{}", headers: Any = HEADERS, *, ends: bool = True) -> int:
        stream: int = self.end.get_next_available_stream_id()
        self.end.send_headers(stream, headers)
        self.end.send_data(stream, body, end_stream=ends)
        self.flush()
        return stream

    def flush(self) -> None:
        self.client_sends(self.end.data_to_send())

    def read(self) -> None:
        self.received += self.end.receive_data(b"".join(self.sent))
        self.sent.clear()

    def status(self, stream: int) -> str:
        self.read()
        [told] = [one for one in self.received if isinstance(one, ResponseReceived) and one.stream_id == stream]
        return dict(told.headers)[":status"]

    def body(self, stream: int) -> bytes:
        self.read()
        return b"".join(one.data for one in self.received if isinstance(one, DataReceived) and one.stream_id == stream)

    def ended(self, stream: int) -> bool:
        self.read()
        return any(isinstance(one, StreamEnded) and one.stream_id == stream for one in self.received)

    def reset(self, stream: int) -> bool:
        self.read()
        return any(isinstance(one, StreamReset) and one.stream_id == stream for one in self.received)


def test_turns_of_one_client_run_side_by_side() -> None:
    wire = Modern(Plain())
    one = wire.request()
    two = wire.request()
    assert len(wire.opened) == 2
    wire.upstream(HEAD)
    wire.upstream(chunked(b"b"))
    assert (wire.body(one), wire.body(two)) == (b"", b"<b>")
    wire.upstream(END)
    assert wire.body(two) == b"<b>."
    assert (wire.ended(one), wire.ended(two)) == (False, True)
    wire.served.ended = False
    wire.handle(events.DataReceived(wire.opened[0], HEAD + chunked(b"a") + END))
    assert wire.body(one) == b"<a>."
    assert wire.status(one) == wire.status(two) == "200"
    assert wire.ended(one)
    assert wire._client not in wire.closed


def test_a_body_that_is_too_large_is_refused_in_our_form() -> None:
    wire = Modern(Plain())
    stream = wire.request(b"a" * 1000, ends=False)
    assert wire.sent == [] or not wire.reset(stream)
    wire.end.send_data(stream, b"a", end_stream=True)
    wire.flush()
    assert wire.status(stream) == "413"
    assert wire.body(stream) == b"The request body is larger than 1000 bytes (gateway_body_limit)."
    assert wire.ended(stream)
    assert wire.opened == []
    again = wire.request()
    wire.upstream(HEAD + chunked(b"a") + END)
    assert wire.status(again) == "200"
    assert wire._client not in wire.closed


def test_a_client_may_cancel_one_of_its_turns() -> None:
    wire = Modern(Plain())
    one, two = wire.request(), wire.request()
    wire.end.reset_stream(one)
    wire.flush()
    assert wire.closed == wire.opened[:1]
    assert not wire.flows[0].live
    assert wire.hooks[-1] == "error"
    wire.upstream(HEAD + chunked(b"b") + END)
    assert wire.body(two) == b"<b>."


def test_a_client_that_goes_takes_its_turns_with_it() -> None:
    wire = Modern(Plain())
    wire.request()
    wire.request()
    wire.handle(ClientLeft())
    assert wire.closed == []
    wire.client_ends(ConnectionState.CAN_WRITE)
    assert set(wire.closed) == {wire._client, *wire.opened}
    assert [flow.live for flow in wire.flows] == [False, False]


class Unserved(Modern):
    def turn(self, flow: http.HTTPFlow) -> None:
        return None


@pytest.mark.parametrize("began", [False, True])
def test_an_error_of_an_answer_that_we_relay_is_told_while_it_can_be(began: bool) -> None:
    class Streaming(Unserved):
        def hooked(self, hook: commands.StartHook) -> None:
            if hook.name == "responseheaders":
                self.flows[-1].response.stream = True  # type: ignore[union-attr]

    wire = Streaming(Plain())
    stream = wire.request()
    if began:
        wire.upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        assert wire.body(stream) == b"half"
    wire.upstream_ends(wire.opened[0])
    wire.handle(events.ConnectionClosed(wire.opened[0]))
    if began:
        assert wire.reset(stream)
        assert wire.status(stream) == "200"
    else:
        assert wire.status(stream) == "502"
        assert wire.ended(stream)
        assert b"server closed connection" in wire.body(stream)
        assert b"<html>" not in wire.body(stream)


class Upstream:
    """An upstream that speaks HTTP/2 on the newest connection of a wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._end = H2Connection(H2Configuration(client_side=False))
        self._end.initiate_connection()
        self._read = 0

    def take(self) -> list[Event]:
        data = b"".join(self._wire.asked[self._read :])
        self._read = len(self._wire.asked)
        found: list[Event] = self._end.receive_data(data)
        self._wire.upstream(self._end.data_to_send())
        return found

    def refuse(self, stream: int) -> None:
        self._end.reset_stream(stream)
        self._wire.upstream(self._end.data_to_send())

    def answer(self, stream: int, *pieces: bytes, ends: bool = True) -> None:
        self._end.send_headers(stream, [(":status", "200")])
        for piece in pieces:
            self._end.send_data(stream, piece)
        if ends:
            self._end.end_stream(stream)
        self._wire.upstream(self._end.data_to_send())


def test_an_upstream_that_speaks_http2_keeps_its_connection() -> None:
    wire = Modern(Plain(), upstream_alpn=b"h2")
    one = wire.request()
    upstream = Upstream(wire)
    upstream.take()
    upstream.answer(1, b"a", b"b")
    assert wire.body(one) in (b"<ab>.", b"<a><b>.")
    assert wire.ended(one)
    wire.served.ended = False
    two = wire.request()
    upstream.take()
    upstream.answer(3, b"c", ends=False)
    assert wire.body(two) == b"<c>"
    assert len(wire.opened) == 1
    assert wire.closed == []


@pytest.mark.parametrize("answer", ["none", "head"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_request_that_is_lost_with_a_kept_connection_is_sent_again(kept: bool, answer: str) -> None:
    wire = Modern(Plain(), upstream_alpn=b"h2")
    stream = wire.request()
    upstream = Upstream(wire)
    upstream.take()
    if kept:
        upstream.answer(1, b"a")
        wire.served.ended = False
        stream = wire.request()
        upstream.take()
    if answer == "head":
        upstream.answer(3 if kept else 1, ends=False)
    wire.upstream_ends(wire.opened[0])
    wire.handle(events.ConnectionClosed(wire.opened[0]))
    lost = kept and answer == "none"
    assert len(wire.opened) == (2 if lost else 1)
    assert [failure.cause for failure in wire.served.failures] == ([] if lost else ["broken"])
    assert wire.ended(stream) is not lost


def test_a_request_that_the_upstream_resets_is_not_sent_again() -> None:
    wire = Modern(Plain(), upstream_alpn=b"h2")
    wire.request()
    upstream = Upstream(wire)
    upstream.take()
    upstream.answer(1, b"a")
    wire.served.ended = False
    wire.request()
    upstream.take()
    upstream.refuse(3)
    assert len(wire.opened) == 1
    assert [failure.cause for failure in wire.served.failures] == ["broken"]
