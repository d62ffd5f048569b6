"""The body of an answer as it arrives: an event stream, whatever the server calls it, or one whole document."""

from typing import Literal

from responses_gateway.protocol import encoding, sse

type Kind = Literal["unknown", "sse", "json", "other"]

MAX_DOCUMENT = 64 << 20
"""Bytes of an answer that is one document."""

_BLANK = b"\xef\xbb\xbf \t\r\n"
"""What may stand before the beginning of either kind, and means nothing there."""


class BodyReader:
    """Finds out what the upstream really sends, whatever its content-type says, and cuts it into payloads."""

    def __init__(self, content_encoding: str) -> None:
        """Raises ValueError for an encoding that is not known."""
        self._decoder = encoding.decoder(content_encoding)
        self._sse = sse.SseDecoder()
        self._body: list[bytes] = []
        self._size = 0
        self.kind: Kind = "unknown"
        self.pieces = 0
        """How many pieces of a whole document have come, blanks apart."""
        self._blanks = 0

    @property
    def keep_alives(self) -> int:
        """How often the server has sent comments and blanks, which say no more than that it is alive."""
        return self._blanks + self._sse.keep_alives

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes. Raises FrameTooLong, and encoding.ERRORS."""
        if self._decoder is not None:
            data = self._decoder.decode(data, encoding.MAX_PIECE)
        if self.kind == "unknown":
            if data.isspace():
                self._blanks += 1
            data = data.lstrip(_BLANK)
            self.kind = _kind_of(data)
            if self.kind == "unknown":
                return []
        if self.kind == "sse":
            return self._sse.feed(data)
        self._size += len(data)
        if self._size > MAX_DOCUMENT:
            raise encoding.TooLarge(MAX_DOCUMENT, b"")
        if data.isspace():
            self._blanks += 1
        elif data:
            self.pieces += 1
        self._body.append(data)
        return []

    def finish(self) -> list[bytes]:
        return self._sse.finish()

    def body(self) -> bytes:
        """Everything, when it is no event stream."""
        return b"".join(self._body)


def _kind_of(start: bytes) -> Kind:
    """`start` has no blanks before it."""
    head = start[:1]
    if not head:
        return "unknown"
    if head in b"{[":
        return "json"
    return "other" if head == b"<" else "sse"
