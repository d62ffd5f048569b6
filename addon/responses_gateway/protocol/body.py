"""Reads the body of an answer while it arrives: an event stream, or one whole document."""

from typing import Literal

from responses_gateway.protocol import encoding, sse

type Kind = Literal["unknown", "sse", "json", "other"]

MAX_DOCUMENT = 64 << 20
"""The most bytes of an answer that is one document."""

_BLANK = b"\xef\xbb\xbf \t\r\n"
"""Bytes that may come before either kind of body, and have no meaning there."""


class BodyReader:
    """Detects the kind of a body by its first bytes, because content types may be wrong, and cuts it into payloads."""

    def __init__(self, content_encoding: str) -> None:
        """Raises ValueError for an encoding that is not known."""
        self._decoder = encoding.decoder(content_encoding)
        self._sse = sse.SseDecoder()
        self._body: list[bytes] = []
        self._size = 0
        self.kind: Kind = "unknown"
        self.pieces = 0
        """The number of pieces of a whole document so far, without blank ones."""
        self._blanks = 0

    @property
    def keep_alives(self) -> int:
        """The number of comments and blanks so far, which only show that the server is alive."""
        return self._blanks + self._sse.keep_alives

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that `data` completes. Raises FrameTooLong, and encoding.ERRORS."""
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
        """Return the whole body, when it is no event stream."""
        return b"".join(self._body)


def _kind_of(start: bytes) -> Kind:
    """`start` has no blanks before it."""
    head = start[:1]
    if not head:
        return "unknown"
    if head in b"{[":
        return "json"
    return "other" if head == b"<" else "sse"
