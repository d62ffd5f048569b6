"""Writes the bytes of turns: each part packed against an earlier one of the same segment."""

import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from responses_gateway.inspection.archive.blobs import EARLY, STREAM_BASE, early_name, is_stream, load
from responses_gateway.inspection.archive.captured_streams import bundle_stream, split_stream
from responses_gateway.inspection.archive.delta import STREAM_LEVEL, pack
from responses_gateway.inspection.archive.document import Document, StreamNews
from responses_gateway.protocol.json import dumps

LENGTH = 32
"""Turns of one segment at most."""

REACH = 64 << 20
"""Bytes of bases below one blob at most: opening it means opening them."""


@dataclass
class Segment:
    """Where the next turn of a thread goes."""

    id: int | None = None
    turns: int = 0
    latest: dict[str, int] = field(default_factory=dict)
    """The blobs to build on, by kind: for bodies those of the turn before, for streams those of the segment's first."""

    def copy(self) -> "Segment":
        return Segment(self.id, self.turns, dict(self.latest))


class Segments:
    """Opens segments and fills them, inside a transaction of the caller."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._bodies = _Bodies()

    def forget(self) -> None:
        """The transaction failed: what it wrote is not there."""
        self._bodies.clear()

    def enter(self, segment: Segment, now: float) -> int:
        """Count one more turn in; a segment that is full, or gone because another process deleted it, is followed by a
        new one. Returns its id.
        """
        connection = self._connection
        alive = segment.id is not None and segment.turns < LENGTH
        if not (
            alive and connection.execute("UPDATE segments SET turns = turns + 1 WHERE id = ?", (segment.id,)).rowcount
        ):
            segment.latest.clear()
            segment.turns = 0
            query = "INSERT INTO segments (turns, latest) VALUES (1, ?)"
            segment.id = connection.execute(query, (now,)).lastrowid
        segment.turns += 1
        assert segment.id is not None  # noqa: S101 (an insertion has a row)
        return segment.id

    def write(self, parts: Mapping[str, bytes], row: int, latest: dict[str, int]) -> None:
        """Write those parts of a turn that are not there yet. `latest` is that of the turn's segment, and is brought up
        to date.
        """
        known = dict(self._connection.execute("SELECT name, id FROM blobs WHERE turn = ?", (row,)).fetchall())
        stale = [blob for name, blob in known.items() if name == EARLY or (name.startswith(EARLY) and "facts" in parts)]
        self._connection.executemany("DELETE FROM blobs WHERE id = ?", [(blob,) for blob in stale])
        known.pop(EARLY, None)
        for name, body in parts.items():
            if name not in known:
                self._write(row, name, body, latest, known)

    def add(self, row: int, news: StreamNews) -> None:
        """Write what came of a stream of a turn that is not over."""
        self._write(row, early_name(news.name, news.number), bundle_stream(news.stream), {}, {})

    def sizes(self, row: int) -> dict[str, int]:
        """Columns of a turn: `size`, the bytes of its requests and streams, and `stored`, what all of it takes."""
        size, stored = self._connection.execute(
            "SELECT sum(CASE WHEN name IN ('early', 'facts', 'shell') OR name LIKE '%/marks' THEN 0 ELSE size END),"
            " sum(length(data)) FROM blobs WHERE turn = ?",
            (row,),
        ).fetchone()
        return {"size": size, "stored": stored}

    def _write(self, row: int, name: str, body: bytes, latest: dict[str, int], known: dict[str, int]) -> None:
        kind = f"{name.partition('/')[0]}{'/marks' if name.endswith('/marks') else ''}"
        base = latest.get(kind)
        if base is None and kind == "chat":
            base = known.get("request")
        below, depth, reach = self._base(base, name)
        if reach > REACH:
            below, depth, reach = b"", 0, 0
        packed = pack(body, below, STREAM_LEVEL if is_stream(name) else None)
        place = (row, name, base if below else None, depth, reach)
        values = (*place, packed.head, packed.tail, len(body), zlib.crc32(body), packed.data)
        blob = self._connection.execute(
            "INSERT INTO blobs (turn, name, base, depth, reach, head, tail, size, crc, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        ).lastrowid
        assert blob is not None  # noqa: S101 (an insertion has a row)
        known[name] = blob
        if not is_stream(name):
            latest[kind] = blob
            self._bodies.add(blob, body)
        elif body and not name.startswith(EARLY) and latest.setdefault(kind, blob) == blob:
            self._bodies.add(blob, body[:STREAM_BASE])

    def _base(self, blob: int | None, name: str) -> tuple[bytes, int, int]:
        """The bytes to build on, how many bases lie below the new blob, and their bytes."""
        if blob is None:
            return b"", 0, 0
        depth, reach, size = self._connection.execute(
            "SELECT depth, reach, size FROM blobs WHERE id = ?", (blob,)
        ).fetchone()
        body = self._bodies.get(blob)
        if body is None:
            body = load(self._connection, blob)
            if is_stream(name):
                body = body[:STREAM_BASE]
            self._bodies.add(blob, body)
        return body, depth + 1, reach + size


class _Bodies:
    """The bytes that were written last, because the next ones build on most of them."""

    LIMIT = 16 << 20

    def __init__(self) -> None:
        self._bodies: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0

    def get(self, blob: int) -> bytes | None:
        return self._bodies.get(blob)

    def add(self, blob: int, body: bytes) -> None:
        self._bodies[blob] = body
        self._size += len(body)
        while self._size > self.LIMIT and len(self._bodies) > 1:
            self._size -= len(self._bodies.popitem(last=False)[1])

    def clear(self) -> None:
        self._bodies.clear()
        self._size = 0


def parts_of(document: Document) -> dict[str, bytes]:
    """All that is kept of a turn, by name. Streams come when it is over; until then, `early` stands for `facts`."""
    record = document.record
    parts = {"request": record.request or b""}
    parts |= {f"chat/{one['number']}": one["body"] for one in record.rounds}
    rounds = [{name: one[name] for name in one if name not in ("body", "chunks")} for one in record.rounds]
    facts = dumps({"facts": record.facts, "rounds": rounds})
    if not document.is_over:
        return parts | {EARLY: facts}
    streams = {f"chunks/{one['number']}": one["chunks"] for one in record.rounds} | {"events": record.events}
    for name, stream in streams.items():
        if stream is not None:
            parts[name], parts[f"{name}/marks"] = split_stream(stream)
    return parts | {"facts": facts, "shell": document.shell}
