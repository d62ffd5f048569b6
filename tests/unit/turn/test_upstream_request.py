"""The chat requests of one turn: what the session and the owner add to the first, and what later rounds change."""

import json
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.recorder import Recorder
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn import opening
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.runtime import Runtime
from unit.exchanges import DONE, events, frame
from unit.machine import RUN, Json, call, delta
from unit.turn.test_rounds import World, searching
from unit.world import runtime

THREAD = {"session-id": "thread-1"}
ASKED: Json = {"role": "user", "content": "Go."}


def around() -> Runtime:
    return runtime(Settings(upstream="http://127.0.0.1:1/v1", store="none"))


def opened(world: Runtime, owner: str = "me", headers: dict[str, str] | None = None, **fields: Any) -> Exchange:
    request = parse_request(dumps({"model": "m", "input": "hi", "stream": True, "tools": [RUN], **fields}))
    one = opening.open_exchange(request, headers or {}, world, Recorder(world.state, owner, Ledger()))
    one.begin({})
    return one


def finish(one: Exchange, *chunks: Json) -> list[Json]:
    """The output of an answer of these chunks."""
    sent = b"".join(one.feed(frame(chunk)) for chunk in chunks) + one.feed(DONE) + one.close()
    output: list[Json] = events(sent)[-1]["response"]["output"]
    return output


@pytest.mark.parametrize(("owner", "known"), [("me", True), ("you", False)])
def test_reasoning_that_a_client_left_out_is_its_owners(owner: str, known: bool) -> None:
    world = around()
    thought, called = finish(
        opened(world), delta(reasoning_content="Hm."), call(0, "run", "{}", "c1"), delta("tool_calls")
    )
    assert thought["type"] == "reasoning"
    result = {"type": "function_call_output", "call_id": "c1", "output": "x"}
    after = opened(world, owner, input=[ASKED, called, result])
    message = after.upstream_request.body["messages"][1]
    assert message.get("reasoning_content") == ("Hm." if known else None)
    notes = [str(entry) for entry in after.ledger.entries]
    assert notes == (["added input.reasoning: what the client left out before its tool calls"] if known else [])


def test_a_session_keeps_its_tools_for_its_owner() -> None:
    world = around()
    assert opened(world, headers=THREAD).session is not None
    assert opened(world).session is None
    called = {"type": "function_call", "call_id": "c1", "name": "run", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "x"}
    history = [ASKED, called, result, ASKED]
    tools = opened(world, headers=THREAD).upstream_request.body["tools"]
    assert opened(world, headers=THREAD, tools=[], input=history).upstream_request.body["tools"] == tools
    assert opened(world, headers=THREAD, tools=[], input="x").upstream_request.body.get("tools") is None
    assert opened(world, headers=THREAD, tools=[], input=history).upstream_request.body["tools"] == tools
    for other in (opened(world, "you", THREAD, tools=[], input=history), opened(world, tools=[], input=history)):
        [bare] = other.upstream_request.body["tools"]
        assert bare["function"]["parameters"] == {"type": "object", "properties": {}}


SEARCH_CALL = call(0, "web_search", '{"query": "why"}', "c1")


@pytest.mark.parametrize(
    ("choice", "first", "later"),
    [
        ("required", "required", "auto"),
        ("auto", "auto", "auto"),
        (None, None, None),
        ({"type": "web_search"}, {"type": "function", "function": {"name": "web_search"}}, "auto"),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
            {"type": "function", "function": {"name": "web_search"}},
            "auto",
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "web_search"}]}},
            {"type": "function", "function": {"name": "web_search"}},
            "auto",
        ),
    ],
)
def test_a_call_is_forced_in_the_first_round_only(choice: Any, first: Any, later: Any) -> None:
    world, _ = searching(**({"tool_choice": choice} if choice else {}))
    before = world.exchange.upstream_request.body
    assert before.get("tool_choice") == first
    world.stream(SEARCH_CALL, delta("tool_calls"))
    assert world.goes_on()
    after = world.exchange.upstream_request.body
    assert after.get("tool_choice") == later
    assert after["tools"] == before["tools"]
    assert after["messages"][: len(before["messages"])] == before["messages"]
    assert [message["role"] for message in after["messages"][len(before["messages"]) :]] == ["assistant", "tool"]


def test_what_a_request_loses_is_noted_once() -> None:
    world, _ = searching(made_up=1)
    for number in range(2):
        world.stream(call(0, "web_search", '{"query": "why"}', f"c{number}"), delta("tool_calls"))
        assert world.goes_on()
    assert [note for note in world.noted() if "made_up" in note] == [
        "dropped made_up: the upstream is not known to take it"
    ]
    roles = [message["role"] for message in world.exchange.upstream_request.body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


def test_what_was_learnt_holds_in_later_rounds() -> None:
    world, _ = searching(temperature=0.5)
    assert world.refuse(400, "Unsupported parameter: 'temperature'")
    world.stream(SEARCH_CALL, delta("tool_calls"))
    assert world.goes_on()
    assert "temperature" not in json.loads(world.turn.request.content or b"")


def test_a_search_beside_a_call_of_the_clients_ends_the_response() -> None:
    world, searches = searching(stream=False, tools=[{"type": "web_search"}, RUN])
    message = {
        "content": None,
        "tool_calls": [
            {"id": "c1", "function": {"name": "web_search", "arguments": '{"query": "why"}'}},
            {"id": "c2", "function": {"name": "run", "arguments": '{"cmd": "ls"}'}},
        ],
    }
    completion = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    assert not world.turn.begin(200, http.Headers())
    world.turn.take(json.dumps(completion).encode())
    assert not world.goes_on()
    answer = world.turn.answer()
    assert answer.status_code == 200
    response = json.loads(answer.content or b"")
    assert [item["type"] for item in response["output"]][:2] == ["web_search_call", "function_call"]
    assert response["status"] == "completed"
    assert len(searches.calls) == 1


def test_a_turn_has_the_limits_of_the_settings() -> None:
    world = World(settings={"idle_timeout": 7, "heartbeat": 3, "turn_timeout": 9})
    assert (world.turn.limits.idle, world.turn.limits.heartbeat, world.turn.limits.turn) == (7, 3, 9)
