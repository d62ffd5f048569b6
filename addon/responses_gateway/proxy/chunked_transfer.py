"""Chunked transfer coding of HTTP/1 bodies (RFC 9112, section 7.1), for the fast path."""

import re

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_LONGEST_SIZE_LINE = 16
"""Bytes of a chunk's size line without extensions, with some room."""


def encode_chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class WholeChunkDecoder:
    """Decodes those reads of a chunked body that consist of whole chunks and nothing else.

    mitmproxy's parser (h11) reads all the rest. `skip` follows what it reads, so that `decode` knows whether a read
    begins at the start of a chunk. This class knows plain chunks only: after an extension, the last chunk or anything
    malformed it decodes nothing more of this body.
    """

    def __init__(self) -> None:
        self._missing = 0
        """Bytes that the other parser still has to read of the current chunk."""
        self._size_line = b""
        """The beginning of a size line whose end has not come."""
        self._gave_up = False

    def decode(self, data: bytes) -> bytes | None:
        """The payload of `data` if it is whole chunks; otherwise None, and this object is unchanged."""
        if self._missing or self._size_line or self._gave_up:
            return None
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            line = _SIZE_LINE.match(data, at)
            if line is None:
                return None
            begin = line.end()
            at = begin + int(line[1], 16)
            if at == begin or data[at : at + 2] != b"\r\n":
                return None
            pieces.append(data[begin:at])
            at += 2
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, data: bytes) -> None:
        """Follow `data`, which the other parser reads."""
        at = min(self._missing, len(data))
        self._missing -= at
        data = self._size_line + data[at:]
        at, self._size_line = 0, b""
        while at < len(data) and not self._gave_up:
            line = _SIZE_LINE.match(data, at)
            if line is None or int(line[1], 16) == 0:
                self._size_line = data[at:]
                self._gave_up = line is not None or len(self._size_line) > _LONGEST_SIZE_LINE
                return
            at = line.end() + int(line[1], 16) + 2
            self._missing = max(0, at - len(data))
