"""WebSocket connections as mitmproxy relays them, with a limit on the size of a message."""

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.websocket import WebsocketEndHook, WebsocketLayer
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from responses_gateway.proxy.client_connection import LINGER

type Commands = layer.CommandGenerator[None]


class GatewayWebsocketLayer(WebsocketLayer):
    """mitmproxy collects a message in memory until its end, however long it is. This layer refuses long ones."""

    def __init__(self, context: Context, flow: http.HTTPFlow, limit: int) -> None:
        """`limit`: bytes that a message of the client may have."""
        super().__init__(context, flow)
        self._limit = limit

    def relay_messages(self, event: events.Event) -> Commands:
        for side in (self.client_ws, self.server_ws):
            # To `bytes`, which mitmproxy keeps here, every piece is added by copying all that came before.
            side.frame_buf[-1:] = [bytearray(side.frame_buf[-1])]  # type: ignore[list-item]
        yield from super().relay_messages(event)
        if self._handle_event == self.relay_messages and sum(map(len, self.client_ws.frame_buf)) > self._limit:
            yield from self._refuse()

    def _refuse(self) -> Commands:
        reason = f"a message is larger than {self._limit} bytes (gateway_body_limit)"
        for side in (self.client_ws, self.server_ws):
            yield side.send2(CloseConnection(CloseReason.MESSAGE_TOO_BIG, reason))
        yield commands.CloseConnection(self.server_ws.conn)
        assert self.flow.websocket is not None  # noqa: S101 (mitmproxy made it before this layer)
        self.flow.websocket.close_code = CloseReason.MESSAGE_TOO_BIG
        self.flow.websocket.close_reason = reason
        self.flow.websocket.closed_by_client = False
        yield WebsocketEndHook(self.flow)
        self.flow.live = False
        self._handle_event = self._linger
        yield commands.RequestWakeup(LINGER)

    def _linger(self, event: events.Event) -> Commands:
        """Read on for a while (RFC 9112, section 9.6): a client that still sends could lose what it was sent."""
        client = self.client_ws.conn
        has_left = isinstance(event, events.ConnectionClosed) and event.connection is client
        if (has_left or isinstance(event, events.Wakeup)) and client.state is not ConnectionState.CLOSED:
            yield commands.CloseConnection(client)
