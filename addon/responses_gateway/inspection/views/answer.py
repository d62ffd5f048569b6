"""The answer of a turn, put together from what the client was sent, at any moment of the stream."""

from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, frames
from responses_gateway.protocol.json import JsonObject


@dataclass
class Answer:
    """What the client knows of the answer."""

    items: dict[int, JsonObject] = field(default_factory=dict)
    """By output_index; those that are still open hold what came so far."""

    open: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    """For each item that is still open, kind and text of its deltas so far."""

    response: JsonObject = field(default_factory=dict)
    """The Response object as last told."""

    refusal: Any = None
    """The body of an error, when that is all that came."""


def answer_of(record: RecordedTurn) -> Answer:
    """Read the events, or the whole body, that the client got."""
    answer = Answer()
    for frame in frames(record.events):
        if isinstance(frame.value, dict):
            _take(answer, frame.value)
    for index, deltas in answer.open.items():
        for kind, run in groupby(deltas, key=itemgetter(0)):
            _grow(answer.items[index], kind, "".join(text for _, text in run))
    return answer


def _take(answer: Answer, event: JsonObject) -> None:
    kind = event.get("type")
    if isinstance(event.get("response"), dict):
        answer.response = event["response"]
        return
    if event.get("object") == "response":
        answer.response = event
        output = event.get("output")
        answer.items = dict(enumerate(output if isinstance(output, list) else ()))
        return
    if kind is None:
        answer.refusal = event
        return
    index, item = event.get("output_index"), event.get("item")
    if not isinstance(index, int):
        return
    if kind == "response.output_item.added" and isinstance(item, dict):
        answer.items[index] = dict(item)
        answer.open[index] = []
    elif kind == "response.output_item.done" and isinstance(item, dict):
        answer.items[index] = item
        answer.open.pop(index, None)
    elif isinstance(event.get("delta"), str) and index in answer.open:
        answer.open[index].append((str(kind), event["delta"]))


def _grow(item: JsonObject, kind: str, text: str) -> None:
    """Add text to an open item, in the field that its kind of delta belongs to."""
    if kind == "response.function_call_arguments.delta":
        item["arguments"] = _text(item.get("arguments")) + text
    elif kind == "response.custom_tool_call_input.delta":
        item["input"] = _text(item.get("input")) + text
    else:
        name = "summary" if "summary" in kind else "content"
        parts = item.get(name)
        item[name] = [*(parts if isinstance(parts, list) else ()), {"type": "text", "text": text}]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
