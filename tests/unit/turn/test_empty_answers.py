"""An answer without anything in it: asked again once, unless it is how a model says that it is done."""

import pytest

from unit.machine import RUN, delta
from unit.turn.rounds import NOTHING, serve

CALLED = [
    {"role": "user", "content": "Do it."},
    {"type": "function_call", "call_id": "c1", "name": "run", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "done"},
]
STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@STREAM
def test_behind_a_tool_result_it_means_done(stream: bool) -> None:
    served = serve(NOTHING, input=CALLED, tools=[RUN], stream=stream)
    assert (served.response["status"], served.output) == ("completed", [])
    assert served.noted("an empty answer behind a tool result")


@STREAM
def test_behind_words_of_the_user_it_is_asked_again(stream: bool) -> None:
    asked = [*CALLED, {"role": "user", "content": "And?"}]
    served = serve(NOTHING, [delta("stop", content="Here.")], input=asked, stream=stream)
    assert [item["type"] for item in served.output] == ["message"]


@STREAM
def test_it_is_asked_again_once_only(stream: bool) -> None:
    served = serve(NOTHING, NOTHING, stream=stream)
    assert len(served.requests) == 2
    assert (served.response.get("status") == "failed") == stream


def test_thoughts_alone_are_shown_behind_a_tool_result_too() -> None:
    served = serve([delta(reasoning_content="Hm."), delta("stop")], input=CALLED, tools=[RUN])
    assert [item["type"] for item in served.output] == ["reasoning", "message"]


def test_a_stream_that_breaks_off_at_once_is_no_answer() -> None:
    served = serve([], [], input=CALLED, tools=[RUN])
    assert len(served.requests) == 2
