"""Keeps what passes in an answer that is not translated, for its flow."""

from collections.abc import Mapping, Sequence

from mitmproxy import http

from responses_gateway.inspection.recording.stream_capture import StreamCapture
from responses_gateway.security.redaction import Redactor


class RelayRecorder:
    """Records one relayed answer; `turn.observers.RelayObserver` for the turn."""

    def __init__(
        self,
        flow: http.HTTPFlow,
        client_headers: Mapping[str, str],
        upstream_headers: Mapping[str, str],
        secrets: Sequence[str],
    ) -> None:
        """Headers come by lower-case name; neither their secrets nor `secrets` are kept."""
        self._flow = flow
        self._redactor = Redactor()
        self._redactor.conceal(secrets)
        self._redactor.conceal_headers(client_headers)
        self._redactor.conceal_headers(upstream_headers)
        self._passed = StreamCapture(clean=self._redactor.clean)

    def relayed(self, data: bytes) -> None:
        """Bytes of a streamed answer go to the client."""
        self._passed.add(0, data)

    def ended(self) -> None:
        """Put the streamed answer into the flow, which mitmproxy leaves empty."""
        if self._flow.response is not None:
            self._passed.flush(is_end=True)
            self._flow.response.data.content = self._passed.content()

    def clean(self, body: bytes) -> bytes:
        """`body` without secrets."""
        return self._redactor.clean(body)
