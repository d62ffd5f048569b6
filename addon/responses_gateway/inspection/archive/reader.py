"""Reads the archive: sessions, turns, search and totals, for pages, commands and other processes."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from responses_gateway.inspection.archive import search_text
from responses_gateway.inspection.archive.file import ArchiveError, opened_to_read
from responses_gateway.inspection.archive.query import SESSION_COLUMNS, SUMS, condition
from responses_gateway.inspection.archive.records import parts_in, record_of
from responses_gateway.inspection.archive.rows import (
    COLUMNS,
    Filter,
    Hit,
    Session,
    Size,
    Total,
    Turn,
    Values,
    WholeTurn,
    turn_of,
)
from responses_gateway.inspection.recording.zstd import unpacked
from responses_gateway.protocol.json import loads

type Read = Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]]
"""Runs a query with named values."""

_EVERYTHING = Filter()


class Archive:
    """Reads the file at `path`; the gateway may write into it meanwhile. Making one takes about a millisecond.

    Every method may wait for the disk, may be called from any thread, and raises ArchiveError when the file cannot be
    read.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = opened_to_read(path)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # Lists ------------------------------------------------------------------------------------------------------------

    def sessions(self, which: Filter = _EVERYTHING, *, limit: int = 100, offset: int = 0) -> list[Session]:
        """The sessions that have turns which count, summed up over these turns; the one with the latest is first."""
        where, values = condition(which)
        with self._reading() as read:
            rows = read(
                f"SELECT {SESSION_COLUMNS} FROM turns WHERE {where} GROUP BY session"  # noqa: S608
                " ORDER BY max(opened) DESC LIMIT :limit OFFSET :offset",
                {**values, "limit": limit, "offset": offset},
            )
            return [_session(row, read) for row in rows]

    def session(self, session: str) -> Session | None:
        """One session, all of its turns; None when there is none of that id."""
        found = self.sessions(Filter(session=session), limit=1)
        return found[0] if found else None

    def turns(self, session: str) -> list[Turn]:
        """The turns of a session in the order in which they began, those of its sub-agents among them."""
        return self.find(Filter(session=session), limit=-1, newest_first=False)

    def find(
        self, which: Filter = _EVERYTHING, *, limit: int = 100, offset: int = 0, newest_first: bool = True
    ) -> list[Turn]:
        """The turns that count; `limit` -1: all of them."""
        where, values = condition(which)
        order = "DESC" if newest_first else "ASC"
        with self._reading() as read:
            rows = read(
                f"SELECT {COLUMNS} FROM turns WHERE {where} ORDER BY opened {order}, row {order}"  # noqa: S608
                " LIMIT :limit OFFSET :offset",
                {**values, "limit": limit, "offset": offset},
            )
            return [turn_of(row) for row in rows]

    def totals(self, which: Filter = _EVERYTHING) -> list[Total]:
        """The sums of the turns that the filter leaves, by day and model."""
        where, values = condition(which)
        with self._reading() as read:
            rows = read(
                "SELECT date(opened, 'unixepoch') AS day,"  # noqa: S608
                f" CASE upstream_model WHEN '' THEN model ELSE upstream_model END AS name, {SUMS}"
                f" FROM turns WHERE {where} GROUP BY day, name ORDER BY day, name",
                values,
            )
            return [Total(*row) for row in rows]

    def values(self) -> Values:
        """What there is to filter by."""
        with self._reading() as read:
            models = read("SELECT model FROM turns UNION SELECT upstream_model FROM turns ORDER BY 1", {})
            clients = read("SELECT DISTINCT client FROM turns ORDER BY 1", {})
            return Values([name for (name,) in models if name], [name for (name,) in clients if name])

    def size(self) -> Size:
        """How full it is."""
        with self._reading() as read:
            [(turns, sessions, original)] = read(
                "SELECT count(*), count(DISTINCT session), coalesce(sum(size), 0) FROM turns", {}
            )
            [(pages,)], [(free,)], [(page,)] = (
                read(f"PRAGMA {name}", {}) for name in ("page_count", "freelist_count", "page_size")
            )
            return Size(turns, sessions, (pages - free) * page, original)

    # One turn ---------------------------------------------------------------------------------------------------------

    def turn(self, turn: str) -> WholeTurn | None:
        """A turn with every byte that was kept; None when there is none of that id."""
        with self._reading() as read, self._one_state():
            rows = read(f"SELECT row, new, {COLUMNS} FROM turns WHERE id = :id", {"id": turn})  # noqa: S608
            if not rows:
                return None
            row, new, *columns = rows[0]
            try:
                parts = parts_in(self._connection, row)
                record = record_of(parts)
            except (ValueError, LookupError, TypeError) as error:
                raise ArchiveError(f"the turn {turn} cannot be read: {error}") from error
            return WholeTurn(turn_of(tuple(columns)), record, loads(new), parts.get("shell", b""))

    def turn_row(self, turn: str) -> tuple[Turn, list[int]] | None:
        """A turn without its bytes, and the indexes of the input's items that came with it; None when there is none of
        that id.
        """
        with self._reading() as read:
            rows = read(f"SELECT new, {COLUMNS} FROM turns WHERE id = :id", {"id": turn})  # noqa: S608
            return (turn_of(rows[0][1:]), loads(rows[0][0])) if rows else None

    def turn_in_flow(self, flow: str) -> Turn | None:
        """The latest turn that was in a flow of mitmproxy."""
        with self._reading() as read:
            query = f"SELECT {COLUMNS} FROM turns WHERE flow = :flow ORDER BY opened DESC LIMIT 1"  # noqa: S608
            rows = read(query, {"flow": flow})
            return turn_of(rows[0]) if rows else None

    def turn_before(self, turn: Turn) -> Turn | None:
        """The turn before it in the same thread."""
        with self._reading() as read:
            rows = read(
                f"SELECT {COLUMNS} FROM turns"  # noqa: S608
                " WHERE session = :session AND thread = :thread AND opened < :opened"
                " ORDER BY opened DESC LIMIT 1",
                {"session": turn.session, "thread": turn.thread, "opened": turn.opened},
            )
            return turn_of(rows[0]) if rows else None

    def turn_after(self, turn: Turn) -> Turn | None:
        """The turn after it in the same thread."""
        with self._reading() as read:
            rows = read(
                f"SELECT {COLUMNS} FROM turns"  # noqa: S608
                " WHERE session = :session AND thread = :thread AND opened > :opened"
                " ORDER BY opened LIMIT 1",
                {"session": turn.session, "thread": turn.thread, "opened": turn.opened},
            )
            return turn_of(rows[0]) if rows else None

    # Names ------------------------------------------------------------------------------------------------------------

    def session_names(self, start: str) -> list[str]:
        """Ids of the sessions whose id begins so."""
        with self._reading() as read:
            query = "SELECT DISTINCT session FROM turns WHERE substr(session, 1, length(:start)) = :start"
            return [name for (name,) in read(query, {"start": start})]

    def names(self, start: str) -> list[str]:
        """Ids of the sessions and turns whose id begins so."""
        with self._reading() as read:
            query = "SELECT id FROM turns WHERE substr(id, 1, length(:start)) = :start"
            turns = [name for (name,) in read(query, {"start": start})]
        return [*self.session_names(start), *turns]

    # Search -----------------------------------------------------------------------------------------------------------

    def search(self, query: str, which: Filter = _EVERYTHING, *, limit: int = 50, offset: int = 0) -> list[Hit]:
        """The turns in which something was said, newest first: `query` is as in `Filter`."""
        match = search_text.match_of(query)
        if not match:
            return []
        where, values = condition(which)
        with self._reading() as read:
            rows = read(
                f"SELECT said.text, {COLUMNS} FROM turns JOIN said ON said.turn = row WHERE row IN"  # noqa: S608
                f" (SELECT rowid FROM words WHERE words MATCH :match) AND {where}"
                " ORDER BY opened DESC LIMIT :limit OFFSET :offset",
                {**values, "match": match, "limit": limit, "offset": offset},
            )
        hits = []
        for text, *columns in rows:
            told = unpacked(text).decode("utf-8", "replace")
            hits.append(Hit(turn_of(tuple(columns)), *search_text.excerpt(told, query)))
        return hits

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Read]:
        with self._lock:
            try:
                yield self._read
            except sqlite3.Error as error:
                raise ArchiveError(f"the archive cannot be read: {error}") from error

    @contextlib.contextmanager
    def _one_state(self) -> Iterator[None]:
        """All that is read within is of one moment: a turn that ends meanwhile has other blobs then."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def _read(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows at once: a reader that stays in the middle keeps the log from being shortened."""
        return self._connection.execute(query, values).fetchall()


def _session(row: tuple[Any, ...], read: Read) -> Session:
    """A session's sums, with what its own thread says of it."""
    session, models, *sums = row
    [(title, client, version)] = read(
        "SELECT coalesce((SELECT title FROM turns WHERE session = :id AND title <> '' AND parent = ''"
        " ORDER BY opened LIMIT 1), ''), client, version FROM turns WHERE session = :id ORDER BY opened LIMIT 1",
        {"id": session},
    )
    return Session(session, title, client, version, sorted(set(loads(models))), *sums)
