"""Writes turns into the archive: one transaction each, on the thread of the caller."""

import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from responses_gateway.inspection.archive import search_text
from responses_gateway.inspection.archive.blobs import load
from responses_gateway.inspection.archive.document import Document, News
from responses_gateway.inspection.archive.identity import Identity, identity_of
from responses_gateway.inspection.archive.outcome import Outcome, outcome_of
from responses_gateway.inspection.archive.request_summary import (
    RequestSummary,
    continues_conversation,
    digests_of,
    opening_digest,
)
from responses_gateway.inspection.archive.segments import Segment, Segments, parts_of
from responses_gateway.inspection.archive.turn_columns import columns_of
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.zstd import packed
from responses_gateway.inspection.request_items import input_items
from responses_gateway.protocol.json import JsonObject

_SAID_LEVEL = 3
_THREADS = 1024
"""Threads that are remembered, to build on."""

_RUNNING = 256
"""Turns in progress of which the beginning is remembered."""


@dataclass
class _Thread:
    """What is remembered of a client's thread."""

    segment: Segment = field(default_factory=Segment)
    digests: list[int] = field(default_factory=list)
    """Of the items of the turn before, its answer's too."""


class _Row(NamedTuple):
    """A turn that is in the archive already."""

    row: int
    segment: int
    session: str
    thread: str
    ended: int


class Writer:
    """Writes with a connection of `opened_to_write`."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._clock = clock
        self._segments = Segments(connection)
        self._threads: OrderedDict[tuple[str, str], _Thread] = OrderedDict()
        self._begun: OrderedDict[str, RequestSummary] = OrderedDict()

    def put(self, document: Document) -> None:
        """Write a turn, or what is new of it since it was written before. Raises sqlite3.Error, and then nothing of it
        is written.
        """
        with self._transaction():
            self._put(document)

    def add(self, news: News) -> None:
        """Write what came of turns that run. Raises sqlite3.Error, and then nothing of it is written.

        Turns whose beginning is not there, or that are over, are left alone.
        """
        with self._transaction():
            known = {turn: self._known(turn) for turn in {one.turn for one in news.streams}}
            for one in news.streams:
                row = known[one.turn]
                if row is not None and row.ended < 0:
                    self._segments.add(row.row, one)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            # What they remember may not be there; the next turns begin afresh.
            self._threads.clear()
            self._segments.forget()
            raise

    def _put(self, document: Document) -> None:
        """Rows and blobs."""
        connection, record, now = self._connection, document.record, self._clock()
        known = self._known(document.id)
        if known is not None and known.ended >= 0:
            return
        begun = self._begun.pop(document.id, None)
        identity = begun.identity if begun is not None else self._placed(identity_of(record), record, known)
        thread = self._thread((identity.session, identity.thread), record.facts["opened"])
        if begun is None:
            begun = RequestSummary.of(record, identity, thread.digests)
        segment = known.segment if known is not None else self._segments.enter(thread.segment, now)
        parts = parts_of(document)
        outcome = outcome_of(record, parts.get("events", b"")) if document.is_over else Outcome("", [], [])
        row = known.row if known is not None else self._next_row()
        # A turn that another one of its thread overtook may belong to an earlier segment than the thread does now.
        latest = thread.segment.latest if thread.segment.id == segment else {}
        self._segments.write(parts, row, latest)
        columns = columns_of(document, begun, outcome) | self._segments.sizes(row)
        self._upsert(columns | {"row": row, "segment": segment, "pid": os.getpid()})
        connection.execute("UPDATE segments SET latest = ? WHERE id = ?", (now, segment))
        if document.is_over:
            self._index(row, "\n".join((begun.text, search_text.texts_of(outcome.items))))
            thread.digests = [*begun.digests, *digests_of(outcome.items)]
        else:
            self._begun[document.id] = begun
            while len(self._begun) > _RUNNING:
                self._begun.popitem(last=False)

    def _known(self, turn: str) -> _Row | None:
        query = "SELECT row, segment, session, thread, ended FROM turns WHERE id = ?"
        row = self._connection.execute(query, (turn,)).fetchone()
        return _Row(*row) if row is not None else None

    def _next_row(self) -> int:
        [row] = self._connection.execute("SELECT coalesce(max(row), 0) + 1 FROM turns").fetchone()
        return int(row)

    def _upsert(self, values: JsonObject) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        changes = ", ".join(f"{name} = excluded.{name}" for name in values if name not in ("id", "row", "segment"))
        self._connection.execute(
            f"INSERT INTO turns ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changes}",  # noqa: S608
            [_storable(value) for value in values.values()],
        )

    def _index(self, row: int, text: str) -> None:
        told = text.encode("utf-8", "replace")
        self._connection.execute("INSERT INTO said (turn, text) VALUES (?, ?)", (row, packed(told, _SAID_LEVEL)))
        words = search_text.indexed(told.decode())
        self._connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, words))

    # Where it goes ----------------------------------------------------------------------------------------------------

    def _placed(self, identity: Identity, record: RecordedTurn, known: _Row | None) -> Identity:
        """The identity with a session: of a client that names none, turns that go on from each other are one."""
        if known is not None:
            return replace(identity, session=known.session, thread=known.thread)
        if identity.session:
            return identity
        found = self._predecessor(record)
        if found is None:
            name = f"{opening_digest(record)}-{record.facts['opened']:.0f}"
            return replace(identity, session=name, thread=name)
        return replace(identity, session=found[0], thread=found[1])

    def _predecessor(self, record: RecordedTurn) -> tuple[str, str] | None:
        """Session and thread of the turn that this one goes on from."""
        request = record.request_json
        previous = request.get("previous_response_id") if isinstance(request, dict) else None
        values: tuple[Any, ...] = (previous,)
        where = "response = ?"
        if not isinstance(previous, str) or not previous:
            if not continues_conversation(record):
                return None
            where, values = "opening = ? AND opened < ?", (opening_digest(record), record.facts["opened"])
        query = f"SELECT session, thread FROM turns WHERE {where} ORDER BY opened DESC LIMIT 1"  # noqa: S608
        found: tuple[str, str] | None = self._connection.execute(query, values).fetchone()
        return found

    def _thread(self, key: tuple[str, str], opened: float) -> _Thread:
        thread = self._threads.get(key) or _Thread(digests=self._digests(key, opened))
        self._threads[key] = thread
        self._threads.move_to_end(key)
        while len(self._threads) > _THREADS:
            self._threads.popitem(last=False)
        return thread

    def _digests(self, key: tuple[str, str], opened: float) -> list[int]:
        """What the last turn before a time had said, in a thread that is not remembered; its answer is told from the
        next request.
        """
        row = self._connection.execute(
            "SELECT blobs.id FROM turns JOIN blobs ON blobs.turn = turns.row AND name = 'request'"
            " WHERE session = ? AND thread = ? AND opened < ? ORDER BY opened DESC LIMIT 1",
            (*key, opened),
        ).fetchone()
        if row is None:
            return []
        try:
            request = load(self._connection, row[0])
        except ValueError:
            return []
        return digests_of(input_items(RecordedTurn({}, request, [], None)))


def _storable(value: object) -> object:
    """Upstreams and clients may say what is no text for SQLite."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
