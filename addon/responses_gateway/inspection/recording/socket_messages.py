"""The messages that mitmproxy keeps of a WebSocket: limited, because a socket may live for an hour and carry a whole
session, and without secrets."""

from weakref import WeakKeyDictionary

from mitmproxy import http

from responses_gateway.security.tool_secrets import without_tool_secrets

MESSAGES_KEPT = 5000
BYTES_KEPT = 16 << 20
"""The latest messages; the last one is there, whatever its size."""


class SocketMessages:
    """An addon that forgets the oldest messages, and the secrets in all of them."""

    def __init__(self) -> None:
        self._sizes: WeakKeyDictionary[http.HTTPFlow, int] = WeakKeyDictionary()

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.websocket is None:
            return
        messages = flow.websocket.messages
        shown, secrets = without_tool_secrets(messages[-1].content)
        if secrets:
            # The message itself is still to be sent as it is.
            messages[-1] = messages[-1].copy()
            messages[-1].content = shown
        size = self._sizes.get(flow, 0) + len(messages[-1].content)
        surplus = 0
        while len(messages) - surplus > 1 and (len(messages) - surplus > MESSAGES_KEPT or size > BYTES_KEPT):
            size -= len(messages[surplus].content)
            surplus += 1
        del messages[:surplus]
        self._sizes[flow] = size
