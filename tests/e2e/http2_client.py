"""A client that speaks HTTP/2 over TLS, whose streams can be reset one by one."""

import json
import socket
import ssl
from types import TracebackType
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded

from e2e.environment import API_KEY

TIMEOUT = 60


class Http2Client:
    """One connection to `port` of loopback; a context manager. Certificates are not looked at."""

    def __init__(self, port: int) -> None:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        trusting.set_alpn_protocols(["h2"])
        self._socket = trusting.wrap_socket(socket.create_connection(("127.0.0.1", port), TIMEOUT))
        assert self._socket.selected_alpn_protocol() == "h2"
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._status: dict[int, int] = {}
        self._bodies: dict[int, bytes] = {}
        self._ended: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        """Send a request; returns the id of its stream."""
        stream_id = self._h2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        headers += [("authorization", f"Bearer {API_KEY}"), ("content-type", "application/json")]
        self._h2.send_headers(stream_id, headers, end_stream=body is None)
        if body is not None:
            self._h2.send_data(stream_id, json.dumps(body).encode(), end_stream=True)
        self._flush()
        return stream_id

    def answer(self, stream_id: int) -> tuple[int, bytes]:
        """Status and whole body of an answer."""
        while stream_id not in self._ended:
            self._receive()
        return self._status[stream_id], self._bodies.get(stream_id, b"")

    def wait_for(self, stream_id: int, text: bytes) -> None:
        """Read until that was in the body of the answer."""
        while text not in self._bodies.get(stream_id, b""):
            assert stream_id not in self._ended, self._bodies.get(stream_id)
            self._receive()

    def cancel(self, stream_id: int) -> None:
        self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        self._flush()

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        assert data, "the connection was closed"
        for event in self._h2.receive_data(data):
            match event:
                case ResponseReceived():
                    self._status[event.stream_id] = int(dict(event.headers)[":status"])
                case DataReceived():
                    self._bodies[event.stream_id] = self._bodies.get(event.stream_id, b"") + event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case StreamEnded():
                    self._ended.add(event.stream_id)
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())
