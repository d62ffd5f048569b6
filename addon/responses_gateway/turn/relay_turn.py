"""Serves requests that are not translated: the upstream's answer is passed on as it is."""

from collections.abc import Sequence

from mitmproxy import http

from responses_gateway.protocol import encoding
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.sse import FrameTooLong
from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import MAX_WHOLE_ANSWER, Failure
from responses_gateway.proxy.guard import MESSAGE
from responses_gateway.security.header_fields import is_safe
from responses_gateway.security.redaction import ErrorRedactor, Redactor
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.answer.answer_reader import AnswerReader
from responses_gateway.translate.answer.chunk_reader import read_chunk
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.error_response import error_response
from responses_gateway.turn.observers import RelayObserver

NOT_PASSED_ON = frozenset({"connection", "content-length", "keep-alive", "set-cookie", "trailer", "transfer-encoding"})
"""Headers that belong to the upstream's connection, and its cookies."""

_MISSING = {
    "connect_timeout": "no connection",
    "first_byte_timeout": "no beginning",
    "idle_timeout": "no piece of an answer",
    "queue_timeout": "nothing but keep-alives",
    "turn_timeout": "no end",
}
"""What did not come in time, by the cause of the failure."""


class RelayTurn:
    """`contract.Turn` for a request that is not translated: one round, no heartbeats.

    The answer is still read, to tell an upstream that answers from one that only keeps the connection busy.
    """

    def __init__(
        self,
        request: http.Request,
        secrets: Sequence[str],
        settings: Settings,
        observer: RelayObserver,
    ) -> None:
        """`secrets` are the gateway's own; the client does not see them even if the upstream repeats them."""
        self.is_storing = False
        self.limits = settings.time_limits._replace(heartbeat=0)
        self.streams = False
        self.ended = False
        self._chunks = 0
        """How many chunks of the answer have come that say something."""
        self._reader = AnswerReader("", Ledger())
        self._is_readable = True
        """Whether the answer is in an encoding that is known here."""

        self.request = request
        self._status = 502
        self._headers = messages.headers(())
        self._body = b""
        self._decoder: encoding.Decoder | None = None
        self._error: GatewayError | None = None
        self._own = Redactor()
        self._own.conceal(secrets)
        self._errors = ErrorRedactor(self._own)
        self._observer = observer
        self._line_open = False

    def begin(self, status: int, headers: http.Headers) -> bool:
        self._status = status
        self._headers = messages.headers(
            (name, self._own.clean_text(value))
            for name, value in headers.items(multi=True)
            if name.lower() not in NOT_PASSED_ON and is_safe(name, value)
        )
        # Nobody asked for an encoding, and encoded bodies are not kept, because showing one would unpack all of it.
        try:
            self._decoder = encoding.decoder(headers.get("content-encoding", ""))
        except ValueError:
            self._is_readable = False
        if self._decoder is not None:
            del self._headers["content-encoding"]
        self.streams = headers.get("content-type", "").startswith("text/event-stream")
        return self.streams

    @property
    def settled(self) -> bool:
        return self._reader.done

    @property
    def round_over(self) -> bool:
        return self._error is not None

    @property
    def flows(self) -> bool:
        return not (self.settled or self.round_over)

    @property
    def content(self) -> int:
        return self._chunks + self._reader.pieces

    @property
    def keep_alives(self) -> int:
        return self._reader.keep_alives

    def feed(self, data: bytes) -> bytes:
        if self._decoder is not None:
            data = self._decoded(self._decoder, data, encoding.MAX_PIECE)
        try:
            self._read(data)
        except (FrameTooLong, encoding.TooLarge) as error:
            self._error = self._no_answer(502, str(error))
            return b""
        return self._pass(self._errors.feed(data))

    def _pass(self, data: bytes) -> bytes:
        """Note what the client gets of a stream, and return it."""
        if data:
            self._observer.relayed(data)
            self._line_open = not data.endswith(b"\n")
        return data

    def _read(self, data: bytes) -> None:
        if not self._is_readable:
            self._chunks += 1
            return
        for chunk in self._reader.feed(data):
            # Events of the Responses API name their type.
            says = not isinstance(chunk, dict) or "type" in chunk
            if says or any(piece.has_content for piece in read_chunk(chunk)[0]):
                self._chunks += 1

    def _decoded(self, decoder: encoding.Decoder, data: bytes, limit: int) -> bytes:
        """The decoded bytes; b"" when they cannot be decoded, which ends the answer."""
        try:
            return decoder.decode(data, limit)
        except encoding.ERRORS as error:
            self._error = self._no_answer(502, f"it cannot be decoded: {error}")
            return b""

    def finish(self) -> bytes:
        rest = self._pass(self._errors.finish())
        self._end()
        return rest

    def take(self, body: bytes) -> None:
        decoder = self._decoder
        decoded = body if decoder is None else self._decoded(decoder, body, MAX_WHOLE_ANSWER)
        self._body = self._errors.whole(self._status, decoded)

    def fail(self, failure: Failure) -> None:
        status = 504 if failure.cause.endswith("timeout") else 502
        way = f" through the proxy {failure.proxy}" if failure.proxy else ""
        if failure.cause.endswith("timeout"):
            why = f"{_MISSING[failure.cause]}{way} within {failure.seconds:g} s (gateway_{failure.cause})"
        else:
            why = failure.cause.replace("_", " ") + way + (f": {failure.text}" if failure.text else "")
        self._error = self._no_answer(status, why)

    def _no_answer(self, status: int, why: str) -> GatewayError:
        return GatewayError(f"No answer from {self.request.url}: {why}.", status, "server_error", type="server_error")

    def heartbeat(self) -> bytes:
        return b""

    def told(self) -> bytes:
        return b""

    def head(self) -> http.Response:
        response = self._response()
        response.headers["transfer-encoding"] = "chunked"
        response.stream = True
        return response

    def end(self) -> bytes:
        """The end of the stream, with an error in the form that clients of chat/completions understand."""
        self._errors.finish()
        self._end()
        return self._event(self._error) if self._error else b""

    def last_words(self) -> bytes:
        return self._event(GatewayError(MESSAGE, 500, "server_error", type="server_error"))

    def _event(self, error: GatewayError) -> bytes:
        """An error as an event. What passed before may have stopped within a line."""
        before = b"\n\n" if self._line_open else b""
        return before + b"data: " + dumps(error.body()) + b"\n\n"

    def answer(self) -> http.Response:
        if self._error is not None:
            return error_response(self._error)
        response = self._response()
        response.raw_content = self._body
        response.headers["content-length"] = str(len(self._body))
        return response

    def presentable(self, body: bytes) -> bytes:
        return self._observer.clean(body)

    def _end(self) -> None:
        self.ended = True
        self._observer.ended()

    def _response(self) -> http.Response:
        response = messages.response(self._status)
        response.headers = self._headers.copy()
        return response
