"""Where an upstream without schemas is told the format of the answer: so that each round begins as the one before."""

from typing import Any

import pytest

from responses_gateway.settings.settings import Settings
from responses_gateway.turn.runtime import Runtime
from unit.machine import Json
from unit.world import open_exchange, runtime

THREAD = {"thread-id": "t"}
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def said(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def round_of(number: int) -> list[Json]:
    call = {"type": "function_call", "call_id": f"c{number}", "name": "look", "arguments": "{}"}
    return [call, {"type": "function_call_output", "call_id": f"c{number}", "output": "nothing"}]


@pytest.fixture
def world() -> Runtime:
    return runtime(Settings(upstream="https://api.deepseek.com/v1", store="none"))


def messages(world: Runtime, items: list[Json], wanted: Any = FORMAT, headers: Json = THREAD) -> list[Json]:
    request = {"model": "deepseek-v4-pro", "input": items, "tools": [TOOL], "instructions": "Be brief."}
    if wanted is not None:
        request["text"] = {"format": wanted}
    sent: list[Json] = open_exchange(request, headers, world).upstream_request.body["messages"]
    return sent


def told(sent: list[Json]) -> list[int]:
    """The places of the messages that name the format."""
    return [at for at, message in enumerate(sent) if "JSON Schema" in str(message["content"])]


def test_each_round_and_each_turn_begins_with_the_one_before(world: Runtime) -> None:
    items = [said("user", "Look.")]
    before = messages(world, items)
    assert told(before) == [len(before) - 1]
    for more in (round_of(1), round_of(2), [said("assistant", '{"ok": true}'), said("user", "Again.")], round_of(3)):
        items += more
        sent = messages(world, items)
        assert sent[: len(before)] == before
        assert told(sent) == told(before)
        before = sent


def test_another_schema_is_told_at_the_end(world: Runtime) -> None:
    items = [said("user", "Look."), *round_of(1)]
    messages(world, items[:1])
    sent = messages(world, items, {**FORMAT, "schema": {**SCHEMA, "title": "other"}})
    assert told(sent) == [len(sent) - 1]


def test_a_turn_without_a_format_is_not_told_one(world: Runtime) -> None:
    items = [said("user", "Look.")]
    messages(world, items)
    assert told(messages(world, [*items, *round_of(1)], None)) == []
    sent = messages(world, [*items, *round_of(1), *round_of(2)])
    assert told(sent) == [len(sent) - 1]


def test_nothing_comes_between_a_call_and_its_result(world: Runtime) -> None:
    messages(world, [said("user", "One."), said("user", "Two.")])
    sent = messages(world, [said("user", "One."), *round_of(1), *round_of(2)])
    assert [message["role"] for message in sent] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "system",
    ]


def test_a_shorter_history_is_told_at_its_end(world: Runtime) -> None:
    messages(world, [said("user", str(number)) for number in range(5)])
    sent = messages(world, [said("user", "0")])
    assert told(sent) == [len(sent) - 1]


def test_sessions_do_not_know_each_others_places(world: Runtime) -> None:
    messages(world, [said("user", "Look.")])
    for headers in ({}, {"thread-id": "other"}):
        sent = messages(world, [said("user", "Look."), *round_of(1)], headers=headers)
        assert told(sent) == [len(sent) - 1]
