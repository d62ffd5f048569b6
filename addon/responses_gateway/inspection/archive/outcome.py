"""Finds the result of a turn in its events without parsing all of them: a stream has thousands, but few matter."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from responses_gateway.inspection.archive.captured_streams import piece_times
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, parsed
from responses_gateway.inspection.views.answer import answer_of

_ITEM = b"event: response.output_item."
_RARE = b"_item."
"""The part of `_ITEM` that no delta has; deltas share the beginning."""

_END = b"event: response."
_DATA = b"data: "


@dataclass(frozen=True)
class Outcome:
    """The items of an answer."""

    response: str
    """Id of the response; empty when there is none."""

    items: list[Any]
    """In order; those of a stream that was cut off as far as they came."""

    spans: list[list[Any]]
    """When each item was opened and done: [kind, name, start, end]; -1: never."""


def outcome_of(record: RecordedTurn, body: bytes) -> Outcome:
    """Read what matters of what the client was sent; `body` is what was captured of it."""
    response = _last_response(body)
    if response is None:
        answer = answer_of(record)
        response = {**answer.response, "output": [item for _, item in sorted(answer.items.items())]}
    output = response.get("output")
    items = output if isinstance(output, list) else []
    return Outcome(str(response.get("id") or ""), items, _spans(record, body))


def _last_response(body: bytes) -> dict[str, Any] | None:
    """The Response object that ends the stream; None when nothing ends it."""
    event = _event(body, body.rfind(_END))
    response = event.get("response")
    ended = isinstance(response, dict) and response.get("status") in ("completed", "incomplete", "failed")
    return response if ended else None


def _event(body: bytes, at: int) -> dict[str, Any]:
    """The payload of the event whose first line is at an offset."""
    start = body.find(_DATA, at)
    if at < 0 or start < 0:
        return {}
    end = body.find(b"\n", start)
    event = parsed(body[start + len(_DATA) : end if end >= 0 else len(body)])
    return event if isinstance(event, dict) else {}


def _spans(record: RecordedTurn, body: bytes) -> list[list[Any]]:
    if record.events is None:
        return []
    times, sizes = piece_times(record.events["marks"])
    ends = list(accumulate(sizes))
    spans: dict[int, list[Any]] = {}
    for at in _places(body):
        event = _event(body, at)
        index, item = event.get("output_index"), event.get("item")
        if not isinstance(index, int) or not isinstance(item, dict):
            continue
        when = times[min(bisect_right(ends, at), len(times) - 1)]
        if event.get("type") == "response.output_item.added":
            spans[index] = [str(item.get("type")), str(item.get("name") or ""), when, -1]
        elif index in spans:
            spans[index][3] = when
    return [spans[index] for index in sorted(spans)]


def _places(body: bytes) -> Iterator[int]:
    before = _ITEM.index(_RARE)
    at = body.find(_RARE)
    while at >= 0:
        if body.startswith(_ITEM, at - before):
            yield at - before
        at = body.find(_RARE, at + 1)
