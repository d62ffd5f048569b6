"""The SQLite database: its file, its connections, its write-ahead log, and the replacement of a corrupt file.

A transaction is short and in WAL mode: a commit copies a few pages to the operating system, so it survives the death of
the process, and costs well under a millisecond. Reads have a connection of their own and never wait for a writer. What
waits for the disk is copying the log into the database; the thread whose write makes the log too long does it.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from responses_gateway.security.terminal import get_logger
from responses_gateway.state.sqlite_schema import LIVE_SCHEMA, NOTES_SCHEMA, SCHEMA, SCHEMA_VERSION
from responses_gateway.state.store import StoreError

logger = get_logger(__name__)

_BUSY = 2.0
"""Seconds to wait for another process's transaction."""

_BUSY_FOR_LOG = 0.1
"""Seconds to wait for readers of the log, which can as well be emptied later."""

_SMALLEST_LOG = 1 << 20
"""Bytes; a shorter log would be copied with nearly every transaction."""

_CHECKED_AT_ONCE = 32 << 20
"""Bytes; a larger file is found to be corrupt when the bad page is read."""

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteFile:
    """The database at `path`; None keeps it in memory. Methods may be called from any thread.

    `log_limit` is how many bytes of log may collect; `clock` gives seconds since the epoch. Raises StoreError when the
    file cannot be used; one that is corrupt is set aside.
    """

    def __init__(self, path: Path | None, log_limit: int, clock: Callable[[], float]) -> None:
        self._path = path
        self._log_limit = max(log_limit, _SMALLEST_LOG)
        self._log_full = self._log_limit
        self._clock = clock
        self._write_lock = threading.RLock()
        self._read_lock = self._write_lock if path is None else threading.RLock()
        self._open()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nothing of it remains when the block or the commit fails. Raises StoreError."""
        with self._explained(), self._write_lock:
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            self._bound_log()

    def write_at_once(self, statement: str, values: tuple[object, ...]) -> bool:
        """Execute a statement, unless that has to wait for another writer; whether it was executed."""
        if not self._write_lock.acquire(blocking=False):
            return False
        try:
            with self._busy_timeout(0):
                self._writer.execute(statement, values)
            self._bound_log()
        except sqlite3.Error:
            return False
        finally:
            self._write_lock.release()
        return True

    def rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """The rows that a query finds. Raises StoreError."""
        with self._explained(), self._read_lock:
            return self._reader.execute(query, values).fetchall()

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    # The log ----------------------------------------------------------------------------------------------------------

    def _bound_log(self) -> None:
        """Copy the log into the database and begin it anew, when it has become too long.

        The first step keeps nobody from reading or writing, and leaves little to the second. While somebody reads what
        is in the log, it cannot begin anew; then that is for a later write.
        """
        if self._path is None or self._log_size(self._path) < self._log_full:
            return
        with contextlib.suppress(sqlite3.Error), self._busy_timeout(_BUSY_FOR_LOG):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._log_full = self._log_size(self._path) + self._log_limit

    @staticmethod
    def _log_size(path: Path) -> int:
        try:
            return Path(f"{path}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    @contextlib.contextmanager
    def _busy_timeout(self, seconds: float) -> Iterator[None]:
        self._writer.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        try:
            yield
        finally:
            self._writer.execute(f"PRAGMA busy_timeout = {int(_BUSY * 1000)}")

    # The file ---------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if self._path is None or error.sqlite_errorcode & 0xFF not in _CORRUPT:
                raise StoreError(f"{self._path} cannot be used: {error}") from error
            self._set_aside(self._path, error)
            self._connect()

    def _connect(self) -> None:
        if self._path is None:
            self._writer = self._reader = _connection(":memory:")
        else:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreError(f"{self._path} cannot be used: {error.strerror}") from error
            self._writer = _connection(str(self._path))
            self._reader = _connection(str(self._path))
        _prepare(self._writer)
        if self._path is not None and self._path.stat().st_size < _CHECKED_AT_ONCE:
            [problem] = self._writer.execute("PRAGMA quick_check(1)").fetchone()
            if problem != "ok":
                raise _Corrupt(problem)

    def _set_aside(self, path: Path, error: sqlite3.Error) -> None:
        for connection in (getattr(self, "_writer", None), getattr(self, "_reader", None)):
            if connection is not None:
                connection.close()
        aside = path.with_name(f"{path.name}.corrupt-{int(self._clock())}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
        logger.error("The store %s is corrupt (%s); it is now %s, and a new one begins.", path, error, aside.name)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Holds no lock itself: a corrupt file is replaced when neither a writer nor a reader uses it."""
        used = self._reader
        try:
            yield
        except sqlite3.Error as error:
            if self._path is not None and getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:
                with self._write_lock, self._read_lock:
                    if self._reader is used:
                        self._set_aside(self._path, error)
                        self._connect()
            raise StoreError(f"the store {self._path or 'in memory'}: {error}") from error


class _Corrupt(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _connection(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file; raises StoreError for a file of a later gateway."""
    if _has_all_tables(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        connection.execute("ROLLBACK")
        raise StoreError(f"the store was written by a later version of this gateway (schema {version})")
    if version == 0:
        _execute(connection, SCHEMA)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    _execute(connection, LIVE_SCHEMA)
    _execute(connection, NOTES_SCHEMA)
    connection.execute("COMMIT")


def _has_all_tables(connection: sqlite3.Connection) -> bool:
    """Whether nothing is to be made, so that another process's transaction need not be waited for."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    query = "SELECT 1 FROM sqlite_schema WHERE name = 'notes_noted'"
    return bool(version == SCHEMA_VERSION and connection.execute(query).fetchone())


def _execute(connection: sqlite3.Connection, script: str) -> None:
    """`executescript` would commit the transaction that keeps two starting processes apart."""
    for statement in _statements(script.splitlines(keepends=True)):
        connection.execute(statement)


def _statements(lines: Sequence[str]) -> Iterator[str]:
    statement = ""
    for line in lines:
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
