"""Sends the answer of a turn to the client, piece by piece or as a whole, with the hooks that mitmproxy calls then."""

import time

from mitmproxy import http
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import ResponseData, ResponseHeaders
from mitmproxy.proxy.layers.http._hooks import HttpResponseHeadersHook

type Commands = layer.CommandGenerator[None]


class AnswerWriter:
    """The client's side of one stream."""

    def __init__(self, stream: HttpStream) -> None:
        self.began = False
        """Whether the head was sent, or is being sent."""
        self._stream = stream

    def send_head(self, head: http.Response) -> layer.CommandGenerator[bool]:
        """Send the head of a streamed answer; False if the user has killed the flow."""
        self.began = True
        if not (yield from self._announce(head)):
            return False
        response = self._stream.flow.response
        assert response is not None  # noqa: S101 (`_announce` has set it, and addons can only replace it)
        yield self._to_client(ResponseHeaders(self._stream.stream_id, response, end_stream=False))
        return True

    def piece(self, data: bytes) -> SendHttp:
        """The command that sends a piece of a streamed answer."""
        return self._to_client(ResponseData(self._stream.stream_id, data))

    def end(self) -> Commands:
        """End a streamed answer."""
        yield from self._stream.send_response(already_streamed=True)

    def send_whole(self, response: http.Response, shown: bytes) -> Commands:
        """Send an answer that is not streamed; the flow keeps `shown` in the place of its body."""
        self.began = True
        body = response.raw_content or b""
        response.data.content = shown
        if not (yield from self._announce(response)):
            return
        if shown == body:
            yield from self._stream.send_response()
            return
        yield self._to_client(ResponseHeaders(self._stream.stream_id, response, end_stream=False))
        yield self.piece(body)
        yield from self.end()

    def _announce(self, response: http.Response) -> layer.CommandGenerator[bool]:
        """Make it the flow's response and tell the addons; False if the user has killed the flow."""
        response.timestamp_start = time.time()
        self._stream.flow.response = response
        yield HttpResponseHeadersHook(self._stream.flow)
        return not (yield from self._stream.check_killed(True))

    def _to_client(self, event: ResponseHeaders | ResponseData) -> SendHttp:
        return SendHttp(event, self._stream.context.client)
