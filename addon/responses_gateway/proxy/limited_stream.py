"""mitmproxy's HTTP stream with limits on what a client may send: request bodies and WebSocket messages.

What only passes through the gateway as a proxy has no limits.
"""

import time
from typing import Any

from mitmproxy import flow, http
from mitmproxy.proxy import events, layer
from mitmproxy.proxy.layers.http import SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestHeaders,
    ResponseEndOfMessage,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpErrorHook, HttpRequestHeadersHook, HttpResponseHeadersHook
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.proxy.tunnel_stream import TunnelStream
from responses_gateway.proxy.websocket_layer import GatewayWebsocketLayer

type Commands = layer.CommandGenerator[None]


class LimitedStream(TunnelStream):
    """One request and its answer, as mitmproxy serves them, within the gateway's limits."""

    @property
    def _is_limited(self) -> bool:
        return isinstance(self.context.client.proxy_mode, ReverseMode) or self._gateway.serves(self.flow)

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """Send at once what a hook answers to the head; mitmproxy would read the whole body first."""
        steps = super().state_wait_for_request_headers(event)
        reply: Any = None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            reply = yield command
            is_answered = self.flow.response is not None and self.flow.error is None
            if isinstance(command, HttpRequestHeadersHook) and is_answered and not event.end_stream:
                yield from self._answer_without_body()
                return

    def state_consume_request_body(self, event: events.Event) -> Commands:
        too_much = (
            isinstance(event, RequestData)
            and self._is_limited
            and not self._gateway.reserve_body_memory(self.flow, len(event.data))
        )
        if too_much:
            message = "The gateway holds as many requests as it can (gateway_bodies_limit); try again in a moment."
            self.flow.response = self._gateway.error_response(503, message)
            self.request_body_buf.clear()
            yield from self._answer_without_body()
        else:
            yield from super().state_consume_request_body(event)

    def _answer_without_body(self) -> Commands:
        """Send the flow's response; what still comes of the request's body is not kept."""
        assert self.flow.response is not None  # noqa: S101 (both callers have seen or set it)
        self.flow.response.timestamp_start = time.time()
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        self.client_state = self.state_done
        yield from self.send_response()
        self.client_state = self.state_errored

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """mitmproxy's check, and the gateway's own limit for requests."""
        if request and self._is_limited:
            limit = self._gateway.body_limit()
            size = len(self.request_body_buf) or _declared_size(self.flow.request)
            if size > limit:
                message = f"The request body is larger than {limit} bytes (gateway_body_limit)."
                self.request_body_buf.clear()
                self.client_state = self.server_state = self.state_errored
                self.flow.error = flow.Error(message)
                yield HttpRequestHeadersHook(self.flow)
                yield HttpErrorHook(self.flow)
                yield SendHttp(
                    ResponseProtocolError(self.stream_id, message, ErrorCode.REQUEST_TOO_LARGE), self.context.client
                )
                self.flow.live = False
                return True
        return (yield from super().check_body_size(request))

    def flow_done(self) -> Commands:
        """Do what mitmproxy does, but relay WebSocket messages with a layer that limits their size."""
        if not self.flow.websocket or not self._is_limited:
            yield from super().flow_done()
            return
        self.child_layer = GatewayWebsocketLayer(self.context, self.flow, self._gateway.body_limit())
        self._handle_event = self.passthrough
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)


def _declared_size(request: http.Request) -> int:
    try:
        return int(request.headers.get("content-length", "0"))
    except ValueError:
        return 0
