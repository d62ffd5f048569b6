"""Reads the bytes of turns from the archive."""

import sqlite3
import zlib

from responses_gateway.inspection.archive.delta import Packed, unpack

STREAM_BASE = 64 << 10
"""Bytes of an earlier stream that a stream is packed against: they repeat each other's forms, not their words."""

DEEPEST = 64
"""Bases below one blob that are followed; no writer makes so many."""


EARLY = "early"
"""Name of the blob that stands for `facts` until a turn is over."""


def early_name(stream: str, number: int) -> str:
    """The name of one piece of a stream of a turn that is not over."""
    return f"{EARLY}/{stream}/{number}"


def is_stream(name: str) -> bool:
    """Whether a blob is packed against the beginning of its base only."""
    return not name.startswith(("request", "chat/"))


def load(connection: sqlite3.Connection, blob: int) -> bytes:
    """The bytes of a blob. Raises ValueError when it, or a blob that it is packed against, is missing or damaged."""
    crc = None
    layers: list[tuple[Packed, bool]] = []
    next_id: int | None = blob
    while next_id is not None:
        row = connection.execute(
            "SELECT head, tail, data, base, name, crc FROM blobs WHERE id = ?", (next_id,)
        ).fetchone()
        if row is None or len(layers) > DEEPEST:
            raise ValueError("a part of the turn is missing in the archive")
        head, tail, data, next_id, name, its_crc = row
        crc = its_crc if crc is None else crc
        layers.append((Packed(head, tail, data), is_stream(name)))
    body = b""
    for packed, streams in reversed(layers):
        body = unpack(packed, body[:STREAM_BASE] if streams else body)
    if zlib.crc32(body) != crc:
        raise ValueError("a part of the turn is not what was archived")
    return body
