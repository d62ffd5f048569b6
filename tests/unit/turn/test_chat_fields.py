"""Fields of chat/completions in a Responses request."""

import pytest

from responses_gateway.protocol.errors import GatewayError
from unit.machine import delta
from unit.turn.rounds import Json, serve

HELLO = [delta("stop", content="Hello.")]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NESTED = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
OSLO = [delta("stop", content='{"city": "Oslo"}')]


@pytest.mark.parametrize("wanted", [NESTED, {"type": "json_schema", "name": "n", "schema": SCHEMA}])
def test_a_response_format_is_the_format_of_the_text(wanted: Json) -> None:
    served = serve(OSLO, response_format=wanted)
    assert served.requests[0]["response_format"] == NESTED
    assert served.response["text"]["format"]["schema"] == SCHEMA
    assert served.noted("changed response_format: taken as text.format")


def test_what_the_text_says_itself_counts() -> None:
    served = serve(OSLO, response_format=NESTED, text={"format": {"type": "json_object"}})
    assert served.requests[0]["response_format"] == {"type": "json_object"}
    assert served.noted("dropped response_format: text.format says it already")


def test_a_response_format_without_its_schema_is_refused() -> None:
    with pytest.raises(GatewayError) as refused:
        serve(HELLO, response_format={"type": "json_schema"})
    assert refused.value.param == "response_format.json_schema"


def test_logprobs_are_asked_for() -> None:
    logprobs = {"content": [{"token": "Hello.", "logprob": -0.5, "bytes": None, "top_logprobs": []}]}
    chunk = delta("stop", content="Hello.")
    chunk["choices"][0]["logprobs"] = logprobs
    served = serve([chunk], logprobs=True, top_logprobs=2)
    assert (served.requests[0]["logprobs"], served.requests[0]["top_logprobs"]) == (True, 2)
    assert served.output[0]["content"][0]["logprobs"][0]["logprob"] == -0.5
    assert "logprobs" not in serve(HELLO, logprobs=False).requests[0]


def test_an_effort_is_the_reasonings() -> None:
    assert serve(HELLO, reasoning_effort="low").requests[0]["reasoning_effort"] == "low"
    both = serve(HELLO, reasoning_effort="low", reasoning={"effort": "high"})
    assert both.requests[0]["reasoning_effort"] == "high"
    assert both.noted("dropped reasoning_effort")


@pytest.mark.parametrize("stream", [True, False])
def test_modalities_go_along_and_what_is_spoken_is_text(stream: bool) -> None:
    sound = delta("stop", audio={"id": "a1", "data": "UklGRg==", "transcript": "Hello."})
    served = serve([sound], modalities=["text", "audio"], audio={"voice": "alloy"}, stream=stream)
    body = served.requests[0]
    assert (body["modalities"], body["audio"]) == (["text", "audio"], {"voice": "alloy"})
    assert served.output[0]["content"][0]["text"] == "Hello."
    assert served.noted("dropped output.audio")
