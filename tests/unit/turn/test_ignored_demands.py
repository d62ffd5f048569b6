"""What an upstream takes and ignores is noticed, mended in one more round, and remembered."""

from typing import Any

import pytest

from unit.machine import RUN, call, delta
from unit.turn.rounds import forgetful, serve

STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEXT = {"format": {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}}
NAMED = {"type": "function", "name": "run"}
PROSE = [delta("stop", content="I would say Oslo.")]
JSON = [delta("stop", content='{"city": "Oslo"}')]
CALL = [{"choices": [{**call(0, "run", '{"cmd": "ls"}', "c")["choices"][0], "finish_reason": "tool_calls"}]}]


@STREAM
@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_a_forced_call_that_came_as_text_is_asked_for_again(stream: bool, choice: Any) -> None:
    served = serve(PROSE, CALL, tools=[RUN], tool_choice=choice, stream=stream)
    assert [item["type"] for item in served.output] == ["function_call"]
    said, asked = served.requests[1]["messages"][-2:]
    assert said == {"role": "assistant", "content": "I would say Oslo."}
    assert asked["role"] == "user"
    assert served.noted("asked again, because it does not match: it calls no tool")


@STREAM
def test_a_forced_call_that_never_comes_is_in_the_ledger(stream: bool) -> None:
    served = serve(PROSE, PROSE, tools=[RUN], tool_choice="required", stream=stream)
    assert served.output[0]["content"][0]["text"] == "I would say Oslo."
    assert served.noted("changed tool_choice: ignored by the upstream: no tool was called")


def test_another_function_than_the_forced_one_is_in_the_ledger() -> None:
    served = serve(CALL, tools=[RUN, {**RUN, "name": "look"}], tool_choice={"type": "function", "name": "look"})
    assert served.noted("changed tool_choice: ignored by the upstream: run was called, not look")


@STREAM
def test_a_forced_call_that_comes_needs_no_round(stream: bool) -> None:
    served = serve(CALL, tools=[RUN], tool_choice="required", stream=stream)
    assert not served.noted("tool_choice")


def test_several_calls_at_once_are_in_the_ledger() -> None:
    two = [call(0, "run", '{"cmd": "a"}', "c1"), call(1, "run", '{"cmd": "b"}', "c2"), delta("tool_calls")]
    served = serve(two, tools=[RUN], parallel_tool_calls=False)
    assert len(served.output) == 2
    assert served.noted("changed parallel_tool_calls: ignored by the upstream: 2 calls came at once")


def test_prose_instead_of_json_is_asked_again_of_an_upstream_that_promised_json() -> None:
    served = serve(PROSE, JSON, text=TEXT, stream=False)
    assert served.output[0]["content"][0]["text"] == '{"city": "Oslo"}'
    assert served.requests[1]["response_format"] == served.requests[0]["response_format"]


def test_a_stream_is_only_marked_the_first_time_and_held_after_that() -> None:
    learned = forgetful()
    first = serve(PROSE, text=TEXT, learned=learned)
    assert first.output[0]["content"][0]["text"] == "I would say Oslo."
    assert first.noted("changed text.format: ignored by the upstream: it is not JSON")
    second = serve(PROSE, JSON, text=TEXT, learned=learned)
    assert [part["text"] for item in second.output for part in item["content"]] == ['{"city": "Oslo"}']
    assert second.noted("learnt text.format")
    other = serve(PROSE, text=TEXT, learned=learned, model="other")
    assert other.noted("changed text.format")


def test_a_stream_that_keeps_to_the_schema_teaches_nothing() -> None:
    learned = forgetful()
    assert not serve(JSON, text=TEXT, learned=learned).noted("text.format")
    streamed = serve(JSON, text=TEXT, learned=learned)
    assert "response.output_text.delta" in [event["type"] for event in streamed.events]
    assert not streamed.noted("learnt")


def test_a_schema_that_is_not_strict_is_no_promise() -> None:
    loose = {"format": {**TEXT["format"], "strict": False}}
    assert not serve(PROSE, text=loose, stream=False).noted("text.format")
