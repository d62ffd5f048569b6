"""HTTP/1 on the client's connection.

mitmproxy's server, which in addition limits what a client sends, reports errors in the gateway's form, serves clients
that close their side after the request, and lets a client whose request is refused read the answer.
"""

from collections.abc import Callable

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseTrailers,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server

from responses_gateway.proxy.chunked_transfer import encode_chunk
from responses_gateway.proxy.contract import ClientLeft
from responses_gateway.proxy.trailers import discard_trailers

type Commands = layer.CommandGenerator[None]

MAX_HEAD = 256 << 10
"""Bytes that the head of a request may have."""

MAX_AHEAD = 1 << 20
"""Bytes of further requests that a client may send while it waits for an answer."""

LINGER = 2.0
"""Seconds for which a refused client's data is read and thrown away, so that it gets to read the answer."""

type ErrorResponse = Callable[[int, str], http.Response]
"""Makes a response of a status and a message."""


class _SendRefusal(commands.SendData):
    """A response that `read_headers` and `read_body` have made here, not mitmproxy."""


class GatewayHttp1Server(Http1Server):
    """Reads requests and writes responses."""

    def __init__(self, context: Context, error_response: ErrorResponse, *, may_half_close: bool) -> None:
        """`may_half_close`: serve a client that has sent its last byte until `ClientLeft` says that it has left."""
        super().__init__(context)
        self._error_response = error_response
        self.chunked = False
        """Whether the body of the response at hand is sent in chunks."""
        self._is_head_request = False
        self._half_closed = False
        self._has_left = not may_half_close
        self._request_complete = True
        """Whether the request at hand has come as a whole."""

    def _handle_event(self, event: events.Event) -> Commands:
        if not isinstance(event, ClientLeft):
            yield from super()._handle_event(event)
            return
        self._has_left = True
        if self._half_closed and self.state == self.wait:
            yield from super().wait(events.ConnectionClosed(self.conn))

    def wait(self, event: events.Event) -> Commands:
        """A client that has sent its last byte may still read (RFC 9112, section 9.6); `ClientLeft` says if not."""
        if isinstance(event, events.DataReceived) and len(self.buf) > MAX_AHEAD:
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            code = ErrorCode.CLIENT_DISCONNECTED
            yield ReceiveHttp(RequestProtocolError(self.stream_id, "The client sends ahead of the answer.", code))
            return
        may_read = not self._has_left and bool(self.conn.state & ConnectionState.CAN_WRITE)
        if not isinstance(event, events.ConnectionClosed) or not may_read:
            yield from super().wait(event)
            return
        self._half_closed = True
        if self.response is None and self.request is not None and self.request.http_version == "HTTP/1.1":
            # A client that reads ignores it. The operating system of one that does not refuses it, which is noticed.
            yield commands.SendData(self.conn, b"HTTP/1.1 100 Continue\r\n\r\n")

    def mark_done(self, *, request: bool = False, response: bool = False) -> Commands:
        yield from super().mark_done(request=request, response=response)
        if self._half_closed and self.state in (self.read_headers, self.read_body):
            yield from self.state(events.ConnectionClosed(self.conn))
            self.state = self.done

    def send(self, event: HttpEvent) -> Commands:
        if isinstance(event, ResponseData) and self.chunked:
            yield commands.SendData(self.conn, encode_chunk(event.data))
            return
        if isinstance(event, ResponseTrailers) or (isinstance(event, ResponseData) and self._is_head_request):
            return
        if isinstance(event, ResponseHeaders):
            headers = event.response.headers
            if not self._request_complete and event.response.status_code >= 200:
                headers["connection"] = "close"
            if self.request is not None and self.request.http_version == "HTTP/1.0":
                # HTTP/1.0 has no chunks: the end of the connection is the end of the body.
                headers.pop("transfer-encoding", None)
                headers["connection"] = "close"
            # A body in answer to HEAD would be taken for the next answer.
            self._is_head_request = self.request is not None and self.request.method == "HEAD"
            # Kept, because asking the headers for every piece of a stream costs more than all else here.
            self.chunked = not self._is_head_request and "chunked" in headers.get("transfer-encoding", "").lower()
        yield from super().send(event)
        if isinstance(event, ResponseEndOfMessage) and not self._request_complete:
            yield from self._close_lingering()

    def _close_lingering(self) -> Commands:
        """Close the connection of a client that still sends, but read on for a while (RFC 9112, section 9.6).

        A socket that is closed with unread data is reset, and the client may lose the answer that it was sent.
        """
        self.state = self._linger
        yield commands.CloseTcpConnection(self.conn, half_close=True)
        yield commands.RequestWakeup(LINGER)

    def _linger(self, event: events.Event) -> Commands:
        self.buf.maybe_extract_at_most(len(self.buf))
        if not isinstance(event, events.DataReceived) and self.conn.state is not ConnectionState.CLOSED:
            yield commands.CloseConnection(self.conn)

    def read_headers(self, event: events.ConnectionEvent) -> Commands:
        for command in super().read_headers(event):
            if isinstance(command, commands.SendData) and not isinstance(command, _SendRefusal):
                # mitmproxy itself sends data here only when it cannot parse the head.
                command.data = self._refusal("The HTTP request cannot be parsed.")
            elif isinstance(command, ReceiveHttp) and isinstance(command.event, RequestHeaders):
                # The gateway rewrites the request for the upstream; this side goes by what the client said.
                self.request = command.event.request.copy()
                self._request_complete = command.event.end_stream
            yield command
        if self.state == self.read_headers and len(self.buf) > MAX_HEAD:
            self.state = self.done
            yield _SendRefusal(
                self.conn, self._refusal(f"The head of the request is larger than {MAX_HEAD} bytes.", 431)
            )
            yield commands.CloseConnection(self.conn)

    def read_body(self, event: events.Event) -> Commands:
        if self.state == self._linger:
            return
        discard_trailers(self)
        for command in super().read_body(event):
            if isinstance(command, ReceiveHttp) and isinstance(command.event, RequestEndOfMessage):
                self._request_complete = True
            if isinstance(command, commands.CloseConnection) and self.response is None:
                self.state = self.done
                yield _SendRefusal(self.conn, self._refusal("The HTTP request body cannot be parsed."))
            yield command

    def _refusal(self, message: str, status: int = 400) -> bytes:
        response = self._error_response(status, message)
        response.headers["connection"] = "close"
        raw: bytes = http1.assemble_response(response)
        return raw
