"""WebSocket connections as mitmproxy relays them, with a limit on what a message may hold."""

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
    """mitmproxy passes a message on only when all of it is there, however much a client sends before it ends one."""

    def __init__(self, context: Context, flow: http.HTTPFlow, limit: int) -> None:
        """`limit`: bytes of a message of the client's."""
        super().__init__(context, flow)
        self._limit = limit

    def relay_messages(self, event: events.Event) -> Commands:
        for side in (self.client_ws, self.server_ws):
            # Bytes would be copied as a whole for every piece that is added.
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
        """A client that still sends sees why it should not only if that is read for a while."""
        client = self.client_ws.conn
        has_left = isinstance(event, events.ConnectionClosed) and event.connection is client
        if (has_left or isinstance(event, events.Wakeup)) and client.state is not ConnectionState.CLOSED:
            yield commands.CloseConnection(client)
