"""The body of an answer as it arrives: an event stream, whatever the server calls it, or one whole document."""

from typing import Literal

from responses_gateway.protocol import encoding, sse

type Kind = Literal["unknown", "sse", "json", "other"]


class BodyReader:
    """Finds out what the upstream really sends, whatever its content-type says, and cuts it into payloads."""

    def __init__(self, content_encoding: str) -> None:
        self._decoder = encoding.decoder(content_encoding)
        self._sse = sse.SseDecoder()
        self._start: list[bytes] = []
        """What came while nothing but white space had."""
        self._body: list[bytes] = []
        self.kind: Kind = "unknown"
        self.pieces = 0
        """How many pieces of a whole document have come, blanks apart."""
        self._blanks = 0

    @property
    def keep_alives(self) -> int:
        """How often the server has sent comments and blanks, which say no more than that it is alive."""
        return self._blanks + self._sse.keep_alives

    def feed(self, data: bytes) -> list[bytes]:
        if self._decoder is not None:
            data = self._decoder.decode(data)
        if self.kind == "unknown":
            self.kind = _kind_of(data)
            self._start.append(data)
            if self.kind == "unknown":
                self._blanks += 1
                return []
            data = b"".join(self._start)
            self._start.clear()
        if self.kind == "sse":
            return self._sse.feed(data)
        self._body.append(data)
        if data.isspace():
            self._blanks += 1
        elif data:
            self.pieces += 1
        return []

    def finish(self) -> list[bytes]:
        if self.kind == "unknown":
            self._body += self._start
        return self._sse.finish()

    def body(self) -> bytes:
        """Everything, when it is no event stream."""
        return b"".join(self._body)


def _kind_of(start: bytes) -> Kind:
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not head:
        return "unknown"
    if head in b"{[":
        return "json"
    return "other" if head == b"<" else "sse"
