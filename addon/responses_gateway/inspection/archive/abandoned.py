"""Ends the turns of processes that are gone: they will not go on."""

import os
import sqlite3
import time
from typing import Any

from responses_gateway.inspection.archive.captured_streams import piece_times
from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.records import parts_in, record_of
from responses_gateway.inspection.archive.writer import Writer
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, frames
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)

WHY = "The gateway ended before the turn did."
_STARTED = time.time()
"""Turns that began before this process did are not its own, whatever its number."""

_TEXT = "response.output_text.delta"
_DONE = "response.output_item.done"


def end_abandoned(connection: sqlite3.Connection, writer: Writer) -> None:
    """Write the turns of processes that are gone as turns that were cut, with what came of them.

    Raises sqlite3.Error.
    """
    found = connection.execute(
        "SELECT row, flow, pid, opened FROM turns WHERE status = 'in_progress' ORDER BY opened"
    ).fetchall()
    for row, flow, pid, opened in found:
        is_gone = opened < _STARTED if pid == os.getpid() else not _is_alive(pid)
        if is_gone:
            _end(connection, writer, row, flow)


def _end(connection: sqlite3.Connection, writer: Writer, row: int, flow: str) -> None:
    try:
        record = record_of(parts_in(connection, row))
        writer.put(Document(flow, _cut(record), b""))
    except sqlite3.Error:
        raise
    except Exception:
        logger.debug("an abandoned turn cannot be read", exc_info=True)
        connection.execute("UPDATE turns SET status = 'cut', error = ? WHERE row = ?", (WHY, row))


def _cut(record: RecordedTurn) -> RecordedTurn:
    """A turn of which nothing more comes, with the facts that are told from its streams."""
    seen: JsonObject = {"first_byte": -1, "first_token": -1, "first_text": -1, "calls": 0}
    streams = [one["chunks"] for one in record.rounds]
    times = [at for stream in streams for at in piece_times(stream["marks"])[0]]
    seen["first_byte"] = times[0] if times else -1
    for at, event in ((frame.at, frame.value) for frame in frames(record.events) if isinstance(frame.value, dict)):
        _see(seen, at, event)
        times.append(at)
    ended = max([0, *times, *(one["answered"] for one in record.rounds), *(one["began"] for one in record.rounds)])
    facts = {**record.facts, **seen, "status": "cut", "error": WHY, "ended": ended}
    return RecordedTurn(facts, record.request, record.rounds, record.events)


def _see(seen: JsonObject, at: int, event: dict[str, Any]) -> None:
    kind, item = str(event.get("type")), event.get("item")
    if kind.endswith(".delta") and seen["first_token"] < 0:
        seen["first_token"] = at
    if kind == _TEXT and seen["first_text"] < 0:
        seen["first_text"] = at
    if kind == _DONE and isinstance(item, dict) and str(item.get("type")).endswith("_call"):
        seen["calls"] += 1


def _is_alive(pid: int) -> bool:
    """Whether there is such a process; on Windows nobody can ask without a signal, so that there always is."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
