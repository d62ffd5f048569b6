"""HTTP/1 on an upstream connection.

mitmproxy's client, which in addition reads over interim responses and trailers, and knows whether a kept connection has
answered the request at hand.
"""

from http import HTTPStatus

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client

from responses_gateway.proxy.trailers import discard_trailers

type Commands = layer.CommandGenerator[None]


class GatewayHttp1Client(Http1Client):
    """Sends requests and reads responses."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._requests = 0
        self._has_received = False

    @property
    def is_kept_and_unanswered(self) -> bool:
        """Whether the connection has served an earlier request, and nothing has come for the one at hand.

        If it is closed now, the upstream has most probably not seen the request: it closed what it took for idle.
        """
        return self._requests > 1 and not self._has_received

    def send(self, event: HttpEvent) -> Commands:
        if isinstance(event, RequestTrailers):
            # mitmproxy's client cannot send them, and a recipient may discard them (RFC 9110, section 6.5.1).
            return
        if isinstance(event, RequestHeaders):
            self._requests += 1
            self._has_received = False
        yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """Read over interim responses (RFC 9110, section 15.2): the final one is yet to come."""
        self._has_received = self._has_received or isinstance(event, events.DataReceived)
        while (yield from self._read_response_head(event)):
            self.response = None

    def _read_response_head(self, event: events.ConnectionEvent) -> layer.CommandGenerator[bool]:
        """Read one head, if there is one; returns whether it was that of an interim response."""
        for command in super().read_headers(event):
            if isinstance(command, ReceiveHttp) and isinstance(command.event, ResponseHeaders):
                status = command.event.response.status_code
                if status == HTTPStatus.SWITCHING_PROTOCOLS and not _upgrades(self.request):
                    yield commands.CloseConnection(self.conn)
                    message = "the upstream switches to another protocol"
                    code = ErrorCode.GENERIC_SERVER_ERROR
                    yield ReceiveHttp(ResponseProtocolError(command.event.stream_id, message, code))
                    return False
                if status < HTTPStatus.OK and status != HTTPStatus.SWITCHING_PROTOCOLS:
                    return True
            yield command
        return False

    def read_body(self, event: events.Event) -> Commands:
        discard_trailers(self)
        yield from super().read_body(event)


def _upgrades(request: http.Request | None) -> bool:
    return request is not None and "upgrade" in request.headers
