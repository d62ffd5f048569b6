"""One request of a turn to its upstream: the connection for it, sending it, and stopping it."""

from http import HTTPStatus
from typing import Protocol

from mitmproxy import http
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.layers.http import DropStream, GetHttpConnection, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
)

from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import Failure, Gateway
from responses_gateway.proxy.fast_path import AnswerStream, FastPath
from responses_gateway.proxy.upstream_proxies import UpstreamProxy

type Commands = layer.CommandGenerator[None]


class GetRoundConnection(GetHttpConnection):
    """Get a connection for a round."""

    is_at_proxy = False
    """Whether it is the proxy on the way that answers, or has failed."""


class GetFreshConnection(GetRoundConnection):
    """Open a connection, even if there is an idle one."""


class RoundLayer(Protocol):
    """What a round needs of the HTTP layer that its stream belongs to."""

    connections: dict[Connection, layer.Layer]

    def fast_path(self, connection: Connection) -> FastPath | None:
        """The fast path from an upstream connection; None if it has none."""

    def open_round(self, stream: HttpStream) -> int:
        """A new stream id whose events go to `stream`."""

    def abandon(self, attempt: GetHttpConnection) -> Commands:
        """Wait for a connection no longer, and stop the attempt if no other stream waits for it."""

    def close_draining(self) -> Commands:
        """Close connections whose answer is complete but whose HTTP message is not."""

    def forget_closed(self) -> None:
        """Drop connections that are closed."""

    def lost_kept_connection(self, connection: Connection) -> bool:
        """Whether a kept connection was closed before anything of the answer came."""


class UpstreamRound:
    """The round of a stream that is under way, if one is. The same object serves all rounds, one after the other."""

    def __init__(self, stream: HttpStream, parent: RoundLayer, gateway: Gateway) -> None:
        self.id: int | None = None
        """The stream id of the request and its answer; None before it is sent, and when it is over."""
        self._stream = stream
        self._parent = parent
        self._gateway = gateway
        self._attempt: GetRoundConnection | None = None
        self._proxy: UpstreamProxy | None = None
        self._request: http.Request
        self._is_retry = False

    def connect(self, request: http.Request, *, is_retry: bool) -> Commands:
        """Get a connection for `request`.

        `is_retry`: the request was sent before and lost with its connection. It gets a connection that is new.
        """
        self._request = request
        self._is_retry = is_retry
        yield from self._parent.close_draining()
        self._parent.forget_closed()
        self._proxy = proxy = self._gateway.upstream_proxy(self._stream.context.client.proxy_mode, request)
        get = GetFreshConnection if is_retry else GetRoundConnection
        protocol = self._stream.flow.server_conn.transport_protocol
        if proxy is not None and request.scheme == "http":
            # Many proxies open tunnels to the port of HTTPS only.
            self._request = messages.for_proxy(request, proxy.authorization)
            self._attempt = get(proxy.address, proxy.scheme == "https", None, protocol)
            self._attempt.is_at_proxy = True
        else:
            via = proxy.via if proxy is not None else None
            self._attempt = get((request.host, request.port), request.scheme == "https", via, protocol)
        # mitmproxy pauses a layer whose command says True here. The stream has to go on: heartbeats, time limits.
        self._attempt.blocking = self._stream  # type: ignore[assignment]
        yield self._attempt

    def completes(self, attempt: commands.Command) -> bool:
        """Whether this connection attempt, which has completed, is the one of this round."""
        return attempt is self._attempt

    def blame(self, failure: Failure) -> Failure:
        """The failure, with the proxy if it may be the proxy's own."""
        proxy = self._proxy
        if proxy is None or not (
            failure.cause == "connect_timeout" or (failure.cause == "refused" and self._is_at_proxy)
        ):
            return failure
        return failure._replace(proxy=proxy.url)

    @property
    def _is_at_proxy(self) -> bool:
        return self._attempt is not None and self._attempt.is_at_proxy

    def refusal(self, status: int) -> Failure | None:
        """The failure that an answer with this status is: the proxy wants to know who asks."""
        if not self._is_at_proxy or status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return None
        return self.blame(Failure("refused", f"{int(status)} Proxy Authentication Required"))

    def send(self, connection: Connection) -> Commands:
        """Send the request on the connection that the attempt gave."""
        assert isinstance(connection, Server)  # noqa: S101 (GetHttpConnection opens nothing else)
        self._stream.context.server = self._stream.flow.server_conn = connection
        self.id = self._parent.open_round(self._stream)
        for part in (
            RequestHeaders(self.id, self._request, end_stream=False),
            RequestData(self.id, self._request.raw_content or b""),
            RequestEndOfMessage(self.id),
        ):
            yield SendHttp(part, connection)

    @property
    def may_retry(self) -> bool:
        """Whether the request can be sent again: its kept connection was closed before anything of the answer came.

        The upstream closed what it took for idle, and has most probably not seen the request. Once per round only.
        """
        return not self._is_retry and self._parent.lost_kept_connection(self._stream.context.server)

    def begin_fast_path(self, answer: AnswerStream) -> None:
        """The head of a chunked answer has come."""
        path = self._parent.fast_path(self._stream.context.server)
        if path is not None and self.id is not None:
            path.begin(answer, self.id)

    def _end_fast_path(self) -> None:
        if path := self._parent.fast_path(self._stream.context.server):
            path.end()

    def ended(self) -> Commands:
        """The upstream has ended its HTTP message."""
        if self.id is not None:
            round_id, self.id = self.id, None
            self._end_fast_path()
            yield DropStream(round_id)

    def close(self) -> Commands:
        """Stop whatever the upstream is doing for this round."""
        if self._attempt is not None:
            attempt, self._attempt = self._attempt, None
            yield from self._parent.abandon(attempt)
        round_id, connection = self.id, self._stream.context.server
        if round_id is not None:
            yield from self.ended()
            if connection in self._parent.connections:
                yield SendHttp(RequestProtocolError(round_id, "no longer needed", ErrorCode.CANCEL), connection)
