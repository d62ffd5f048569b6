"""Compressed JSON, as the stores keep it."""

import zlib
from typing import Any

from responses_gateway.protocol import encoding
from responses_gateway.protocol.json import dumps, loads

_LEVEL = 1
"""Histories are mostly text that repeats itself: the fastest level already makes it several times smaller."""

_BATCH = 16 * 1024
"""Bytes that are compressed at once."""

_MAX_SIZE = 512 << 20
"""Bytes of one unpacked value: a store may be shared, and a small value of others may unpack to any size."""

_DATA = b"data: "


def pack(value: Any) -> bytes:
    """`value` as compressed JSON."""
    return zlib.compress(dumps(value), _LEVEL)


def unpack(packed: bytes) -> Any:
    """Undo `pack`. Raises ValueError for what it did not make."""
    try:
        return loads(encoding.inflate(packed, _MAX_SIZE))
    except encoding.ERRORS as error:
        raise ValueError(f"not a packed value: {error}") from None


class EventLog:
    """The event stream of one response, compressed as it comes, so that the end of a long one costs no more.

    It needs little memory meanwhile, because many streams may be live at once.
    """

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_LEVEL, wbits=12, memLevel=5)
        self._packed: list[bytes] = []
        self._waiting: list[bytes] = []
        self._size = 0

    def add(self, stream: bytes) -> None:
        """The next part of the stream: whole events as `sse.encode` makes them."""
        self._waiting.append(stream)
        self._size += len(stream)
        if self._size > _BATCH:
            self._compress()

    def _compress(self) -> None:
        self._packed.append(self._compressor.compress(b"".join(self._waiting)))
        self._waiting.clear()
        self._size = 0

    def close(self) -> bytes:
        """The compressed stream, for `events_in`. Nothing can be added any more."""
        self._compress()
        return b"".join([*self._packed, self._compressor.flush()])


def events_in(log: bytes) -> list[dict[str, Any]]:
    """The events of a closed EventLog; none for an empty one. Raises ValueError."""
    if not log:
        return []
    try:
        stream = encoding.inflate(log, _MAX_SIZE)
    except encoding.ERRORS as error:
        raise ValueError(f"not an event log: {error}") from None
    return [loads(line.removeprefix(_DATA)) for line in stream.split(b"\n") if line.startswith(_DATA)]
