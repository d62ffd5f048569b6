"""Keeps the archive within its limits: the oldest segments are removed first, and no other segment builds on them."""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from responses_gateway.inspection.archive import search_text
from responses_gateway.inspection.recording.zstd import unpacked

_PER_WRITE = 8
"""Segments that go at most after one turn was written, so that a lowered limit does not hold up what follows."""

LONGEST_LOG = 256 << 20
"""Bytes of write-ahead log beyond which nothing more is written: somebody reads, and does not come to an end."""

_LONG_LOG = 64 << 20
"""Bytes of it beyond which it is copied into the file as soon as nobody reads."""


class Limits(NamedTuple):
    """The bounds of an archive."""

    bytes: int
    age: float
    """Seconds since a segment was last added to."""


def enforce(connection: sqlite3.Connection, limits: Limits, now: float) -> int:
    """Remove what is too old or too much; returns the number of segments. Raises sqlite3.Error."""
    removed = 0
    while removed < _PER_WRITE:
        oldest = connection.execute("SELECT id, latest FROM segments ORDER BY latest LIMIT 1").fetchone()
        if oldest is None or (oldest[1] >= now - limits.age and used(connection) <= limits.bytes):
            break
        remove(connection, [oldest[0]])
        removed += 1
    if _allocated(connection) > limits.bytes:
        connection.execute("PRAGMA incremental_vacuum(1024)").fetchall()
    return removed


def make_room(connection: sqlite3.Connection) -> bool:
    """Remove the oldest segment, whatever the limits; whether there was one. Raises sqlite3.Error."""
    oldest = connection.execute("SELECT id FROM segments ORDER BY latest LIMIT 1").fetchone()
    if oldest is None:
        return False
    remove(connection, oldest)
    return True


def used(connection: sqlite3.Connection) -> int:
    """Bytes of the pages that hold something."""
    [free] = connection.execute("PRAGMA freelist_count").fetchone()
    return _allocated(connection) - int(free) * _page(connection)


def _allocated(connection: sqlite3.Connection) -> int:
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    return int(pages) * _page(connection)


def _page(connection: sqlite3.Connection) -> int:
    [size] = connection.execute("PRAGMA page_size").fetchone()
    return int(size)


def remove(connection: sqlite3.Connection, segments: Iterable[int]) -> int:
    """Remove whole segments in one transaction; returns the number of turns. Raises sqlite3.Error."""
    turns = 0
    connection.execute("BEGIN IMMEDIATE")
    try:
        for segment in segments:
            rows = connection.execute(
                "SELECT row, text FROM turns LEFT JOIN said ON turn = row WHERE segment = ?", (segment,)
            ).fetchall()
            # First what frees most: on a full disk, the index needs its space.
            connection.executemany("DELETE FROM blobs WHERE turn = ?", [(row,) for row, _ in rows])
            for row, text in rows:
                if text is not None:
                    told = search_text.indexed(unpacked(text).decode("utf-8", "replace"))
                    connection.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (row, told))
                connection.execute("DELETE FROM said WHERE turn = ?", (row,))
                connection.execute("DELETE FROM turns WHERE row = ?", (row,))
            connection.execute("DELETE FROM segments WHERE id = ?", (segment,))
            turns += len(rows)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return turns


def shorten_log(connection: sqlite3.Connection, path: Path) -> int:
    """Copy the write-ahead log into the file when it has become long; returns its size in bytes."""
    size = _log_size(path)
    if size > _LONG_LOG:
        [patience] = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute(f"PRAGMA busy_timeout = {patience}")
        size = _log_size(path)
    return size


def _log_size(path: Path) -> int:
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0
