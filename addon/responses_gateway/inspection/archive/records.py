"""Puts the record of a turn together from its blobs."""

import sqlite3
from collections.abc import Mapping
from itertools import count

from responses_gateway.inspection.archive.blobs import early_name, load
from responses_gateway.inspection.archive.captured_streams import (
    StreamParts,
    empty_stream,
    join_stream,
    unbundle_stream,
)
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import CapturedStream
from responses_gateway.protocol.json import loads


def parts_in(connection: sqlite3.Connection, row: int) -> dict[str, bytes]:
    """The bytes of a turn's blobs, by name. Raises ValueError when one is missing or damaged."""
    names = connection.execute("SELECT name, id FROM blobs WHERE turn = ?", (row,)).fetchall()
    return {name: load(connection, blob) for name, blob in names}


def record_of(parts: Mapping[str, bytes]) -> RecordedTurn:
    """The record as the flow had it; of a turn in progress, as far as it was written.

    Raises ValueError, LookupError and TypeError for what is no turn.
    """
    kept = loads(parts["facts"] if "facts" in parts else parts["early"])
    rounds = [
        {**one, "body": parts.get(f"chat/{one['number']}", b""), "chunks": _stream(parts, f"chunks/{one['number']}")}
        for one in kept["rounds"]
    ]
    return RecordedTurn(kept["facts"], parts["request"], rounds, _stream(parts, "events"))


def _stream(parts: Mapping[str, bytes], name: str) -> CapturedStream:
    if name in parts:
        return join_stream(StreamParts(parts[name], parts[f"{name}/marks"]))
    stream = empty_stream()
    for number in count():
        piece = early_name(name, number)
        if piece not in parts:
            break
        news = unbundle_stream(parts[piece])
        stream["blocks"] += news["blocks"]
        stream["marks"] += news["marks"]
    return stream
