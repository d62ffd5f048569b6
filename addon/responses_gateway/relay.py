"""An upstream's answer, passed on as it is, by the same layer that serves the translated turns."""

from collections.abc import Mapping
from contextlib import suppress

from mitmproxy import http

from responses_gateway.errors import GatewayError
from responses_gateway.inspection.redaction import Redactor
from responses_gateway.inspection.tape import Tape
from responses_gateway.protocol import encoding
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy.contract import MAX_WHOLE_ANSWER, Failure, Limits
from responses_gateway.settings import Settings
from responses_gateway.turn import error_response

_NOT_PASSED_ON = frozenset({"connection", "content-length", "keep-alive", "set-cookie", "trailer", "transfer-encoding"})
"""Headers of the upstream's connection, and its cookies."""


class RelayTurn:
    """`contract.Turn` for a request that is not translated: one round, no heartbeats.

    `settled` stays False: how the answer of another protocol ends is not known here.
    """

    settled = False

    def __init__(
        self, flow: http.HTTPFlow, client_headers: Mapping[str, str], request: http.Request, settings: Settings
    ) -> None:
        self.limits = Limits(0, settings.connect_timeout, settings.first_byte_timeout, settings.idle_timeout)
        self.streams = False
        self.ended = False
        self.round_over = False
        self._flow = flow
        self.request = request
        self._status = 502
        self._headers = http.Headers()
        self._body = b""
        self._decoder: encoding.Decoder | None = None
        self._error: GatewayError | None = None
        self._redactor = Redactor()
        self._redactor.conceal_headers(client_headers)
        self._redactor.conceal_headers({name.lower(): value for name, value in request.headers.items()})
        self._passed = Tape(clean=self._redactor.clean)

    @property
    def flows(self) -> bool:
        return not (self.ended or self.round_over)

    def begin(self, status: int, headers: http.Headers) -> bool:
        self._status = status
        fields = [(name, value) for name, value in headers.fields if name.decode().lower() not in _NOT_PASSED_ON]
        self._headers = http.Headers(fields)
        # Nobody asked for an encoding, and nothing encoded can be kept: whoever looks at it would unpack all of it.
        with suppress(ValueError):
            self._decoder = encoding.decoder(headers.get("content-encoding", ""))
        if self._decoder is not None:
            del self._headers["content-encoding"]
        self.streams = headers.get("content-type", "").startswith("text/event-stream")
        return self.streams

    def feed(self, data: bytes) -> bytes:
        if self._decoder is not None:
            data = self._decoded(self._decoder, data, encoding.MAX_PIECE)
        self._passed.add(0, data)
        return data

    def _decoded(self, decoder: encoding.Decoder, data: bytes, limit: int) -> bytes:
        """b"" for what cannot be decoded, which ends the answer."""
        try:
            return decoder.decode(data, limit)
        except encoding.ERRORS as error:
            message = f"The answer of {self.request.url} cannot be decoded: {error}."
            self._error = GatewayError(message, 502, "server_error", type="server_error")
            self.round_over = True
            return b""

    def finish(self) -> bytes:
        self._end()
        return b""

    def take(self, body: bytes) -> None:
        decoder = self._decoder
        self._body = body if decoder is None else self._decoded(decoder, body, MAX_WHOLE_ANSWER)

    def fail(self, failure: Failure) -> None:
        status = 504 if failure.cause.endswith("timeout") else 502
        why = failure.cause.replace("_", " ") + (f": {failure.text}" if failure.text else "")
        self._error = GatewayError(
            f"No answer from {self.request.url}: {why}.", status, "server_error", type="server_error"
        )

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
        """What clients of chat/completions take for an error in a stream."""
        self._end()
        return b"data: " + dumps(self._error.body()) + b"\n\n" if self._error else b""

    def answer(self) -> http.Response:
        if self._error is not None:
            return error_response(self._error)
        response = self._response()
        response.raw_content = self._body
        response.headers["content-length"] = str(len(self._body))
        return response

    def presentable(self, body: bytes) -> bytes:
        return self._redactor.clean(body)

    def _end(self) -> None:
        """Keep what passed, to be looked at."""
        self.ended = True
        if self._flow.response is not None:
            self._passed.flush(is_end=True)
            self._flow.response.data.content = self._passed.content()

    def _response(self) -> http.Response:
        response = http.Response.make(self._status)
        response.headers = self._headers.copy()
        return response
