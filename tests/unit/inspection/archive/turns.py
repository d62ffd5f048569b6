"""Sessions for the tests of the archive."""

from pathlib import Path
from typing import Any

from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.file import opened_to_write
from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.writer import Writer
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import pieces
from unit.inspection.turns import ANSWER, Gateway

SECONDS = 60.0
"""Between two turns."""


def message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


class Talk:
    """One thread of a client that sends its whole history each time."""

    def __init__(self, gateway: Gateway, **headers: str) -> None:
        self.gateway = gateway
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.items: list[dict[str, Any]] = []
        self.count = 0

    def turn(self, text: str, chunks: Any = ANSWER, **body: Any) -> Document:
        """The user says `text`, and the model answers."""
        self.gateway.clock.now += SECONDS
        self.items.append(message("user", text))
        record = self.gateway.record({"input": self.items, **body}, chunks, headers=self.headers)
        self.items.append(
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello there!"}]}
        )
        self.count += 1
        return Document(f"{self.headers.get('thread-id', 'flow')}-{self.count}", record, b"shell")


class Kept:
    """An archive and what writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = opened_to_write(path)
        self.writer = Writer(self.connection)

    def put(self, *documents: Document) -> None:
        for document in documents:
            self.writer.put(document)

    def archive(self) -> Archive:
        return Archive(self.path)


def same(one: RecordedTurn, other: RecordedTurn) -> bool:
    """Whether two records say the same, byte by byte."""
    return (one.facts, one.request, _plain(one)) == (other.facts, other.request, _plain(other))


def _plain(record: RecordedTurn) -> Any:
    tapes = [list(pieces(tape)) if tape else [] for tape in (record.events, *(one["chunks"] for one in record.rounds))]
    return tapes, [{**one, "chunks": None} for one in record.rounds]
