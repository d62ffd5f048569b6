"""The short way of a streamed answer from the upstream's connection to the client's.

All pieces of an answer but the first and the last need translation and nothing else. For these, mitmproxy's HTTP layers
with their events and commands cost more than translation, system calls and all the rest.
"""

from typing import TYPE_CHECKING

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http._http1 import Http1Client

from responses_gateway.proxy.chunks import Chunks, chunk
from responses_gateway.proxy.client_connection import GatewayHttp1Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from responses_gateway.proxy.stream import GatewayStream


class Passage(layer.Layer):
    """Takes the place of mitmproxy's HTTP/1 layer for an upstream connection, and hands on to it all that is not whole
    chunks of a streamed answer."""

    def __init__(
        self, upstream: Http1Client, client: GatewayHttp1Server, fed: "Callable[[GatewayStream], None]"
    ) -> None:
        """`fed` is told the stream whose answer does not go on as it did."""
        super().__init__(upstream.context)
        self.arrived = 0
        """Bytes that came through all layers."""
        self.stream: GatewayStream | None = None
        self._round_id = 0
        self._chunks = Chunks()
        self._upstream = upstream
        self._client = client
        self._fed = fed

    def begin(self, stream: "GatewayStream", round_id: int) -> None:
        """The head of a chunked answer has come."""
        self.stream = stream
        self._round_id = round_id
        self._chunks = Chunks()
        self._chunks.skip(bytes(self._upstream.buf))

    def end(self) -> None:
        """The round is over."""
        self.stream = None

    def take(self, data: bytes) -> bytes | None:
        """What the client's connection gets for `data` of the upstream's; None if `data` has to go the long way."""
        stream = self.stream
        if stream is None or not self._client.chunked or not stream.passes(self._round_id):
            return None
        payload = self._chunks.payload(data)
        if payload is None:
            return None
        out = stream.translate(payload)
        return chunk(out) if out else b""

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Nothing ever pauses this layer."""
        return self._handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            self.arrived += len(event.data)
            out = self.take(event.data)
            if out is not None and self.stream is not None:
                if out:
                    yield commands.SendData(self._client.conn, out)
                if not self.stream.flows:
                    self._fed(self.stream)
                return
            if self.stream is not None:
                self._chunks.skip(event.data)
        yield from self._upstream.handle_event(event)
