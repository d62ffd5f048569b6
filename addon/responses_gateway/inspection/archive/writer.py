"""Puts turns into the archive: one transaction each, on the thread that calls."""

import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import zstandard

from responses_gateway.inspection.archive import said
from responses_gateway.inspection.archive.blobs import STREAM_BASE, is_stream, load
from responses_gateway.inspection.archive.delta import pack
from responses_gateway.inspection.archive.describe import columns_of
from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.identity import Identity, identity_of
from responses_gateway.inspection.archive.outcome import Outcome, outcome_of
from responses_gateway.inspection.archive.tapes import taken_apart
from responses_gateway.inspection.history import essence, input_items, new_items
from responses_gateway.inspection.record import Record
from responses_gateway.protocol.json import JsonObject, dumps

SEGMENT = 32
"""Turns that build on each other at most."""

REACH = 64 << 20
"""Bytes of bases below one blob: what opening it may cost."""

_THREADS = 1024
"""Threads that are remembered, to build on."""


@dataclass
class _Thread:
    """Where a thread's next turn goes."""

    segment: int | None = None
    turns: int = 0
    latest: dict[str, int] = field(default_factory=dict)
    """The blobs to build on, by kind: for bodies those of the turn before, for streams those of the segment's first."""

    essences: list[int] = field(default_factory=list)
    """Digests of the items of the turn before, its answer's too."""


