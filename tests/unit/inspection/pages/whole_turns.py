"""Turns with all their bytes, for the tests of what shows them."""

from typing import Any

from responses_gateway.inspection.archive.reader import Archive
from responses_gateway.inspection.archive.rows import Turn, WholeTurn
from responses_gateway.inspection.pages.source import Reading
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from unit.inspection.pages.rows import NOON
from unit.inspection.turns import DONE, USAGE, Gateway, call, chunk


class _Alone(Archive):
    """An archive in which a turn has no neighbours."""

    def __init__(self) -> None:
        """No file."""

    def turn_before(self, _: Turn) -> None:
        """None."""

    def turn_after(self, _: Turn) -> None:
        """None."""


def reading() -> Reading:
    return Reading(_Alone(), {}, NOON)


def record(body: dict[str, Any], *chunks: bytes) -> RecordedTurn:
    """A turn whose upstream answers these chunks."""
    return Gateway().record(body, [*chunks, chunk(finish="stop", usage=USAGE), DONE])


def hostile_turn(row: Turn, words: str) -> WholeTurn:
    """A turn in which everybody says `words`, wherever they can."""
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}]},
        {"type": "function_call", "name": "shell", "call_id": "1", "arguments": words},
        {"type": "function_call_output", "call_id": "1", "output": words},
    ]
    tool = {"type": "function", "name": "shell", "description": words, "parameters": {"type": "object"}}
    body = {"instructions": words, "input": items, "tools": [tool], "metadata": {"a": words}, "user": words}
    said = [chunk(reasoning_content=words), chunk(content=words), *call("shell", words)]
    return WholeTurn(row, record(body, *said), [2, 3], b"shell")
