"""One client connection that is kept for many turns, on the level of bytes."""

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from e2e.responses import events, outcome_of
from upstream.wire import Question

TIMEOUT = 60
NEVER_ENDED = "the connection ended before the answer was complete"


@dataclass(frozen=True)
class Answer:
    """`text` is what the model said, as far as it was shown; `complete` is whether the turn succeeded."""

    status: int
    complete: bool
    text: str


class KeptClient:
    """A context manager. Raises EOFError when the gateway closes the connection, TimeoutError after TIMEOUT seconds."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def end_requests(self) -> None:
        """Say that no further request comes, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, *questions: Question, stream: bool = True) -> None:
        """Send all of them in one write."""
        self._socket.sendall(b"".join(request(one.body(stream=stream)) for one in questions))

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, question: Question, *, stream: bool = True) -> Answer:
        self.send(question, stream=stream)
        return self.answer()

    def answer(self) -> Answer:
        """The next answer. Raises AssertionError when it is not what HTTP and the Responses API allow."""
        while (head := self._head()).startswith(b"HTTP/1.1 1"):
            pass
        status = int(head.split(b" ", 2)[1])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            body = self._chunks()
        else:
            body = self._take(int(fields[b"content-length"]))
        if fields[b"content-type"].startswith(b"text/event-stream"):
            outcome = outcome_of(list(events(body)))
            return Answer(status, outcome.end == "response.completed", outcome.text)
        whole = json.loads(body)
        return Answer(status, whole.get("status") == "completed", said(whole))

    def wait_for(self, words: str) -> None:
        """Wait until they stand in what was not read yet."""
        while words.encode() not in self._unread:
            self._receive()

    def ended(self) -> bool:
        """Whether nothing more comes; waits until the gateway has closed the connection."""
        return not self._unread and not self._socket.recv(1)

    def _head(self) -> bytes:
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            self._receive()
        return bytes(self._take(end + 4)[:-2])

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while (end := self._unread.find(b"\r\n")) < 0:
                self._receive()
            size = int(self._take(end + 2), 16)
            piece = self._take(size + 2)
            assert piece.endswith(b"\r\n")
            if not size:
                return body
            body += piece[:-2]

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive()
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError(NEVER_ENDED)
        self._unread += data


def request(body: bytes, path: str = "responses") -> bytes:
    head = f"POST /v1/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def said(answer: dict[str, Any]) -> str:
    """The text of a whole answer."""
    messages = [item for item in answer.get("output", ()) if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"])
