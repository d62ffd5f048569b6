"""The default store: one SQLite file, shared by all gateway processes of a user."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.packing import pack, unpack
from responses_gateway.state.sqlite_file import SqliteFile
from responses_gateway.state.sqlite_schema import CHAIN, COLUMNS
from responses_gateway.state.store import Limits, NotStorable, Record, continued

_EVICTED_PER_WRITE = 16
"""Responses that one write removes at most, so that it does not take long after a limit was lowered."""

_LOG_LIMIT = 32 << 20
"""Bytes of log at most; of a small store, an eighth is left to it."""

_MOST_USES = 10_000
"""Uses that are remembered until the next write, at most."""


class SqliteStore:
    """A Store in the file at `path`; None keeps everything in memory, for this process only.

    `clock` gives seconds since the epoch; `age_clock`, the same for what grows too old. Raises StoreError when the file
    cannot be used; one that is corrupt is set aside.
    """

    def __init__(
        self,
        path: Path | None,
        limits: Limits,
        clock: Callable[[], float] = time.time,
        age_clock: Callable[[], float] | None = None,
    ) -> None:
        log = min(_LOG_LIMIT, limits.bytes // 8) if path is not None else 0
        self._limits = replace(limits, bytes=limits.bytes - log)
        self._clock = clock
        self._age_clock = age_clock or clock
        self._file = SqliteFile(path, log, clock)
        self._uses: dict[tuple[str, str], float] = {}
        """When rows of which table were used, as far as it is not written yet."""

    # Responses --------------------------------------------------------------------------------------------------------

    def put(self, record: Record) -> None:
        response = {key: value for key, value in record.response.items() if key != "output"}
        output, header = pack(record.response["output"]), pack(response)
        previous, given = response.get("previous_response_id"), record.input
        now = self._clock()
        with self._writing() as connection:
            known = connection.execute("SELECT final FROM responses WHERE id = ?", (record.id,)).fetchone()
            if known is not None and known[0]:
                return
            if known is None and previous is not None and not _adopt(connection, previous) and record.whole is not None:
                previous, given = None, record.whole()
            size = len(given) + len(output) + len(header) + len(record.events)
            if size > self._limits.bytes:
                raise NotStorable(f"the response has {size} bytes: more than the store may hold")
            connection.execute(
                "INSERT INTO responses (id, owner, previous, live, final, children, created_at, used_at, lease, replay,"
                " size, input, output, response, events) VALUES (?, ?, ?, 1, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET final = excluded.final, used_at = excluded.used_at,"
                " lease = excluded.lease, replay = excluded.replay, size = length(input) + excluded.size - ?,"
                " output = excluded.output, response = excluded.response, events = excluded.events",
                (
                    *(record.id, record.owner, previous, record.final, now, now),
                    *(record.lease, record.replay_key, size, given, output, header, record.events, len(given)),
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO items (owner, id, response) VALUES (?, ?, ?)",
                [(record.owner, item["id"], record.id) for item in (*unpack(given), *record.response["output"])],
            )
            self._evict(connection)

    def get(self, owner: str, response_id: str) -> Record | None:
        row = self._file.rows(
            f"SELECT {COLUMNS} FROM responses WHERE id = ? AND owner = ? AND live = 1 AND created_at > ?",  # noqa: S608
            (response_id, owner, self._oldest),
        )
        record = _record(row[0]) if row else None
        if record is not None:
            self._touch("responses", response_id)
        return record

    def history(self, owner: str, response_id: str, *, output: bool = True) -> list[JsonObject] | None:
        tip = self._file.rows(
            "SELECT final FROM responses WHERE id = ? AND owner = ? AND live = 1 AND created_at > ?",
            (response_id, owner, self._oldest),
        )
        if not tip or (output and not tip[0][0]):
            return None
        items: list[JsonObject] = []
        last: list[JsonObject] = []
        for given, made in self._file.rows(CHAIN, (response_id,)):
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
            for (packed,) in self._file.rows(
                "SELECT item FROM conversation_items JOIN conversations ON conversations.id = conversation"
                " WHERE conversation_items.id = ? AND owner = ?",
                (item_id, owner),
            ):
                found[item_id] = unpack(packed)
            for given, output in self._file.rows(
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

    def add_events(self, owner: str, response_id: str, events: bytes) -> bool:
        with self._writing() as connection:
            added = connection.execute(
                "INSERT INTO live_events (response, events) SELECT id, ? FROM responses"
                " WHERE id = ? AND owner = ? AND live = 1 AND final = 0",
                (events, response_id, owner),
            )
            return added.rowcount == 1

    def live_events(self, owner: str, response_id: str, skip: int) -> list[bytes] | None:
        running = self._file.rows(
            "SELECT 1 FROM responses WHERE id = ? AND owner = ? AND live = 1 AND final = 0 AND lease > ?",
            (response_id, owner, self._clock()),
        )
        if not running:
            return None
        rows = self._file.rows(
            "SELECT events FROM live_events WHERE response = ? ORDER BY position LIMIT -1 OFFSET ?", (response_id, skip)
        )
        return [events for (events,) in rows]

    def find_replay(self, owner: str, key: str) -> Record | None:
        rows = self._file.rows(
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
        rows = self._file.rows(
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
        rows = self._file.rows(
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

    # Notes ------------------------------------------------------------------------------------------------------------

    def put_note(self, owner: str, name: str, value: str) -> None:
        with self._writing() as connection:
            # The position of what is replaced is new, so that the lowest one is that of the oldest note.
            added = connection.execute(
                "INSERT OR REPLACE INTO notes (name, owner, noted_at, value) VALUES (?, ?, ?, ?)",
                (name, owner, self._clock(), value),
            )
            most = self._limits.responses
            connection.execute("DELETE FROM notes WHERE position <= ?", ((added.lastrowid or 0) - most,))
            connection.execute("DELETE FROM notes WHERE noted_at <= ?", (self._oldest,))

    def note(self, owner: str, name: str) -> str | None:
        rows = self._file.rows(
            "SELECT value FROM notes WHERE name = ? AND owner = ? AND noted_at > ?", (name, owner, self._oldest)
        )
        return rows[0][0] if rows else None

    def is_anothers(self, owner: str, name: str) -> bool:
        rows = self._file.rows("SELECT owner FROM notes WHERE name = ? AND noted_at > ?", (name, self._oldest))
        owners = {noted_for for (noted_for,) in rows}
        return bool(owners) and owner not in owners

    def close(self) -> None:
        self._file.close()

    # The bounds -------------------------------------------------------------------------------------------------------

    @property
    def _oldest(self) -> float:
        return self._age_clock() - self._limits.age

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
        """Record a use: at once if nobody else writes, otherwise with the next write."""
        now = self._clock()
        if not self._file.write_at_once(_USED.format(table), (now, row_id)) and len(self._uses) < _MOST_USES:
            self._uses[table, row_id] = now

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._file.writing() as connection:
            while self._uses:
                (table, row_id), used_at = self._uses.popitem()
                connection.execute(_USED.format(table), (used_at, row_id))
            yield connection


_USED = "UPDATE {} SET used_at = ? WHERE id = ?"


def _adopt(connection: sqlite3.Connection, previous: str) -> bool:
    """Count one more response that continues `previous`; whether it is there."""
    return connection.execute("UPDATE responses SET children = children + 1 WHERE id = ?", (previous,)).rowcount == 1


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
