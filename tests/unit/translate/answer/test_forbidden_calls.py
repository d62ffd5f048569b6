"""A call that answers a request without tools is never handed on: the model is asked once more, without any tools."""

import json
from typing import Any

import pytest

from responses_gateway.catalogue.providers.profile import Profile, ToolsProfile
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.turn.exchange import Exchange
from unit.exchanges import DONE, events, exchange, frame
from unit.machine import Json, call, check, delta, spoken
from unit.translate.request.test_chat_request import called, result, said, translate

RUN = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {}}}
HISTORY = [said("user", "list"), called("c1", arguments='{"cmd": "ls"}'), result("c1"), said("user", "Sum it up.")]

FORBIDDING: list[Json] = [
    {"tools": []},
    {},
    {"tools": [RUN], "tool_choice": "none"},
    {"tools": [RUN], "tool_choice": {"type": "allowed_tools", "mode": "none", "tools": [RUN]}},
    {"tools": [RUN], "input": [*HISTORY[:-1], {"type": "compaction_trigger"}]},
]
WRITTEN = '<tool_call>{"name": "run", "arguments": {"cmd": "ls"}}</tool_call>'


def asked(**fields: Any) -> Exchange:
    one = exchange(**{"input": HISTORY, **fields})
    one.begin({})
    return one


def calls(sent: list[Json]) -> list[Json]:
    return [event for event in sent if "call" in event.get("item", {}).get("type", "")]


@pytest.mark.parametrize("fields", FORBIDDING)
@pytest.mark.parametrize(
    "chunks",
    [
        [call(0, "run", "", "c9"), call(0, None, '{"cmd":"ls"}'), delta("tool_calls")],
        [delta(content=WRITTEN), delta("stop")],
        [delta(content=WRITTEN.removesuffix("</tool_call>")), delta("stop")],
    ],
    ids=["called", "written", "written without an end"],
)
def test_the_model_is_asked_again_without_tools(fields: Json, chunks: list[Json]) -> None:
    one = asked(**fields)
    sent = one.feed(frame(delta(reasoning_content="Hm.")) + frame(delta(content="Let me look. ")))
    sent += one.feed(b"".join(frame(chunk) for chunk in chunks) + DONE) + one.close()
    assert isinstance(one.fault, ForbiddenCall)
    before = one.upstream_request.body
    one.correct(one.fault)
    assert one.upstream_request.body == {
        key: value for key, value in before.items() if key not in ("tools", "tool_choice", "parallel_tool_calls")
    }
    one.next_round()
    one.begin({})
    sent += one.feed(frame(delta(content="A summary.")) + frame(delta("stop")) + DONE) + one.close()
    received = events(sent)
    if not isinstance(fields.get("tool_choice"), dict):  # the mode `none` is not in the SDK's types
        check(received)
    assert calls(received) == []
    final = received[-1]
    assert final["type"] == "response.completed"
    if "input" not in fields:
        texts = [item[1].strip() for item in map(spoken, final["response"]["output"]) if item[0] == "message"]
        assert texts == ["Let me look.", "A summary."]


@pytest.mark.parametrize("fields", FORBIDDING)
def test_a_second_call_fails_visibly(fields: Json) -> None:
    one = asked(**fields)
    sent = one.feed(frame(call(0, "run", "{}", "c1")))
    assert isinstance(one.fault, ForbiddenCall)
    one.correct(one.fault)
    one.next_round()
    one.begin({})
    sent += one.feed(frame(call(0, "run", "{}", "c1")) + frame(delta("tool_calls")) + DONE)
    received = events(sent)
    assert calls(received) == []
    assert received[-1]["type"] == "response.failed"
    assert "called run" in received[-1]["response"]["error"]["message"]


def test_whole_answers_too() -> None:
    one = exchange(input=HISTORY, tools=[], stream=False)
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "run"}}]}
    body = dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    with pytest.raises(ForbiddenCall):
        one.answer(200, {}, body)
    assert isinstance(one.fault, ForbiddenCall)
    one.correct(one.fault)
    one.next_round()
    with pytest.raises(GatewayError) as failed:
        one.answer(200, {}, body)
    assert "called run" in failed.value.message


def test_a_call_of_another_choice_fails_too() -> None:
    one = asked(n=2)
    other = call(0, "run", "{}", "c1")
    other["choices"][0]["index"] = 1
    received = events(one.feed(frame(delta(content="a")) + frame(other) + frame(delta("stop")) + DONE) + one.close())
    assert (calls(received), received[-1]["type"]) == ([], "response.failed")


def test_text_that_talks_of_markup_is_no_call() -> None:
    one = asked(tools=[])
    text = f"It wrote `{WRITTEN}` and <tool_call>."
    received = events(one.feed(frame(delta(content=text)) + frame(delta("stop")) + DONE) + one.close())
    assert received[-1]["response"]["output"][0]["content"][0]["text"] == text


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        (ToolsProfile(), "none"),
        (ToolsProfile(choice="auto"), "auto"),
        (ToolsProfile(choice="none"), None),
        (ToolsProfile(choice_thinking="auto"), "none"),
    ],
)
@pytest.mark.parametrize("fields", [{"tools": []}, {"tools": [RUN], "tool_choice": "none"}], ids=["no tools", "none"])
def test_upstreams_are_told_none_where_they_take_it(tools: ToolsProfile, choice: str | None, fields: Json) -> None:
    body = translate(Profile(name="p", tools=tools), input=HISTORY, **fields).body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["run"]
    assert body.get("tool_choice") == choice
    assert json.dumps(body)


@pytest.mark.parametrize("name", [None, ""])
def test_an_entry_without_a_name_is_no_call_yet(name: str | None) -> None:
    one = asked()
    one.feed(frame(call(0, name, "")))
    assert one.fault is None
    one.feed(frame(call(0, "run", "{}")))
    assert isinstance(one.fault, ForbiddenCall)
