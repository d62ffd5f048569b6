"""Bytes with the times at which they passed, kept up to a limit: the beginning and the end."""

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

HEAD = 6 << 20
"""Bytes that are kept from the beginning of a tape."""

TAIL = 2 << 20
"""Bytes that are kept, at least, from the end of a tape that is longer."""

BLOCK = 64 << 10
"""Bytes that wait at most, unless no line ends in them."""

type TapeData = dict[str, Any]
"""`blocks`, a list of bytes: what passed, joined. `marks`, a list of bytes: for each block, time and size of each of
its pieces as little-endian 32-bit numbers; times are milliseconds since the turn was opened. `gap_at` is the index of
the first block behind the gap (-1: there is none), `gap` the number of bytes that are missing there."""

_MARK = struct.Struct("<II")


class Piece(NamedTuple):
    """Some bytes that passed at once. A gap is a piece of no bytes with `missing` set."""

    at: int
    """Milliseconds since the turn was opened."""

    data: bytes
    missing: int = 0


class Tape:
    """Collects what passes; `flush` brings the `TapeData` up to date, so that whoever shows it needs no copy."""

    def __init__(self, opened: float = 0.0, clean: Callable[[bytes], bytes] = bytes) -> None:
        """`opened`: when the turn was, in seconds; `clean` takes secrets out of bytes."""
        self._blocks: list[bytes] = []
        self._marks: list[bytes] = []
        self.data: TapeData = {"blocks": self._blocks, "marks": self._marks, "gap_at": -1, "gap": 0}
        self._opened = opened
        self._clean = clean
        self._waiting: list[bytes] = []
        self._times: list[float] = []
        self._waiting_size = 0
        self._tail_size = 0
        self.size = 0
        """Bytes of everything that passed, kept or not, up to the last flush."""

    def add(self, now: float, data: bytes) -> None:
        """`data` passes at `now` (seconds). As cheap as can be: this runs for every delta."""
        self._waiting.append(data)
        self._times.append(now)
        self._waiting_size += len(data)
        if self._waiting_size > BLOCK:
            self.flush()

    def flush(self, *, is_end: bool = False) -> None:
        """Put what waits on the tape: whole lines, because a secret may lie across pieces, unless this `is_end`."""
        count = len(self._waiting)
        while count and not (is_end or self._waiting[count - 1].endswith(b"\n")):
            count -= 1
        if not count and self._waiting_size > BLOCK:
            count = len(self._waiting)
        if count:
            pieces, times = self._waiting[:count], self._times[:count]
            del self._waiting[:count], self._times[:count]
            self._waiting_size = sum(map(len, self._waiting))
            self._put(pieces, times)

    def _put(self, pieces: list[bytes], times: list[float]) -> None:
        whole = b"".join(pieces)
        block = self._clean(whole)
        if block is not whole:
            pieces, times = [block], times[:1]
        opened = self._opened
        offsets = [max(0, int((now - opened) * 1000 + 0.5)) for now in times]
        marks = itertools.chain.from_iterable(zip(offsets, map(len, pieces), strict=True))
        self._blocks.append(block)
        self._marks.append(struct.pack(f"<{2 * len(pieces)}I", *marks))
        self.size += len(block)
        if self.size > HEAD:
            self._add_to_tail(len(block))

    def _add_to_tail(self, size: int) -> None:
        if self.data["gap_at"] < 0:
            self.data["gap_at"] = len(self._blocks) - 1
        self._tail_size += size
        if self._tail_size > 2 * TAIL:
            self._shorten_tail()

    def _shorten_tail(self) -> None:
        start = end = self.data["gap_at"]
        dropped = 0
        while self._tail_size - dropped > TAIL and end < len(self._blocks) - 1:
            dropped += len(self._blocks[end])
            end += 1
        del self._blocks[start:end]
        del self._marks[start:end]
        self._tail_size -= dropped
        self.data["gap"] += dropped

    def content(self) -> bytes:
        """What was kept, as one body, when nothing more comes; a comment line stands for what was not."""
        if self.data["gap"]:
            note, at = b"\n\n: %d bytes are not kept here\n\n" % self.data["gap"], self.data["gap_at"]
            return b"".join([*self._blocks[:at], note, *self._blocks[at:]])
        if len(self._blocks) > 1:
            # One block, so that the tape and the body that mitmproxy shows are the same object.
            self._blocks[:] = [b"".join(self._blocks)]
            self._marks[:] = [b"".join(self._marks)]
        return self._blocks[0] if self._blocks else b""

    def latest(self, size: int) -> bytes:
        """The last blocks, of about `size` bytes together; a comment line stands for what came before them."""
        start, taken = len(self._blocks), 0
        while start and taken < size:
            start -= 1
            taken += len(self._blocks[start])
        before = b": %d bytes came before this\n\n" % (self.size - taken) if self.size > taken else b""
        return b"".join([before, *self._blocks[start:]])


def body_of(data: TapeData | None) -> bytes:
    """Everything that a tape kept, joined."""
    return b"".join(data["blocks"]) if data else b""


def pieces(data: TapeData) -> Iterator[Piece]:
    """What a tape kept, in order."""
    for index, (block, marks) in enumerate(zip(data["blocks"], data["marks"], strict=True)):
        if data["gap"] and index == data["gap_at"]:
            yield Piece(_MARK.unpack_from(marks)[0], b"", data["gap"])
        start = 0
        for at, size in _MARK.iter_unpack(marks):
            yield Piece(at, block[start : start + size])
            start += size