class Writer:
    """Writes with one connection, which `prepared` has made ready."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._clock = clock
        self._threads: OrderedDict[tuple[str, str], _Thread] = OrderedDict()
        self._bodies = _Bodies()

    def put(self, document: Document) -> None:
        """Write a turn, or what is new of it since it was written before. Raises sqlite3.Error, and then nothing of it
        is written.
        """
        identity = identity_of(document.record)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        thread = key = None
        try:
            known = connection.execute(
                "SELECT row, session, thread, segment, status FROM turns WHERE id = ?", (document.id,)
            ).fetchone()
            if known is not None and known[4] != "in_progress":
                connection.execute("ROLLBACK")
                return
            identity = self._placed(identity, document.record, known)
            key = identity.session, identity.thread
            thread = self._thread(key)
            before = replace(thread, latest=dict(thread.latest))
            self._put(document, identity, thread, known)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if thread is not None and key is not None:
                self._threads[key] = before
            self._bodies.clear()
            raise

    def _put(self, document: Document, identity: Identity, thread: _Thread, known: tuple[Any, ...] | None) -> None:
        """Both rows and blobs."""
        connection, record = self._connection, document.record
        items = input_items(record)
        digests = [hash(essence(item)) for item in items]
        new = list(new_items(digests, thread.essences))
        if known is None:
            segment = self._segment(thread)
            [row] = connection.execute("SELECT coalesce(max(row), 0) + 1 FROM turns").fetchone()
        else:
            row, segment = known[0], known[3]
        written = self._write_blobs(document, row, thread)
        outcome = outcome_of(record) if document.is_over else Outcome("", [], [])
        values = columns_of(document, identity, [items[at] for at in new], outcome)
        values |= {
            "row": row,
            "segment": segment,
            "pid": os.getpid(),
            "new": dumps(new).decode(),
            "opening": opening_of(record),
            "stored": written,
        }
        self._upsert(values)
        connection.execute("UPDATE segments SET latest = ? WHERE id = ?", (self._clock(), segment))
        if document.is_over:
            self._index(row, said.texts_of([*(items[at] for at in new), *outcome.items]))
            thread.essences = [*digests, *(hash(essence(item)) for item in outcome.items)]

    def _upsert(self, values: JsonObject) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        changes = ", ".join(
            f"{name} = excluded.{name}" if name != "stored" else "stored = stored + excluded.stored"
            for name in values
            if name not in ("id", "row", "segment")
        )
        self._connection.execute(
            f"INSERT INTO turns ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changes}",  # noqa: S608
            list(values.values()),
        )

    def _index(self, row: int, text: str) -> None:
        packed = zstandard.ZstdCompressor(level=9).compress(text.encode("utf-8", "replace"))
        self._connection.execute("INSERT INTO said (turn, text) VALUES (?, ?)", (row, packed))
        self._connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, said.indexed(text)))

    # Where it goes ----------------------------------------------------------------------------------------------------

    def _placed(self, identity: Identity, record: Record, known: tuple[Any, ...] | None) -> Identity:
        """The identity with a session: of a client that names none, turns that go on from each other are one."""
        if known is not None:
            return replace(identity, session=known[1], thread=known[2])
        if identity.session:
            return identity
        found = self._predecessor(record)
        if found is None:
            name = f"{opening_of(record)}-{record.facts['opened']:.0f}"
            return replace(identity, session=name, thread=name)
        return replace(identity, session=found[0], thread=found[1])

    def _predecessor(self, record: Record) -> tuple[str, str] | None:
        request = record.request_json
        previous = request.get("previous_response_id") if isinstance(request, dict) else None
        query, value = "response = ?", previous
        if not isinstance(previous, str) or not previous:
            goes_on = any(
                isinstance(item, dict) and (item.get("role") == "assistant" or item.get("call_id"))
                for item in input_items(record)
            )
            if not goes_on:
                return None
            query, value = "opening = ? AND opened < ?", opening_of(record)
        values = (value, record.facts["opened"])[: query.count("?")]
        found: tuple[str, str] | None = self._connection.execute(
            f"SELECT session, thread FROM turns WHERE {query} ORDER BY opened DESC LIMIT 1",  # noqa: S608
            values,
        ).fetchone()
        return found

    def _thread(self, key: tuple[str, str]) -> _Thread:
        thread = self._threads.get(key) or _Thread(essences=self._essences(key))
        self._threads[key] = thread
        self._threads.move_to_end(key)
        while len(self._threads) > _THREADS:
            self._threads.popitem(last=False)
        return thread

    def _essences(self, key: tuple[str, str]) -> list[int]:
        """What the last turn of a thread that another process wrote had said."""
        row = self._connection.execute(
            "SELECT blobs.id FROM turns JOIN blobs ON blobs.turn = turns.row AND name = 'request'"
            " WHERE session = ? AND thread = ? ORDER BY opened DESC LIMIT 1",
            key,
        ).fetchone()
        if row is None:
            return []
        try:
            request = load(self._connection, row[0])
        except ValueError:
            return []
        record = Record({}, request, [], None)
        return [hash(essence(item)) for item in input_items(record)]

    def _segment(self, thread: _Thread) -> int:
        """The segment of the thread's next turn."""
        connection = self._connection
        alive = (
            thread.segment is not None
            and thread.turns < SEGMENT
            and connection.execute("UPDATE segments SET turns = turns + 1 WHERE id = ?", (thread.segment,)).rowcount
        )
        if not alive:
            # Another process may have deleted it.
            thread.latest.clear()
            thread.turns = 0
            thread.segment = connection.execute(
                "INSERT INTO segments (turns, latest) VALUES (1, ?)", (self._clock(),)
            ).lastrowid
        thread.turns += 1
        assert thread.segment is not None  # noqa: S101 (an insertion has a row)
        return thread.segment

    # Bytes ------------------------------------------------------------------------------------------------------------

    def _write_blobs(self, document: Document, row: int, thread: _Thread) -> int:
        """Write those parts that are not there yet; returns how many bytes they take."""
        known = dict(self._connection.execute("SELECT name, id FROM blobs WHERE turn = ?", (row,)).fetchall())
        bodies = _parts(document)
        if document.is_over and "early" in known:
            self._connection.execute("DELETE FROM blobs WHERE id = ?", (known["early"],))
        written = 0
        for name, body in bodies.items():
            if name not in known:
                written += self._write_blob(row, name, body, thread, known)
        return written

    def _write_blob(self, row: int, name: str, body: bytes, thread: _Thread, known: dict[str, int]) -> int:
        kind = f"{name.partition('/')[0]}{'/marks' if name.endswith('/marks') else ''}"
        base = thread.latest.get(kind)
        if base is None and kind == "chat":
            base = known.get("request")
        below, depth, reach = self._base(base, name)
        if reach > REACH:
            base, below, depth, reach = None, b"", 0, 0
        packed = pack(body, below)
        values = (row, name, base if below else None, depth, reach, packed.head, packed.tail, len(body), packed.data)
        blob = self._connection.execute(
            "INSERT INTO blobs (turn, name, base, depth, reach, head, tail, size, data)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        ).lastrowid
        assert blob is not None  # noqa: S101 (an insertion has a row)
        known[name] = blob
        if not is_stream(name):
            thread.latest[kind] = blob
            self._bodies.add(blob, body)
        elif body and name != "early":
            thread.latest.setdefault(kind, blob)
        return len(packed.data)

    def _base(self, blob: int | None, name: str) -> tuple[bytes, int, int]:
        """The bytes to build on, how many bases lie below the new blob, and their bytes."""
        row = None
        if blob is not None:
            row = self._connection.execute("SELECT depth, reach, size FROM blobs WHERE id = ?", (blob,)).fetchone()
        if blob is None or row is None:
            return b"", 0, 0
        depth, reach, size = row
        body = self._bodies.get(blob)
        if body is None:
            body = load(self._connection, blob)
            self._bodies.add(blob, body)
        return body[:STREAM_BASE] if is_stream(name) else body, depth + 1, reach + size


class _Bodies:
    """The bodies that were written last: most are what the next one builds on."""

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
        """Forget all: what a transaction that failed wrote is not there."""
        self._bodies.clear()
        self._size = 0


def _parts(document: Document) -> dict[str, bytes]:
    """All that is kept of a turn, by name. `early` stands for `facts` until it is over."""
    record = document.record
    parts = {"request": record.request or b""}
    parts |= {f"chat/{one['number']}": one["body"] for one in record.rounds}
    rounds = [{name: one[name] for name in one if name not in ("body", "chunks")} for one in record.rounds]
    facts = dumps({"facts": record.facts, "rounds": rounds})
    if not document.is_over:
        return parts | {"early": facts}
    tapes = {f"chunks/{one['number']}": one["chunks"] for one in record.rounds} | {"events": record.events}
    for name, tape in tapes.items():
        if tape is not None:
            parts[name], parts[f"{name}/marks"] = taken_apart(tape)
    return parts | {"facts": facts, "shell": document.shell}


def opening_of(record: Record) -> str:
    """A digest of how the conversation begins: instructions, and all up to the first words of a user."""
    request = record.request_json if isinstance(record.request_json, dict) else {}
    digest = blake2b(dumps(request.get("instructions")), digest_size=8)
    for item in input_items(record):
        digest.update(essence(item).encode("utf-8", "replace"))
        if isinstance(item, dict) and item.get("role") == "user":
            break
    return digest.hexdigest()
