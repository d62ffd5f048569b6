"""An upstream's answer, passed on as it is, by the same layer that serves the translated turns."""

from collections.abc import Mapping, Sequence

from mitmproxy import http

from responses_gateway.errors import GatewayError
from responses_gateway.inspection.redaction import ErrorRedactor, Redactor
from responses_gateway.protocol.fields import is_safe
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import Failure, Limits
from responses_gateway.settings import Settings
from responses_gateway.turn import error_response

_NOT_PASSED_ON = frozenset({"connection", "content-length", "keep-alive", "set-cookie", "trailer", "transfer-encoding"})
"""Headers of the upstream's connection, and its cookies."""


class RelayTurn:
    """`contract.Turn` for a request that is not translated: one round, no heartbeats.

    `settled` stays False: how the answer of another protocol ends is not known here.
    """

    flows = True
    round_over = False
    settled = False

    def __init__(
        self,
        flow: http.HTTPFlow,
        client_headers: Mapping[str, str],
        request: http.Request,
        secrets: Sequence[str],
        settings: Settings,
    ) -> None:
        """`secrets` are the gateway's own, which the client does not get to see even if the upstream repeats them."""
        self.limits = Limits(0, settings.connect_timeout, settings.first_byte_timeout, settings.idle_timeout)
        self.streams = False
        self.ended = False
        self.is_storing = False
        self._flow = flow
        self.request = request
        self._status = 502
        self._headers = messages.headers(())
        self._body = bytearray()
        self._error: GatewayError | None = None
        self._own = Redactor()
        self._own.conceal(secrets)
        self._errors = ErrorRedactor(self._own)
        self._redactor = Redactor()
        self._redactor.conceal(secrets)
        self._redactor.conceal_headers(client_headers)
        self._redactor.conceal_headers(messages.read(request.headers))

    def begin(self, status: int, headers: http.Headers) -> bool:
        self._status = status
        self._headers = messages.headers(
            (name, self._own.clean_text(value))
            for name, value in headers.items(multi=True)
            if name.lower() not in _NOT_PASSED_ON and is_safe(name, value)
        )
        self.streams = headers.get("content-type", "").startswith("text/event-stream")
        return self.streams

    def feed(self, data: bytes) -> bytes:
        data = self._errors.feed(data)
        self._body += data
        return data

    def finish(self) -> bytes:
        rest = self._errors.finish()
        self._body += rest
        self._end()
        return rest

    def take(self, body: bytes) -> None:
        self._body += self._errors.whole(self._status, body)

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
        self._errors.finish()
        self._end()
        return b"data: " + dumps(self._error.body()) + b"\n\n" if self._error else b""

    def answer(self) -> http.Response:
        if self._error is not None:
            return error_response(self._error)
        response = self._response()
        response.raw_content = bytes(self._body)
        response.headers["content-length"] = str(len(self._body))
        return response

    def presentable(self, body: bytes) -> bytes:
        return self._redactor.clean(body)

    def _end(self) -> None:
        """Keep what passed, to be looked at."""
        self.ended = True
        if self._flow.response is not None:
            self._flow.response.data.content = self.presentable(bytes(self._body))

    def _response(self) -> http.Response:
        response = messages.response(self._status)
        response.headers = self._headers.copy()
        return response
