"""Compresses bytes against a base: the body of the turn before, most of which is repeated.

What two bodies share at their beginning and end is not even looked at by the compressor: only what lies between is
packed, by zstd, with the base (or what of it lies near the change) as raw dictionary.
"""

from dataclasses import dataclass

from responses_gateway.inspection.recording.zstd import FASTEST, WINDOW, packed, unpacked, unpacked_size

NEAR = 64 << 10
"""Bytes on either side of a small change that are its dictionary: reading a whole base costs more than it saves."""

SMALL = 32 << 10
"""Bytes of a change up to which that is so."""

_STRIDE = 64 << 10
STREAM_LEVEL = FASTEST
"""Of zstd, for streams: they repeat themselves so much that a higher one costs several times more and saves little."""

_SMALL_LEVEL = 3
_LEVEL = 6
"""Of large changes, and of what has no base: both are rare, and lower levels overlook most of a large dictionary."""

_LARGEST = (1 << WINDOW) - 1
"""Bytes of dictionary and content that one window can span."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Some bytes, given their base: `head` of its first bytes, what `data` unpacks to, and `tail` of its last bytes."""

    head: int
    tail: int
    data: bytes


def pack(body: bytes, base: bytes = b"", level: int | None = None) -> Packed:
    """Make `body` small, for a reader who has `base`. `level` is zstd's; None: what suits."""
    head = _common_head(body, base)
    tail = _common_tail(body, base, head)
    change = body[head : len(body) - tail]
    suits = _SMALL_LEVEL if base and len(change) <= SMALL else _LEVEL
    return Packed(head, tail, packed(change, level or suits, _dictionary(base, head, tail, len(change))))


def unpack(part: Packed, base: bytes = b"") -> bytes:
    """Undo `pack`. Raises ValueError for what it did not make."""
    if part.head + part.tail > len(base):
        raise ValueError("not packed so: the base is too short")
    change = unpacked(part.data, _dictionary(base, part.head, part.tail, unpacked_size(part.data)))
    return b"".join((base[: part.head], change, base[len(base) - part.tail :]))


def _dictionary(base: bytes, head: int, tail: int, size: int) -> bytes:
    """The part of `base` that helps with a change of `size` bytes between `head` and `tail`."""
    if size <= SMALL:
        return base[max(0, head - NEAR) : max(len(base) - tail, head)][: 2 * NEAR]
    return base[-max(0, _LARGEST - size) :] if size < _LARGEST else b""


def _common_head(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    limit, at = min(len(one), len(other)), 0
    while at < limit and one[at : at + _STRIDE] == other[at : at + _STRIDE]:
        at += _STRIDE
    low, high = min(at, limit), min(at + _STRIDE, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_tail(one: bytes, other: bytes, head: int) -> int:
    """How many bytes both end with, behind their common `head`."""
    limit, at = min(len(one), len(other)) - head, 0
    while at + _STRIDE <= limit and _from_end(one, at, at + _STRIDE) == _from_end(other, at, at + _STRIDE):
        at += _STRIDE
    low, high = at, min(at + _STRIDE, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if _from_end(one, low, middle) == _from_end(other, low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _from_end(data: bytes, near: int, far: int) -> bytes:
    return data[len(data) - far : len(data) - near]
