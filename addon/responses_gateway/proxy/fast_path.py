"""The fast path of a streamed answer past mitmproxy's HTTP layers.

All pieces of an answer but the first and the last need translation and nothing else. For these, mitmproxy's HTTP layers
with their events and commands would cost more CPU time than translation, system calls and all the rest together.
"""

from typing import Protocol

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http._http1 import Http1Client

from responses_gateway.proxy.chunked_transfer import WholeChunkDecoder, encode_chunk
from responses_gateway.proxy.client_connection import GatewayHttp1Server


class AnswerStream(Protocol):
    """What the fast path needs of the stream whose answer it translates."""

    @property
    def flow(self) -> http.HTTPFlow: ...

    @property
    def flows(self) -> bool:
        """Whether the answer just goes on. If not, the stream has something to do: see `read_done`."""

    def may_translate(self, round_id: int) -> bool:
        """Whether the next piece of that round's body may be translated right now, without an event of the layer."""

    def translate(self, data: bytes) -> bytes:
        """Translate a piece of the upstream's body; returns what the client gets."""

    def read_done(self) -> None:
        """Have the stream look at its turn when the event at hand has been dealt with."""


class FastPath(layer.Layer):
    """Stands before the HTTP/1 layer of an upstream connection.

    It translates what is whole chunks of a streamed answer and sends it to the client, and hands all else on to that
    layer. `SocketFastPath` calls `translate_chunks` with data that need not pass the layers at all.
    """

    def __init__(self, upstream: Http1Client, client: GatewayHttp1Server) -> None:
        super().__init__(upstream.context)
        self.bytes_received = 0
        """Bytes that came through the layers below."""
        self._upstream = upstream
        self._client = client
        self._stream: AnswerStream | None = None
        self._round_id = 0
        self._decoder = WholeChunkDecoder()

    def begin(self, stream: AnswerStream, round_id: int) -> None:
        """The head of a chunked answer to that round of `stream` has come."""
        self._stream = stream
        self._round_id = round_id
        self._decoder = WholeChunkDecoder()
        self._decoder.skip(bytes(self._upstream.buf))

    def end(self) -> None:
        """The round is over."""
        self._stream = None

    @property
    def is_translating(self) -> bool:
        """Whether an answer is under way, of which whole chunks can be translated."""
        stream = self._stream
        return stream is not None and self._client.chunked and stream.may_translate(self._round_id)

    def translate_chunks(self, data: bytes) -> bytes | None:
        """What the client's connection gets for `data` from the upstream's.

        None if `data` has to go through mitmproxy's HTTP layers; nothing has happened then.
        """
        stream = self._stream
        if stream is None or not self._client.chunked or not stream.may_translate(self._round_id):
            return None
        payload = self._decoder.decode(data)
        if payload is None:
            return None
        out = stream.translate(payload)
        return encode_chunk(out) if out else b""

    @property
    def flow_to_look_at(self) -> http.HTTPFlow | None:
        """The flow whose stream has something to do after what was translated; None while its answer just goes on."""
        stream = self._stream
        return None if stream is None or stream.flows else stream.flow

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """mitmproxy's would queue events while a layer is paused. Nothing ever pauses this one."""
        return self._handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.DataReceived):
            self.bytes_received += len(event.data)
            out = self.translate_chunks(event.data)
            stream = self._stream
            if out is not None and stream is not None:
                if out:
                    yield commands.SendData(self._client.conn, out)
                if not stream.flows:
                    stream.read_done()
                return
            if stream is not None:
                self._decoder.skip(event.data)
        yield from self._upstream.handle_event(event)
