"""Tapes as the archive keeps them: all blocks as one body, and the times beside it."""

import struct
import sys
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from responses_gateway.inspection.recording.timed_bytes import TapeData, body_of
from responses_gateway.inspection.recording.zstd import packed
from responses_gateway.protocol.json import dumps, loads

_MARK = 8
"""Bytes of the mark of one piece."""


class TapeParts(NamedTuple):
    """One tape, taken apart."""

    body: bytes
    """What passed, without what is not kept."""

    marks: bytes
    """Times and sizes of its pieces, in an order that compresses well."""


def taken_apart(data: TapeData) -> TapeParts:
    """A tape as two strings of bytes, for `joined`."""
    counts = [len(marks) // _MARK for marks in data["marks"]]
    head = dumps({"blocks": counts, "gap_at": data["gap_at"], "gap": data["gap"]})
    marks = b"".join(data["marks"])
    return TapeParts(body_of(data), b"".join((head, b"\n", *(marks[place::_MARK] for place in range(_MARK)))))


def joined(parts: TapeParts) -> TapeData:
    """The tape again. Raises ValueError for what is none."""
    line, _, planes = parts.marks.partition(b"\n")
    try:
        head = loads(line)
        counts: list[int] = head["blocks"]
        marks = _interleaved(planes, sum(counts))
        data = empty() | {"gap_at": head["gap_at"], "gap": head["gap"]}
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


def empty() -> TapeData:
    """A tape on which nothing is."""
    return {"blocks": [], "marks": [], "gap_at": -1, "gap": 0}


def piece_times(marks: Sequence[bytes]) -> tuple[array[int], array[int]]:
    """Of each piece of a tape's `marks`: when it passed, and its size."""
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
