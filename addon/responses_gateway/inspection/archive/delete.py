"""Deletes sessions for good, from any process."""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from responses_gateway.inspection.archive.file import ArchiveError, opened_to_write
from responses_gateway.inspection.archive.limits import remove


def delete_sessions(path: Path, sessions: Iterable[str]) -> int:
    """Delete all turns of sessions, and overwrite what they were in the file; returns their number. Raises
    ArchiveError.
    """
    with contextlib.closing(opened_to_write(path)) as connection:
        try:
            connection.execute("PRAGMA secure_delete = ON")
            segments = [
                segment
                for session in sessions
                for (segment,) in connection.execute("SELECT DISTINCT segment FROM turns WHERE session = ?", (session,))
            ]
            turns = remove(connection, segments)
            # The index keeps words of what was deleted until it is put together anew.
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise ArchiveError(f"{path}: {error}") from error
        return turns
