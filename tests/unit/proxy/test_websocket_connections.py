"""WebSocket connections that are relayed: what passes, and messages of clients that are too large."""

from collections.abc import Iterator

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events
from wsproto import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage

from responses_gateway.proxy.client_connection import LINGER
from unit.proxy_layers import Turn, Wire

UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHES = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
TOO_BIG = CloseConnection(1009, "a message is larger than 1000 bytes (gateway_body_limit)")


class Talk(Wire):
    """A WebSocket connection that is not the gateway's to serve, with the ends of it that its two sides have."""

    def __init__(self) -> None:
        super().__init__(Turn())
        self.client_end, self.upstream_end = Connection(ConnectionType.CLIENT), Connection(ConnectionType.SERVER)
        self.handle(events.Start())
        self.client_sends(UPGRADE)
        self.upstream(SWITCHES)
        self.forget()

    def turn(self, flow: http.HTTPFlow) -> None:
        return None

    def forget(self) -> None:
        self.sent.clear()
        self.asked.clear()
        self.hooks.clear()

    def says(self, event: Event) -> None:
        self.client_sends(self.client_end.send(event))

    def answers(self, event: Event) -> None:
        self.upstream(self.upstream_end.send(event))

    @property
    def heard_by_client(self) -> list[Event]:
        return list(read(self.client_end, self.sent))

    @property
    def heard_by_upstream(self) -> list[Event]:
        return list(read(self.upstream_end, self.asked))


def read(end: Connection, data: list[bytes]) -> Iterator[Event]:
    end.receive_data(b"".join(data))
    data.clear()
    yield from end.events()


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_messages_pass_both_ways(talk: Talk) -> None:
    talk.says(TextMessage("hello"))
    assert talk.heard_by_upstream == [TextMessage("hello")]
    talk.answers(BytesMessage(b"hi"))
    assert talk.heard_by_client == [BytesMessage(b"hi")]
    assert talk.hooks == ["websocket_message"] * 2
    assert talk.closed == []
    [flow] = talk.flows
    assert flow.live


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_a_message_in_frames_and_reads_passes_whole(talk: Talk, cut: int) -> None:
    wire = b"".join(
        talk.client_end.send(BytesMessage(piece, message_finished=last))
        for piece, last in ((b"a" * 400, False), (b"b" * 300, False), (b"c" * 300, True))
    )
    for at in range(0, len(wire), cut):
        talk.client_sends(wire[at : at + cut])
    heard = talk.heard_by_upstream
    assert b"".join(bytes(event.data) for event in heard if isinstance(event, BytesMessage)) == (
        b"a" * 400 + b"b" * 300 + b"c" * 300
    )
    [flow] = talk.flows
    assert flow.websocket is not None
    assert [len(message.content) for message in flow.websocket.messages] == [1000]
    assert talk.hooks == ["websocket_message"]


def refused(talk: Talk) -> bool:
    return 1009 in [event.code for event in talk.heard_by_client if isinstance(event, CloseConnection)]


@pytest.mark.parametrize("pieces", [[1000], [600, 400], [999, 1], [600, 0, 400]])
def test_a_message_may_be_as_large_as_the_limit_and_no_larger(talk: Talk, pieces: list[int]) -> None:
    for size in pieces:
        talk.says(BytesMessage(b"a" * size, message_finished=False))
    assert not refused(talk)
    talk.says(BytesMessage(b"a", message_finished=False))
    assert refused(talk)


def test_each_message_has_the_whole_limit(talk: Talk) -> None:
    for _ in range(3):
        talk.says(TextMessage("a" * 600, message_finished=False))
        talk.says(TextMessage("a" * 300))
    assert not refused(talk)


def test_what_the_upstream_says_has_no_limit(talk: Talk) -> None:
    for _ in range(3):
        talk.answers(BytesMessage(b"a" * 900, message_finished=False))
    talk.answers(BytesMessage(b"a"))
    assert sum(len(event.data) for event in talk.heard_by_client if isinstance(event, BytesMessage)) == 2701
    assert talk.closed == []


def too_large(talk: Talk) -> None:
    talk.says(BytesMessage(b"a" * 1001, message_finished=False))


def test_both_sides_are_told_of_a_message_that_is_too_large(talk: Talk) -> None:
    too_large(talk)
    assert talk.heard_by_client == [TOO_BIG]
    assert talk.heard_by_upstream == [TOO_BIG]
    assert talk.closed == talk.opened
    assert talk.hooks == ["websocket_end"]
    [flow] = talk.flows
    assert not flow.live
    assert flow.websocket is not None
    assert (flow.websocket.close_code, flow.websocket.close_reason) == (1009, TOO_BIG.reason)
    assert flow.websocket.closed_by_client is False
    assert flow.websocket.messages == []


def test_a_refused_client_has_a_moment_to_read_why(talk: Talk) -> None:
    too_large(talk)
    talk.forget()
    talk.says(BytesMessage(b"b" * 5000))
    talk.handle(events.ConnectionClosed(talk.opened[0]))
    assert talk.sent == talk.asked == []
    assert talk.closed == talk.opened
    assert talk.alarm is not None
    assert talk.alarm.delay == LINGER
    talk.wake()
    assert talk.closed == [*talk.opened, talk._client]


@pytest.mark.parametrize("state", [ConnectionState.CAN_WRITE, ConnectionState.CLOSED])
def test_a_refused_client_that_leaves_is_not_waited_for(talk: Talk, state: ConnectionState) -> None:
    too_large(talk)
    talk.client_ends(state)
    closed = [talk._client] if state is not ConnectionState.CLOSED else []
    assert talk.closed == [*talk.opened, *closed]
    talk.wake()
    assert talk.closed == [*talk.opened, *closed]


def test_a_closed_conversation_is_over(talk: Talk) -> None:
    talk.says(BytesMessage(b"a" * 900, message_finished=False))
    talk.says(CloseConnection(1000, "bye"))
    assert [event for event in talk.heard_by_upstream if isinstance(event, CloseConnection)] == [
        CloseConnection(1000, "bye")
    ]
    assert not refused(talk)
    assert set(talk.closed) == {*talk.opened, talk._client}
    assert talk.alarm is None


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", SWITCHES])
def test_a_request_to_upgrade_is_passed_on_with_its_answer(answer: bytes) -> None:
    class Unserved(Wire):
        def turn(self, flow: http.HTTPFlow) -> None:
            return None

    wire = Unserved(Turn())
    wire.handle(events.Start())
    wire.client_sends(UPGRADE)
    assert b"".join(wire.asked).lower().count(b"upgrade: websocket\r\n") == 1
    wire.upstream(answer)
    assert b"".join(wire.sent) == answer
    assert ("websocket_start" in wire.hooks) is (answer is SWITCHES)
    assert wire.closed == []
    assert wire.hooks[:4] == ["requestheaders", "request", "responseheaders", "response"]


def test_an_upstream_that_switches_unasked_is_not_followed() -> None:
    wire = Wire(Turn())
    wire.connect()
    wire.upstream(SWITCHES + b"more")
    assert wire.closed[:1] == wire.opened
    assert [(failure.cause, failure.text) for failure in wire.served.failures] == [
        ("broken", "the upstream switches to another protocol")
    ]
    assert b"101" not in b"".join(wire.sent)
    assert b"".join(wire.sent).startswith(b"HTTP/1.1 502")
