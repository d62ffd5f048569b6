"""Writes turns into the archive on a thread of its own, so that no stream waits for it. Lost turns are counted."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from responses_gateway.inspection.archive.abandoned import end_abandoned
from responses_gateway.inspection.archive.document import Document, News
from responses_gateway.inspection.archive.file import ArchiveError, is_corrupt, opened_to_write, set_aside
from responses_gateway.inspection.archive.limits import LONGEST_LOG, Limits, enforce, make_room, shorten_log
from responses_gateway.inspection.archive.writer import Writer
from responses_gateway.security.terminal import get_logger
from responses_gateway.state.age_clock import AgeClock

logger = get_logger(__name__)

WAITING = 1000
"""Turns that wait to be written at most."""

WAITING_BYTES = 128 << 20

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_ROOMS = 8
"""Segments that go at most to make room for one turn."""

_PATIENCE = 0.5
"""Seconds until a locked file is tried again."""

_LAST_TURNS = 10.0
"""Seconds that an end waits for what is still to be written."""


@dataclass
class Counts:
    """What became of the turns."""

    kept: int = 0
    lost: int = 0
    reason: str = ""
    """Why the last one was lost."""


class Archivist:
    """Takes documents and writes them into the file at `path`, which is made when it is missing.

    `on_kept` is called on the writing thread with each document of a turn that is over, once it is safe.
    """

    def __init__(self, path: Path, limits: Limits, on_kept: Callable[[Document], None] = lambda _: None) -> None:
        self.path = path
        self.counts = Counts()
        self._limits = limits
        self._on_kept = on_kept
        self._age_clock = AgeClock()
        self._waiting: deque[tuple[Document | News, int]] = deque()
        """What is to be written, and its size."""
        self._size = 0
        self._change = threading.Condition()
        self._is_closing = False
        self._is_losing = False
        """Whether the last turn was lost; then it has been said."""
        self._connection: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self._file: tuple[int, int] | None = None
        """Device and number of the file that is open."""
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._thread.start()

    def put(self, document: Document | News) -> bool:
        """Keep a turn, or what came of some that run, soon; whether it is taken. Never waits: turns that are over and
        too many are counted as lost.
        """
        size = document.size
        with self._change:
            crowd = len(self._waiting) / WAITING, self._size / WAITING_BYTES
            if not document.is_over and (max(crowd) > 0.5 or self._is_closing):
                return False
            if max(crowd) < 1 and not self._is_closing:
                self._waiting.append((document, size))
                self._size += size
                self._change.notify_all()
                return True
        self._lose("the archive is closed" if self._is_closing else "turns come faster than they can be written")
        return False

    def finish(self) -> None:
        """Take nothing more; what waits is still written."""
        with self._change:
            self._is_closing = True
            self._change.notify_all()

    def close(self) -> None:
        """Finish, and wait until all is written, though not for ever."""
        self.finish()
        self._thread.join(_LAST_TURNS)
        if self._thread.is_alive():
            self._lose("the gateway ended before they were written", len(self._waiting))

    # The thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (document := self._next()) is not None:
                self._keep(document)
                with self._change:
                    _, size = self._waiting.popleft()
                    self._size -= size
        finally:
            if self._connection is not None:
                self._connection.close()

    def _next(self) -> Document | News | None:
        """What is to be written next, which stays first in the queue; None at the end."""
        self._open_early()
        with self._change:
            while not self._waiting and not self._is_closing:
                self._change.wait()
            return self._waiting[0][0] if self._waiting else None

    def _open_early(self) -> None:
        """Make the file before there is a turn, so that others find it."""
        if self._writer is None:
            try:
                self._open()
            except (ArchiveError, sqlite3.Error) as error:
                logger.debug("the archive is not open yet: %s", error)

    def _open(self) -> Writer:
        if self._writer is not None and self._connection is not None and _identity(self.path) != self._file:
            logger.warning("The archive %s was taken away; a new one begins.", self.path)
            self._connection.close()
            self._writer = None
        if self._writer is None:
            self._connection = opened_to_write(self.path)
            self._file = _identity(self.path)
            writer = Writer(self._connection)
            end_abandoned(self._connection, writer)
            self._writer = writer
        return self._writer

    def _keep(self, document: Document | News) -> None:
        """Write one of them, whatever it takes; or lose it."""
        tries = 0
        while True:
            try:
                self._write(document)
            except sqlite3.Error as error:
                tries += 1
                if not self._can_go_on(error, tries):
                    return self._lose_written(document, f"{self.path}: {error}")
            except ArchiveError as error:
                return self._lose_written(document, str(error))
            except Exception as error:
                logger.debug("a turn could not be archived", exc_info=True)
                return self._lose_written(document, f"a turn cannot be read: {error!r}")
            else:
                return self._have_kept(document)

    def _write(self, document: Document | News) -> None:
        writer = self._open()
        connection = self._connection
        assert connection is not None  # noqa: S101 (`_open` made it)
        if shorten_log(connection, self.path) > LONGEST_LOG:
            raise ArchiveError(f"another program reads {self.path} without end, so that its log cannot be shortened")
        if isinstance(document, News):
            writer.add(document)
        else:
            writer.put(document)
        enforce(connection, self._limits, self._age_clock())

    def _can_go_on(self, error: sqlite3.Error, tries: int) -> bool:
        """Remove the cause of an error if that is possible; whether to try again."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _LOCKED:
            with self._change:
                return not self._change.wait_for(lambda: self._is_closing, _PATIENCE)
        connection = self._connection
        if is_corrupt(error) and tries == 1 and connection is not None:
            connection.close()
            self._connection = self._writer = None
            set_aside(self.path, error)
            return True
        if code == sqlite3.SQLITE_FULL and tries <= _ROOMS and connection is not None:
            try:
                return make_room(connection)
            except sqlite3.Error:
                return False
        return False

    def _have_kept(self, document: Document | News) -> None:
        if isinstance(document, Document) and document.is_over:
            self.counts.kept += 1
            if self._is_losing:
                self._is_losing = False
                logger.warning("The archive keeps turns again; %d were lost.", self.counts.lost)
            self._on_kept(document)

    def _lose_written(self, document: Document | News, reason: str) -> None:
        if document.is_over:
            self._lose(reason)

    def _lose(self, reason: str, count: int = 1) -> None:
        self.counts.lost += count
        self.counts.reason = reason
        if not self._is_losing:
            self._is_losing = True
            logger.error("Turns are not kept in the archive: %s. gateway.stats counts them.", reason)


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
