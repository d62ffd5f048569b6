"""The Response object: it says again what the request asked for, with OpenAI's defaults for what it did not say."""

from typing import Any

import pytest

from unit.exchanges import DONE, events, exchange, frame
from unit.machine import delta, output, run, spoken

Json = dict[str, Any]


def response(**fields: Any) -> Json:
    """The response as it is when the upstream begins to answer."""
    made = exchange(**fields)
    made.begin({})
    found = events(made.feed(frame(delta(content="a")) + frame(delta("stop")) + DONE) + made.close())
    kinds = [event["type"] for event in found[:2]]
    assert kinds == ["response.created", "response.in_progress"]
    assert [event["response"]["status"] for event in found[:2]] == ["in_progress", "in_progress"]
    first: Json = found[0]["response"]
    return first


DEFAULTS: Json = {
    "object": "response",
    "background": False,
    "error": None,
    "frequency_penalty": 0.0,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "model": "m",
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}


def test_defaults() -> None:
    made = response()
    assert {name: made.get(name) for name in DEFAULTS} == DEFAULTS
    assert "user" not in made


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequency_penalty", 0.5),
        ("instructions", "Be brief."),
        ("max_output_tokens", 50),
        ("max_tool_calls", 3),
        ("metadata", {"a": "b"}),
        ("parallel_tool_calls", False),
        ("presence_penalty", 0.5),
        ("prompt_cache_key", "k"),
        ("safety_identifier", "s"),
        ("store", False),
        ("temperature", 0.0),
        ("top_logprobs", 2),
        ("top_p", 0.5),
        ("truncation", "auto"),
        ("user", "u"),
    ],
)
def test_what_was_asked_for_is_said_again(field: str, value: Any) -> None:
    made = response(**{field: value})
    assert made[field] == value
    others = {name: made.get(name) for name in DEFAULTS if name != field}
    assert others == {name: default for name, default in DEFAULTS.items() if name != field}


def test_parts_of_what_was_asked_for() -> None:
    assert response(reasoning={"effort": "high"})["reasoning"] == {"effort": "high", "summary": None}
    assert response(text={"verbosity": "low"})["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert response(text={"format": {"type": "json_object"}})["text"]["format"] == {"type": "json_object"}


@pytest.mark.parametrize("blanks", [[" "], ["\n", "\n"], ["\n", " ", "\t"]])
def test_blanks_before_text_belong_to_it(blanks: list[str]) -> None:
    made = run([*(delta(content=blank) for blank in blanks), delta("stop", content="a")])
    assert [spoken(item) for item in output(made)] == [("message", "".join(blanks) + "a")]
