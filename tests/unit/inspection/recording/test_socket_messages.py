"""What is kept of a WebSocket to be looked at."""

from mitmproxy.test import tflow
from mitmproxy.websocket import WebSocketMessage
from wsproto.frame_protocol import Opcode

from responses_gateway.inspection.recording.socket_messages import BYTES_KEPT, MESSAGES_KEPT, SocketMessages


def sizes_kept(*sizes: int) -> list[int]:
    flow = tflow.twebsocketflow()
    assert flow.websocket is not None
    flow.websocket.messages.clear()
    kept = SocketMessages()
    for size in sizes:
        flow.websocket.messages.append(WebSocketMessage(Opcode.TEXT, True, bytes(size)))
        kept.websocket_message(flow)
    return [len(message.content) for message in flow.websocket.messages]


def test_the_oldest_messages_go_when_there_are_many() -> None:
    assert sizes_kept(*range(MESSAGES_KEPT + 2)) == [*range(2, MESSAGES_KEPT + 2)]


def test_the_oldest_messages_go_when_they_are_large() -> None:
    half = BYTES_KEPT // 2
    assert sizes_kept(1, half, half) == [half, half]
    assert sizes_kept(half, half, 2) == [half, 2]
    assert sizes_kept(1, BYTES_KEPT + 1) == [BYTES_KEPT + 1]
    assert sizes_kept(BYTES_KEPT + 1, 1) == [1]


def test_what_is_kept_holds_no_secret_of_an_mcp_server() -> None:
    flow = tflow.twebsocketflow()
    sent = b'{"type":"response.create","tools":[{"type":"mcp","authorization":"token-1"}]}'
    message = WebSocketMessage(Opcode.TEXT, True, sent)
    assert flow.websocket is not None
    flow.websocket.messages[:] = [message]
    SocketMessages().websocket_message(flow)
    assert message.content == sent
    assert b"token-1" not in flow.websocket.messages[0].content
