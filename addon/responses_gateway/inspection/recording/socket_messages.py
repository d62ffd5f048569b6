"""Limits the messages that mitmproxy keeps of a WebSocket: a socket may live for an hour, and carry a whole session."""

from weakref import WeakKeyDictionary

from mitmproxy import http

MESSAGES_KEPT = 5000
BYTES_KEPT = 16 << 20
"""The latest messages; the last one is there, whatever its size."""


class SocketMessages:
    """An addon that forgets the oldest messages."""

    def __init__(self) -> None:
        self._sizes: WeakKeyDictionary[http.HTTPFlow, int] = WeakKeyDictionary()

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.websocket is None:
            return
        messages = flow.websocket.messages
        size = self._sizes.get(flow, 0) + len(messages[-1].content)
        surplus = 0
        while len(messages) - surplus > 1 and (len(messages) - surplus > MESSAGES_KEPT or size > BYTES_KEPT):
            size -= len(messages[surplus].content)
            surplus += 1
        del messages[:surplus]
        self._sizes[flow] = size
