"""Estimates of tokens: what is counted of a request and of an answer."""

from typing import Any

import pytest

from responses_gateway.translate.token_estimate import estimated_tokens, estimated_usage

Json = dict[str, Any]


def call(name: str, arguments: str) -> Json:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        ([], 0),
        ([{"role": "user", "content": ""}], 4),
        ([{"role": "user", "content": "x" * 40}], 14),
        ([{"role": "user", "content": "x" * 43}], 14),
        ([{"role": "user", "content": "x" * 44}], 15),
        ([{"role": "user", "content": "é" * 20}], 14),
        ([{"role": "user", "content": "\ud800" * 40}], 14),
        ([{"role": "user", "content": "x" * 20}, {"role": "assistant", "content": "x" * 20}], 18),
        ([{"role": "user", "content": [{"type": "text", "text": "x" * 40}]}], 14),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x" * 400}}]}], 1004),
        ([{"role": "user", "content": [{"type": "file"}, {"type": "text", "text": "x" * 40}]}], 1014),
        ([{"role": "assistant", "content": None, "reasoning_content": "x" * 40}], 14),
        ([{"role": "assistant", "content": None, "reasoning": "x" * 40}], 14),
        ([{"role": "assistant", "content": None, "reasoning": None}], 4),
        ([{"role": "assistant", "content": None, "tool_calls": [call("x" * 8, "y" * 32)]}], 14),
    ],
)
def test_the_prompt(messages: list[Json], tokens: int) -> None:
    assert estimated_tokens({"model": "m", "messages": messages}) == tokens


def test_tools_are_part_of_the_prompt() -> None:
    function = {"name": "run", "description": "x" * 400}
    tokens = estimated_tokens({"tools": [{"type": "function", "function": function}]})
    assert 100 < tokens < 115
    assert estimated_tokens({}) == 0


def said(text: str, kind: str = "text") -> Json:
    return {"type": "message", "content": [{"type": "output_text", kind: text}]}


@pytest.mark.parametrize(
    ("items", "written", "reasoning"),
    [
        ([], 0, 0),
        ([said("x" * 40)], 10, 0),
        ([said("x" * 40, "refusal")], 10, 0),
        ([said("x" * 3), said("x" * 3)], 1, 0),
        ([said("é" * 20)], 10, 0),
        ([{"type": "function_call", "name": "x" * 8, "arguments": "y" * 32}], 10, 0),
        ([{"type": "custom_tool_call", "name": "x" * 8, "input": "y" * 32}], 10, 0),
        ([{"type": "reasoning", "content": [{"text": "x" * 40}]}, said("x" * 8)], 2, 10),
        ([{"type": "reasoning", "content": None}], 0, 0),
        ([{"type": "image_generation_call", "result": "x" * 400}], 0, 0),
    ],
)
def test_the_answer(items: list[Json], written: int, reasoning: int) -> None:
    assert estimated_usage(100, items) == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written + reasoning,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": 100 + written + reasoning,
    }
