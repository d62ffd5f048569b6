"""Streams with the times at which their bytes passed, kept up to a limit: the beginning and the end."""

import io
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from responses_gateway.inspection.recording.zstd import packed
from responses_gateway.protocol import encoding

HEAD = 6 << 20
"""Bytes that are kept from the beginning of a stream."""

TAIL = 2 << 20
"""Bytes that are kept, at least, from the end of a stream that is longer."""

BLOCK = 64 << 10
"""Bytes that wait at most, unless no line ends in them."""

MAX_UNPACKED = 80 << 20
"""Bytes that a captured stream can unpack to: a whole answer is one block, whatever its size."""

type CapturedStream = dict[str, Any]
"""`blocks`, a list of bytes: what passed, as frames of zstd. `marks`, a list of bytes: for each block, time and size of
each of its pieces as little-endian 32-bit numbers; times are milliseconds since the turn was opened. `gap_at` is the
index of the first block behind the gap (-1: there is none), `gap` the number of bytes that are missing there."""

_MARK = struct.Struct("<II")


class Piece(NamedTuple):
    """Some bytes that passed at once. A gap is a piece of no bytes with `missing` set."""

    at: int
    """Milliseconds since the turn was opened."""

    data: bytes
    missing: int = 0


class StreamCapture:
    """Collects what passes; `flush` brings the `CapturedStream` up to date, so that whoever shows it needs no copy."""

    def __init__(self, opened: float = 0.0, clean: Callable[[bytes], bytes] = bytes) -> None:
        """`opened`: when the turn was, in seconds; `clean` takes secrets out of bytes."""
        self._blocks: list[bytes] = []
        self._marks: list[bytes] = []
        self.data: CapturedStream = {"blocks": self._blocks, "marks": self._marks, "gap_at": -1, "gap": 0}
        self._opened = opened
        self._clean = clean
        self._waiting: list[bytes] = []
        self._times: list[float] = []
        self._waiting_size = 0
        self._latest = b""
        self._tail: list[int] = []
        """Sizes of the blocks behind the beginning."""

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
        """Keep what waits: only whole lines, because a secret may lie across pieces, unless this `is_end`."""
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
        self._latest = block
        self._blocks.append(packed(block))
        self._marks.append(struct.pack(f"<{2 * len(pieces)}I", *marks))
        self.size += len(block)
        if self.size > HEAD:
            self._add_to_tail(len(block))

    def _add_to_tail(self, size: int) -> None:
        if self.data["gap_at"] < 0:
            self.data["gap_at"] = len(self._blocks) - 1
        self._tail.append(size)
        if sum(self._tail) > 2 * TAIL:
            self._shorten_tail()

    def _shorten_tail(self) -> None:
        dropped = 0
        while len(self._tail) > 1 and sum(self._tail) > TAIL:
            self.data["gap"] += self._tail.pop(0)
            dropped += 1
        start = self.data["gap_at"]
        del self._blocks[start : start + dropped]
        del self._marks[start : start + dropped]

    def content(self) -> bytes:
        """What is kept, as one body; a comment line of the event stream stands for what is not."""
        whole = io.BytesIO()
        for index, block in enumerate(_unpacked(self._blocks)):
            if self.data["gap"] and index == self.data["gap_at"]:
                whole.write(b"\n\n: %d bytes are not kept here\n\n" % self.data["gap"])
            whole.write(block)
        return whole.getvalue()

    def latest(self) -> bytes:
        """What came with the last flush; a comment line stands for what came before it."""
        before = self.size - len(self._latest)
        return b": %d bytes came before this\n\n" % before + self._latest if before else self._latest


def content_of(data: CapturedStream) -> bytes:
    """What was kept, as one body; a comment line of the event stream stands for what was not."""
    whole = io.BytesIO()
    for index, block in enumerate(_unpacked(data["blocks"])):
        if data["gap"] and index == data["gap_at"]:
            whole.write(b"\n\n: %d bytes are not kept here\n\n" % data["gap"])
        whole.write(block)
    return whole.getvalue()


def _unpacked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks as they passed. A comment stands for one that is too large: a saved flow may come from anybody."""
    left = MAX_UNPACKED
    for frame in blocks:
        try:
            block = encoding.decode(frame, "zstd", left)
        except encoding.TooLarge:
            yield b"\n\n: a block that is larger than %d bytes is not shown\n\n" % left
            continue
        left -= len(block)
        yield block


def body_of(data: CapturedStream | None) -> bytes:
    """Everything that was kept, joined."""
    return b"".join(_unpacked(data["blocks"])) if data else b""


def pieces(data: CapturedStream) -> Iterator[Piece]:
    """What was kept, in order."""
    for index, (block, marks) in enumerate(zip(_unpacked(data["blocks"]), data["marks"], strict=True)):
        if data["gap"] and index == data["gap_at"]:
            yield Piece(_MARK.unpack_from(marks)[0], b"", data["gap"])
        start = 0
        for at, size in _MARK.iter_unpack(marks):
            yield Piece(at, block[start : start + size])
            start += size
