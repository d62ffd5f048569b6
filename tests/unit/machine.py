"""Building blocks for tests of the stream machine: a machine with predictable ids, and the rules of a valid stream."""

import itertools
from collections.abc import Sequence
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from responses_gateway.hosted.interface import Declaration, DeclaredTool
from responses_gateway.hosted.web_search import DeclaredSearch
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import ResponsesRequest, parse_request
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.answer.steering import Steering
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.upstream_errors import error_in
from responses_gateway.translate.tools.table import ToolTable

Json = dict[str, Any]

EVENT = TypeAdapter(ResponseStreamEvent)
RESPONSE = TypeAdapter(Response)
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}

RUN: Json = {
    "type": "function",
    "name": "run",
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}, "ms": {"type": "integer"}}},
}
PATCH: Json = {
    "type": "custom",
    "name": "apply_patch",
    "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
}
ECHO: Json = {
    "type": "namespace",
    "name": "mcp__echo",
    "description": "",
    "tools": [{"type": "function", "name": "echo", "parameters": {"type": "object", "properties": {}}}],
}
SEARCH: Json = {"type": "tool_search", "execution": "client", "description": "Find tools.", "parameters": {}}


def request(**fields: Any) -> ResponsesRequest:
    return parse_request(dumps({"model": "m", "input": "hi", **fields}))


def machine(
    *tools: Json,
    ledger: Ledger | None = None,
    web_search: bool = False,
    include: Sequence[str] = (),
    steering: Steering | None = None,
    response_id: str = "resp_1",
    **options: Any,
) -> AnswerStateMachine:
    ledger = ledger or Ledger()
    asked = request(tools=list(tools), include=list(include))
    declared = [Declaration("tools", tool) for tool in tools if tool["type"] == "web_search"]
    hosted = [DeclaredSearch(DeclaredTool(asked, declared, "", None, ledger, str))] if web_search else []
    table = ToolTable(ledger, hosted=hosted)
    table.declare(tools, "tools")
    counter = itertools.count()
    return AnswerStateMachine(
        Snapshot(asked, response_id, 1),
        table,
        ledger,
        StreamOptions(**options),
        new_id=lambda prefix: f"{prefix}_{next(counter)}",
        clock=lambda: 2.0,
        steering=steering,
    )


def delta(finish_reason: str | None = None, **fields: Any) -> Json:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def call(index: int | None, name: str | None = None, arguments: Any = None, call_id: str | None = None) -> Json:
    """A chunk with one tool call delta."""
    entry: Json = {"function": {}}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry["id"] = call_id
    if name is not None:
        entry["function"]["name"] = name
    if arguments is not None:
        entry["function"]["arguments"] = arguments
    return delta(tool_calls=[entry])


def run(chunks: list[Json], *tools: Json, done: bool = True, **options: Any) -> list[Json]:
    """All events of an answer, of which an error is the end; checked."""
    translator = machine(*tools, **options)
    events = translator.start()
    for chunk in chunks:
        error = error_in(chunk)
        events += translator.fail(error) if error else translator.chunk(chunk)
    events += translator.finish(done)
    check(events)
    return events


def output(events: list[Json]) -> list[Json]:
    items: list[Json] = events[-1]["response"]["output"]
    return items


def spoken(item: Json) -> tuple[str, ...]:
    """An item in short: its kind and what it says."""
    match item["type"]:
        case "message":
            return ("message", "".join(part.get("text", part.get("refusal", "")) for part in item["content"]))
        case "reasoning":
            return ("reasoning", "".join(part["text"] for part in item.get("content") or []))
        case "function_call":
            return ("call", item["name"], item["arguments"])
        case "custom_tool_call":
            return ("custom", item["name"], item["input"])
        case kind:
            return (kind,)


def check(events: list[Json]) -> None:
    """The rules of a valid stream: schemas, numbers, nesting, deltas that sum up, and one terminal event."""
    for event in events:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[0] == "response.created"
    assert [kind for kind in kinds if kind in TERMINAL] == kinds[-1:]
    final = events[-1]["response"]
    RESPONSE.validate_python(final)
    _check_items(events, failed=kinds[-1] == "response.failed")
    finished = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"][: len(finished)] == finished
    if kinds[-1] != "response.failed":
        assert final["output"] == finished


def _check_items(events: list[Json], failed: bool) -> None:
    current: Json | None = None
    index = -1
    texts: dict[tuple[str, int], str] = {}
    for event in events:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert current is None, "items are sent one after another"
            current, index = event["item"], index + 1
            assert event["output_index"] == index
            texts = {}
        elif kind == "response.output_item.done":
            assert current is not None
            assert event["output_index"] == index
            assert (event["item"]["id"], event["item"]["type"]) == (current["id"], current["type"])
            _check_texts(event["item"], texts)
            current = None
        elif "item_id" in event:
            assert current is not None
            assert (event["item_id"], event["output_index"]) == (current["id"], index)
            if kind.endswith(".delta"):
                key = (kind.removesuffix(".delta"), event.get("content_index", event.get("summary_index", 0)))
                texts[key] = texts.get(key, "") + event["delta"]
            elif kind.endswith(".done") and "part" not in event:
                key = (kind.removesuffix(".done"), event.get("content_index", event.get("summary_index", 0)))
                whole = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
                assert whole == texts.get(key, "")
    assert current is None or failed


def _check_texts(item: Json, texts: dict[tuple[str, int], str]) -> None:
    sent = "".join(texts.values())
    match item["type"]:
        case "message":
            assert "".join(part.get("text", part.get("refusal", "")) for part in item["content"]) == sent
        case "function_call":
            assert item["arguments"] == sent
        case "custom_tool_call":
            assert item["input"] == sent
