"""Makes, opens and checks the archive's file."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from responses_gateway.inspection.archive.schema import SCHEMA, SCHEMA_VERSION
from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)

BUSY = 5.0
"""Seconds to wait for another process's transaction."""

LOG_LIMIT = 16 << 20
"""Bytes that the write-ahead log keeps after it was copied."""

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class ArchiveError(Exception):
    """Why an archive cannot be used; a sentence for people."""


def opened_to_write(path: Path) -> sqlite3.Connection:
    """A connection to the file at `path`, which is made, for its owner only, when it is missing.

    One that is corrupt is set aside. Raises ArchiveError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ArchiveError(f"{path} cannot be used: {error.strerror}") from error
    try:
        return _connection(path)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise ArchiveError(f"{path} cannot be used: {error}") from error
        set_aside(path, error)
    try:
        return _connection(path)
    except sqlite3.DatabaseError as error:
        raise ArchiveError(f"{path} cannot be used: {error}") from error


def _connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        # Before the first table, or never.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def opened_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Raises ArchiveError."""
    if not path.exists():
        raise ArchiveError(f"{path} does not exist: nothing has been kept there")
    try:
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = 1")
        [version] = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    if version != SCHEMA_VERSION:
        connection.close()
        raise ArchiveError(f"{path} is no archive of this version of the gateway (schema {version})")
    return connection


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether an error means that the file cannot be used any more."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def set_aside(path: Path, error: sqlite3.Error) -> None:
    """Give a corrupt file another name."""
    aside = path.with_name(f"{path.name}.corrupt-{time.time():.0f}")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    logger.error("The archive %s is corrupt (%s); it is now %s, and a new one begins.", path, error, aside.name)


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file. Raises ArchiveError for a file of a later gateway."""
    connection.execute("BEGIN IMMEDIATE")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        connection.execute("ROLLBACK")
        raise ArchiveError(f"the archive was written by a later version of this gateway (schema {version})")
    if version == 0:
        for statement in _statements(SCHEMA):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit the transaction that keeps two starting processes apart."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
