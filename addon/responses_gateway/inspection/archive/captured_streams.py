"""Captured streams as the archive keeps them: all blocks as one body, and the times apart from it."""

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from responses_gateway.inspection.recording.stream_capture import CapturedStream, body_of
from responses_gateway.inspection.recording.zstd import packed
from responses_gateway.protocol.json import dumps, loads

_NUMBER = struct.Struct("<I")
_MARK = 8
"""Bytes of the mark of one piece."""


class StreamParts(NamedTuple):
    """One captured stream, split."""

    body: bytes
    """What passed, without what is not kept."""

    marks: bytes
    """Times and sizes of its pieces, in an order that compresses well."""


def split_stream(data: CapturedStream) -> StreamParts:
    """A captured stream as two strings of bytes, for `join_stream`."""
    counts = [len(marks) // _MARK for marks in data["marks"]]
    head = dumps({"blocks": counts, "gap_at": data["gap_at"], "gap": data["gap"]})
    marks = b"".join(data["marks"])
    return StreamParts(body_of(data), b"".join((head, b"\n", *(marks[place::_MARK] for place in range(_MARK)))))


def join_stream(parts: StreamParts) -> CapturedStream:
    """Undo `split_stream`. Raises ValueError for what it did not make."""
    line, _, planes = parts.marks.partition(b"\n")
    try:
        head = loads(line)
        counts: list[int] = head["blocks"]
        marks = _interleaved(planes, sum(counts))
        data = empty_stream() | {"gap_at": head["gap_at"], "gap": head["gap"]}
    except (LookupError, TypeError) as error:
        raise ValueError(f"not a tape: {error!r}") from None
    start = at = 0
    for count in counts:
        block = marks[at : at + _MARK * count]
        size = sum(struct.unpack(f"<{2 * count}I", block)[1::2])
        data["blocks"].append(packed(parts.body[start : start + size]))
        data["marks"].append(block)
        start += size
        at += len(block)
    return data


def bundle_stream(data: CapturedStream) -> bytes:
    """A captured stream that has no gap as one string, for `unbundle_stream`. It is cheap: nothing is unpacked."""
    parts = [*data["marks"], *data["blocks"]]
    return b"".join((struct.pack(f"<{1 + len(parts)}I", len(parts), *map(len, parts)), *parts))


def unbundle_stream(bundle: bytes) -> CapturedStream:
    """Undo `bundle_stream`. Raises ValueError for what it did not make."""
    try:
        [count] = _NUMBER.unpack_from(bundle)
        sizes = struct.unpack_from(f"<{count}I", bundle, _NUMBER.size)
    except struct.error as error:
        raise ValueError(f"not a bundle: {error}") from None
    ends = list(accumulate(sizes, initial=_NUMBER.size * (1 + count)))
    if ends[-1] != len(bundle) or count % 2:
        raise ValueError("not a bundle: a part is missing")
    parts = [bundle[start:end] for start, end in pairwise(ends)]
    return empty_stream() | {"marks": parts[: count // 2], "blocks": parts[count // 2 :]}


def empty_stream() -> CapturedStream:
    """A captured stream of no bytes."""
    return {"blocks": [], "marks": [], "gap_at": -1, "gap": 0}


def piece_times(marks: Sequence[bytes]) -> tuple[array[int], array[int]]:
    """When each piece passed, and the size of each, by the `marks` of a captured stream."""
    numbers = array("I", b"".join(marks))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers[::2], numbers[1::2]


def _interleaved(planes: bytes, count: int) -> bytes:
    if len(planes) != _MARK * count:
        raise ValueError("not a tape: times are missing")
    marks = bytearray(len(planes))
    for place in range(_MARK):
        marks[place::_MARK] = planes[place * count : (place + 1) * count]
    return bytes(marks)
