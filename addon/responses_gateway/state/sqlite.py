"""The default store: one SQLite file, shared by all gateway processes of a user.

Writes are short transactions of the calling thread in WAL mode: a commit copies a few pages to the operating system,
so it survives the death of the process, and costs well under a millisecond. What does wait for the disk, copying the
log into the database, happens in a thread. Reads have a connection of their own and never wait for a writer.
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.packing import pack, unpack
from responses_gateway.state.sqlite_schema import CHAIN, COLUMNS, SCHEMA, SCHEMA_VERSION
from responses_gateway.state.store import Limits, Record, StoreError, continued

logger = logging.getLogger(__name__)

_BUSY = 2.0
"""Seconds to wait for another process's transaction."""

_EVICTED_PER_WRITE = 16
"""So that lowering a limit does not make one write take long; each write adds one response."""

_LOG_LIMIT = 32 << 20
"""Bytes, roughly, that the log collects before it is copied."""

_TRANSACTION = 32 << 10
"""Bytes that a small transaction adds to the log: whole pages, of the indexes too."""

_CHECKED_AT_ONCE = 32 << 20
"""Bytes; a larger file is found to be corrupt when the bad page is read."""

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteStore:
    """A Store in the file at `path`; None keeps everything in memory, for this process only.

    `clock` gives seconds since the epoch. Raises StoreError when the file cannot be used; one that is corrupt is set
    aside.
    """

    def __init__(self, path: Path | None, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._write_lock = threading.Lock()
        self._read_lock = self._write_lock if path is None else threading.Lock()
        self._uncopied = 0
        self._checkpoint: threading.Thread | None = None
        self._open()

    # Responses --------------------------------------------------------------------------------------------------------

    def put(self, record: Record) -> None:
        response = {key: value for key, value in record.response.items() if key != "output"}
        output, header = pack(record.response["output"]), pack(response)
        size = len(record.input) + len(output) + len(header) + len(record.events)
        if size > self._limits.bytes:
            raise StoreError(f"the response has {size} bytes: more than the store may hold")
        ids = [item["id"] for item in (*unpack(record.input), *record.response["output"])]
        previous = response.get("previous_response_id")
        now = self._clock()
        self._uncopied += size
        with self._writing() as connection:
            known = connection.execute("SELECT final FROM responses WHERE id = ?", (record.id,)).fetchone()
            if known is not None and known[0]:
                return
            if known is None and previous is not None:
                connection.execute("UPDATE responses SET children = children + 1 WHERE id = ?", (previous,))
            connection.execute(
                "INSERT INTO responses (id, owner, previous, live, final, children, created_at, used_at, lease, replay,"
                " size, input, output, response, events) VALUES (?, ?, ?, 1, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET final = excluded.final, used_at = excluded.used_at,"
                " lease = excluded.lease, replay = excluded.replay, size = excluded.size, output = excluded.output,"
                " response = excluded.response, events = excluded.events",
                (
                    *(record.id, record.owner, previous, record.final, now, now),
                    *(record.lease, record.replay_key, size, record.input, output, header, record.events),
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO items (owner, id, response) VALUES (?, ?, ?)",
                [(record.owner, item_id, record.id) for item_id in ids],
            )
            self._evict(connection)

    def get(self, owner: str, response_id: str) -> Record | None:
        row = self._read(
            f"SELECT {COLUMNS} FROM responses WHERE id = ? AND owner = ? AND live = 1 AND created_at > ?",  # noqa: S608
            (response_id, owner, self._oldest),
        )
        record = _record(row[0]) if row else None
        if record is not None:
            self._touch("responses", response_id)
        return record

    def history(self, owner: str, response_id: str, *, output: bool = True) -> list[JsonObject] | None:
        tip = self._read(
            "SELECT final FROM responses WHERE id = ? AND owner = ? AND live = 1 AND created_at > ?",
            (response_id, owner, self._oldest),
        )
        if not tip or (output and not tip[0][0]):
            return None
        items: list[JsonObject] = []
        last: list[JsonObject] = []
        for given, made in self._read(CHAIN, (response_id,)):
            if given is None:
                return None
            items += [*last, *unpack(given)]
            last = continued(unpack(made))
        self._touch("responses", response_id)
        return [*items, *last] if output else items

    def items(self, owner: str, ids: Sequence[str]) -> dict[str, JsonObject]:
        wanted = set(ids)
        found: dict[str, JsonObject] = {}
        for item_id in wanted:
            if item_id in found:
                continue
            for (packed,) in self._read(
                "SELECT item FROM conversation_items JOIN conversations ON conversations.id = conversation"
                " WHERE conversation_items.id = ? AND owner = ?",
                (item_id, owner),
            ):
                found[item_id] = unpack(packed)
            for given, output in self._read(
                "SELECT input, output FROM responses JOIN items ON responses.id = items.response"
                " WHERE items.owner = ? AND items.id = ?",
                (owner, item_id),
            ):
                found.update((item["id"], item) for item in (*unpack(given), *unpack(output)) if item["id"] in wanted)
        return found

    def delete(self, owner: str, response_id: str) -> bool:
        with self._writing() as connection:
            known = connection.execute(
                "SELECT 1 FROM responses WHERE id = ? AND owner = ? AND live = 1", (response_id, owner)
            ).fetchone()
            if known:
                _remove(connection, response_id)
        return bool(known)

    def renew(self, owner: str, response_id: str, lease: float) -> bool:
        with self._writing() as connection:
            changed = connection.execute(
                "UPDATE responses SET lease = ? WHERE id = ? AND owner = ? AND live = 1 AND final = 0",
                (lease, response_id, owner),
            )
            return changed.rowcount == 1

    def find_replay(self, owner: str, key: str) -> Record | None:
        rows = self._read(
            f"SELECT {COLUMNS} FROM responses WHERE owner = ? AND replay = ? AND live = 1 AND final = 1"  # noqa: S608
            " AND created_at > ? ORDER BY created_at DESC LIMIT 1",
            (owner, key, self._oldest),
        )
        return _record(rows[0]) if rows else None

    # Conversations ----------------------------------------------------------------------------------------------------

    def put_conversation(self, owner: str, conversation: JsonObject) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO conversations (id, owner, used_at, object) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at, object = excluded.object",
                (conversation["id"], owner, self._clock(), pack(conversation)),
            )
            self._evict(connection)

    def get_conversation(self, owner: str, conversation_id: str) -> JsonObject | None:
        rows = self._read(
            "SELECT object FROM conversations WHERE id = ? AND owner = ? AND used_at > ?",
            (conversation_id, owner, self._oldest),
        )
        if not rows:
            return None
        self._touch("conversations", conversation_id)
        conversation: JsonObject = unpack(rows[0][0])
        return conversation

    def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        with self._writing() as connection:
            removed = connection.execute(
                "DELETE FROM conversations WHERE id = ? AND owner = ?", (conversation_id, owner)
            )
            return removed.rowcount == 1

    def conversation_items(self, owner: str, conversation_id: str) -> list[JsonObject]:
        rows = self._read(
            "SELECT item FROM conversation_items JOIN conversations ON conversations.id = conversation"
            " WHERE conversation = ? AND owner = ? ORDER BY position",
            (conversation_id, owner),
        )
        return [unpack(packed) for (packed,) in rows]

    def append_items(self, owner: str, conversation_id: str, items: Sequence[JsonObject]) -> bool:
        packed = [(conversation_id, item["id"], pack(item)) for item in items]
        with self._writing() as connection:
            known = connection.execute(
                "UPDATE conversations SET used_at = ? WHERE id = ? AND owner = ?",
                (self._clock(), conversation_id, owner),
            )
            if known.rowcount == 0:
                return False
            connection.executemany(
                "INSERT INTO conversation_items (conversation, id, item) VALUES (?, ?, ?)"
                " ON CONFLICT (conversation, id) DO NOTHING",
                packed,
            )
            self._evict(connection)
            return True

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        with self._writing() as connection:
            removed = connection.execute(
                "DELETE FROM conversation_items WHERE conversation = ? AND id = ?"
                " AND EXISTS (SELECT 1 FROM conversations WHERE id = ? AND owner = ?)",
                (conversation_id, item_id, conversation_id, owner),
            )
            return removed.rowcount == 1

    def close(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.join()
        with self._write_lock:
            self._writer.close()
        self._reader.close()

    # The bounds -------------------------------------------------------------------------------------------------------

    @property
    def _oldest(self) -> float:
        return self._clock() - self._limits.age

    def _evict(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM conversations WHERE used_at <= ?", (self._oldest,))
        for _ in range(_EVICTED_PER_WRITE):
            victim = (
                connection.execute("SELECT id FROM responses WHERE live = 0 AND children = 0 LIMIT 1").fetchone()
                or connection.execute(
                    "SELECT id FROM responses WHERE live = 1 AND final = 1 AND created_at <= ? LIMIT 1", (self._oldest,)
                ).fetchone()
            )
            if victim is not None:
                _remove(connection, victim[0])
            elif not self._evict_least_recently_used(connection):
                return

    def _evict_least_recently_used(self, connection: sqlite3.Connection) -> bool:
        """Remove one response or conversation if the store is over its bounds; whether there was one to remove."""
        live, size = connection.execute("SELECT live, bytes FROM totals").fetchone()
        if live <= self._limits.responses and size <= self._limits.bytes:
            return False
        response = connection.execute(
            "SELECT id, used_at FROM responses WHERE live = 1 AND final = 1 ORDER BY used_at LIMIT 1"
        ).fetchone()
        conversation = None
        if live <= self._limits.responses:
            conversation = connection.execute(
                "SELECT id, used_at FROM conversations ORDER BY used_at LIMIT 1"
            ).fetchone()
        if conversation is not None and (response is None or conversation[1] < response[1]):
            connection.execute("DELETE FROM conversations WHERE id = ?", (conversation[0],))
        elif response is not None:
            _remove(connection, response[0])
        return conversation is not None or response is not None

    def _touch(self, table: str, row_id: str) -> None:
        """Take note of a use; not worth waiting or failing for."""
        with contextlib.suppress(StoreError), self._writing() as connection:
            connection.execute(f"UPDATE {table} SET used_at = ? WHERE id = ?", (self._clock(), row_id))  # noqa: S608

    # The file ---------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.DatabaseError as error:
            if self._path is None or error.sqlite_errorcode & 0xFF not in _CORRUPT:
                raise StoreError(f"{self._path} cannot be used: {error}") from error
            self._set_aside(error)
            self._connect()

    def _connect(self) -> None:
        if self._path is None:
            self._writer = self._reader = self._connection(":memory:")
        else:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StoreError(f"{self._path} cannot be used: {error.strerror}") from error
            self._writer = self._connection(str(self._path))
            self._reader = self._connection(str(self._path))
        _prepare(self._writer)
        if self._path is not None and self._path.stat().st_size < _CHECKED_AT_ONCE:
            [problem] = self._writer.execute("PRAGMA quick_check(1)").fetchone()
            if problem != "ok":
                raise _Corrupt(problem)

    def _connection(self, name: str) -> sqlite3.Connection:
        connection = sqlite3.connect(name, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def _set_aside(self, error: sqlite3.Error) -> None:
        assert self._path is not None  # noqa: S101 (memory does not rot)
        for connection in (getattr(self, "_writer", None), getattr(self, "_reader", None)):
            if connection is not None:
                connection.close()
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(self._clock())}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
        logger.error("The store %s is corrupt (%s); it is now %s, and a new one begins.", self._path, error, aside.name)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nothing of it remains when the block or the commit fails."""
        with self._write_lock, self._explained():
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            self._uncopied += _TRANSACTION
            if self._uncopied >= _LOG_LIMIT and self._path is not None:
                self._begin_checkpoint(self._path)

    def _begin_checkpoint(self, path: Path) -> None:
        if self._checkpoint is None or not self._checkpoint.is_alive():
            self._uncopied = 0
            self._checkpoint = threading.Thread(target=_copy_log, args=(path,), name="store checkpoint", daemon=True)
            self._checkpoint.start()

    def _read(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._read_lock, self._explained():
            return self._reader.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._path is not None and getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:
                self._set_aside(error)
                self._connect()
            raise StoreError(f"the store {self._path or 'in memory'}: {error}") from error


def _copy_log(path: Path) -> None:
    """Copy what the log holds into the database, without keeping anyone from reading or writing."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


class _Corrupt(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file; raises StoreError for a file of a later gateway."""
    connection.execute("BEGIN IMMEDIATE")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        connection.execute("ROLLBACK")
        raise StoreError(f"the store was written by a later version of this gateway (schema {version})")
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


def _remove(connection: sqlite3.Connection, response_id: str) -> None:
    """Remove a response; while others continue it, its items stay. Ancestors that nobody needs any more go as well."""
    row = connection.execute("SELECT previous, children FROM responses WHERE id = ?", (response_id,)).fetchone()
    if row is None:
        return
    previous, children = row
    if children:
        connection.execute(
            "UPDATE responses SET live = 0, response = NULL, events = NULL, replay = NULL,"
            " size = length(input) + length(output) WHERE id = ?",
            (response_id,),
        )
        return
    connection.execute("DELETE FROM responses WHERE id = ?", (response_id,))
    if previous is not None:
        connection.execute("UPDATE responses SET children = children - 1 WHERE id = ?", (previous,))


def _record(row: tuple[Any, ...]) -> Record:
    owner, lease, replay, given, output, response, events = row
    return Record(
        owner=owner,
        response={**unpack(response), "output": unpack(output)},
        input=given,
        events=events or b"",
        lease=lease,
        replay_key=replay,
    )
