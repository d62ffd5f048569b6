"""Chunks of HTTP/1 bodies (RFC 9112, section 7.1), for the way that most pieces of a stream take."""

import re

_HEAD = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_LONGEST_HEAD = 16
"""Bytes of a head without extensions, with some room."""


def chunk(data: bytes) -> bytes:
    """`data`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Chunks:
    """Follows a chunked body, parts of which somebody else reads, to tell the reads that are nothing but whole chunks.

    It knows plain chunks only: from an extension, the last chunk or anything malformed on, it leaves all to the other
    reader.
    """

    def __init__(self) -> None:
        self._owed = 0
        self._head = b""
        self._lost = False

    def payload(self, data: bytes) -> bytes | None:
        """What `data` carries if it is whole chunks; None, and nothing has changed, if it is anything else."""
        if self._owed or self._head or self._lost:
            return None
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            head = _HEAD.match(data, at)
            if head is None:
                return None
            begin = head.end()
            at = begin + int(head[1], 16)
            if at == begin or data[at : at + 2] != b"\r\n":
                return None
            pieces.append(data[begin:at])
            at += 2
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, data: bytes) -> None:
        """The other reader has taken `data`."""
        at = min(self._owed, len(data))
        self._owed -= at
        data = self._head + data[at:]
        at, self._head = 0, b""
        while at < len(data) and not self._lost:
            head = _HEAD.match(data, at)
            if head is None or int(head[1], 16) == 0:
                self._head = data[at:]
                self._lost = head is not None or len(self._head) > _LONGEST_HEAD
                return
            at = head.end() + int(head[1], 16) + 2
            self._owed = max(0, at - len(data))
