"""Answers of an upstream that speaks the Responses API itself, written as no gateway would write them."""

import json
from typing import Any

from upstream.answers import Answer, Part, stream
from upstream.request import JsonObject

ID = "resp_made_upstream"


def native_event(kind: str, number: int, **fields: Any) -> bytes:
    """One event; its type is not the first field, and its lines end as Windows' do."""
    data = json.dumps({"sequence_number": number, "type": kind, **fields}, indent=None, separators=(", ", ": "))
    return f"event: {kind}\r\ndata: {data}\r\n\r\n".encode()


def response(status: str, output: list[JsonObject] | None = None, id: str = ID, **fields: Any) -> JsonObject:
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"cached_tokens": 10},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 55,
    }
    return {
        "id": id,
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "their-model",
        "output": output or [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if status == "completed" else None,
        "field_of_tomorrow": {"kept": True},
        **fields,
    }


def message(text: str, id: str = "msg_1") -> JsonObject:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": id, "status": "completed", "role": "assistant", "content": [part]}


def beginning(id: str = ID) -> list[bytes]:
    begun = response("in_progress", id=id)
    return [
        native_event("response.created", 0, response=begun),
        native_event("response.in_progress", 1, response=begun),
    ]


def said(text: str, number: int = 2) -> list[bytes]:
    """The events of a message."""
    where: JsonObject = {"output_index": 0, "item_id": "msg_1"}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    begun = {**message(""), "status": "in_progress", "content": []}
    events: list[tuple[str, JsonObject]] = [
        ("response.output_item.added", {"output_index": 0, "item": begun}),
        ("response.content_part.added", {**where, "content_index": 0, "part": part}),
        ("response.output_text.delta", {**where, "content_index": 0, "delta": text, "logprobs": []}),
        ("response.output_text.done", {**where, "content_index": 0, "text": text, "logprobs": []}),
        ("response.content_part.done", {**where, "content_index": 0, "part": {**part, "text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": message(text)}),
    ]
    return [native_event(kind, at, **fields) for at, (kind, fields) in enumerate(events, number)]


def native_reply(text: str = "", items: list[JsonObject] | None = None, id: str = ID) -> Answer:
    """A streamed answer: a message, or these output items."""
    if items is None:
        events, items = said(text), [message(text)]
    else:
        events = [
            native_event(kind, 2 + 2 * at + late, output_index=at, item=item)
            for at, item in enumerate(items)
            for late, kind in enumerate(("response.output_item.added", "response.output_item.done"))
        ]
    end = native_event("response.completed", 100, response=response("completed", items, id=id))
    return native_stream(beginning(id), events, end)


def native_stream(*parts: Part) -> Answer:
    return stream(*parts, headers={"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_theirs"})
