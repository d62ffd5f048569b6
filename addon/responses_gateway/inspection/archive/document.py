"""A turn as it goes into the archive: its record, and the rest of its flow."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import CapturedStream


@dataclass(frozen=True)
class Document:
    """One turn, whole. `RecordedTurn.of(flow.metadata)` of a saved flow gives the same record."""

    flow: str
    """Id of the flow that the turn is, or was, in."""

    record: RecordedTurn
    shell: bytes
    """The rest of the flow, without the bytes that the record has; empty when there was no flow."""

    @property
    def id(self) -> str:
        """The same for the same turn, wherever it was loaded from; a replay in the same flow is another turn."""
        return turn_id(self.flow, self.record.facts["opened"])

    @property
    def is_over(self) -> bool:
        return bool(self.record.facts["ended"] >= 0)

    @property
    def size(self) -> int:
        """Roughly how many bytes of memory it takes."""
        record = self.record
        streams = [record.events, *(one["chunks"] for one in record.rounds)]
        kept = sum(len(block) for stream in streams if stream for block in (*stream["blocks"], *stream["marks"]))
        return kept + len(record.request or b"") + sum(len(one["body"]) for one in record.rounds) + len(self.shell)


class StreamNews(NamedTuple):
    """What came of one stream of a turn that runs."""

    turn: str
    """Id of the turn, whose beginning was written before."""

    name: str
    """`events`, `chunks/1` …"""

    number: int
    """Of this piece of the stream, from 0."""

    stream: CapturedStream
    """The piece."""


@dataclass(frozen=True)
class News:
    """What came of the streams of some turns that run."""

    streams: Sequence[StreamNews]
    is_over = False

    @property
    def size(self) -> int:
        """Roughly how many bytes of memory it takes."""
        return sum(len(part) for one in self.streams for part in (*one.stream["blocks"], *one.stream["marks"]))


def turn_id(flow: str, opened: Any) -> str:
    """The id of the turn that began in a flow at a time."""
    return blake2b(f"{flow} {float(opened):.6f}".encode(), digest_size=8).hexdigest()
