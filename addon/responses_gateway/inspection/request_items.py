"""The items that a turn's request brings, and which of them are new."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.protocol.json import dumps_text


def input_items(record: RecordedTurn) -> list[Any]:
    """The input of the client's request, as a list."""
    request = record.request_json
    items = request.get("input") if isinstance(request, dict) else None
    if isinstance(items, str):
        return [{"type": "message", "role": "user", "content": items}]
    return items if isinstance(items, list) else []


def new_items(essences: Sequence[Hashable], known: Sequence[Hashable]) -> Iterator[int]:
    """The indexes of new items. Both lists are in order; clients may leave items out."""
    start = 0
    for at, essence in enumerate(essences):
        try:
            start = known.index(essence, start) + 1
        except ValueError:
            yield at


def essence(item: Any) -> str:
    """The part of an item that stays the same when a client sends it back."""
    if not isinstance(item, dict):
        return dumps_text(item)
    kind = item.get("type", "message")
    if item.get("call_id"):
        return f"{kind} {item['call_id']}"
    if kind == "message":
        return dumps_text([item.get("role"), _texts(item.get("content"))])
    return dumps_text(_texts(item.get("summary")) if kind == "reasoning" else item)


def _texts(content: Any) -> Any:
    if not isinstance(content, list):
        return [content]
    return [part.get("text", part) if isinstance(part, dict) else part for part in content]
