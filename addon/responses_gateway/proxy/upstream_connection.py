"""The upstream's side of an HTTP/1 connection: mitmproxy's, which takes only what belongs to the request at hand."""

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
        self._heard = False

    @property
    def was_kept_in_vain(self) -> bool:
        """Whether the upstream has served this connection before, and has sent nothing for the request at hand.

        When it closes now, it has most probably not seen the request: it closed what it took for idle.
        """
        return self._requests > 1 and not self._heard

    def send(self, event: HttpEvent) -> Commands:
        if isinstance(event, RequestTrailers):
            # Whoever sends a body in pieces may have announced none.
            return
        if isinstance(event, RequestHeaders):
            self._requests += 1
            self._heard = False
        yield from super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        """Read over interim responses (RFC 9110, section 15.2): the final one is yet to come."""
        self._heard = self._heard or isinstance(event, events.DataReceived)
        while (yield from self._reads_interim(event)):
            self.response = None

    def _reads_interim(self, event: events.ConnectionEvent) -> layer.CommandGenerator[bool]:
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
