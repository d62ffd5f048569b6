"""The forms in which upstreams say the same: text, reasoning, calls, token counts and citations."""

from typing import Any

import pytest

from unit.machine import RUN, TERMINAL, delta, output, run, spoken

Json = dict[str, Any]
DETAIL: Json = {"type": "reasoning.text", "index": 0}


def said(*chunks: Json, **options: Any) -> list[tuple[str, ...]]:
    return [spoken(item) for item in output(run([*chunks, delta("stop")], RUN, **options))]


@pytest.mark.parametrize(
    "chunk",
    [
        delta(content="a"),
        delta(content=["a"]),
        delta(content=[{"type": "text", "text": "a"}]),
        delta(content=[{"type": "output_text", "content": "a"}, None, 5]),
        {"choices": [{"index": 0, "text": "a"}]},
        {"choices": [{"index": 0, "message": {"content": "a"}}]},
    ],
)
def test_text(chunk: Json) -> None:
    assert said(chunk) == [("message", "a")]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "a"},
        {"reasoning": "a"},
        {"reasoning_content": {"text": "a"}},
        {"reasoning_content": [{"summary": "a"}]},
        {"reasoning_details": [{**DETAIL, "text": "a"}]},
        {"reasoning_content": "a", "reasoning": "a"},
        {"content": [{"type": "thinking", "thinking": "a"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]},
        {"content": [{"type": "thinking", "thinking": "a", "text": "no"}]},
        {"content": [{"type": "reasoning", "text": "a"}]},
    ],
)
def test_reasoning(fields: Json) -> None:
    assert said(delta(**fields), delta(content="b")) == [("reasoning", "a"), ("message", "b")]


CALL: Json = {"index": 0, "id": "c1", "function": {"name": "run", "arguments": '{"cmd":"ls"}'}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_calls": [CALL]},
        {"tool_calls": CALL},
        {"tool_calls": [None, CALL, "x"]},
        {"function_call": CALL["function"]},
        {"tool_calls": [CALL], "function_call": CALL["function"]},
    ],
)
def test_calls(fields: Json) -> None:
    assert said(delta(**fields)) == [("call", "run", '{"cmd":"ls"}')]


@pytest.mark.parametrize("reason", [None, "", 0, 5, True, []])
def test_what_is_no_reason_to_end(reason: Any) -> None:
    odd = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": reason}]}
    assert said(odd, delta(content="b")) == [("message", "ab")]


def test_a_response_that_nobody_waits_for_is_not_queued() -> None:
    made = run([delta("stop", content="a")])
    assert [event["type"] for event in made[:2]] == ["response.created", "response.in_progress"]
    waiting = run([delta("stop", content="a")], queued=True)
    assert [event["type"] for event in waiting[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["response"]["status"] for event in waiting[:3]] == ["queued", "queued", "in_progress"]


def test_each_answer_ends_once() -> None:
    for reason, end in (("stop", "completed"), ("length", "incomplete"), ("content_filter", "incomplete")):
        made = run([delta(reason, content="a")])
        assert made[-1]["type"] == f"response.{end}"
        assert made[-1]["response"]["status"] == end
        assert [event["type"] for event in made if event["type"] in TERMINAL] == [f"response.{end}"]


def usage_of(**usage: Any) -> Json:
    found: Json = run([delta("stop", content="a"), {"choices": [], "usage": usage}])[-1]["response"]["usage"]
    return found


@pytest.mark.parametrize(
    ("fields", "cached", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 3}}, 3, 0),
        ({"prompt_cache_hit_tokens": 3}, 3, 0),
        ({"cached_tokens": 3}, 3, 0),
        ({"prompt_tokens_details": {"cache_write_tokens": 3}}, 0, 3),
        ({"prompt_tokens_details": {"cache_creation_tokens": 3}}, 0, 3),
        ({"cache_creation_input_tokens": 3}, 0, 3),
        ({"cached_tokens": -1, "cache_creation_input_tokens": True}, 0, 0),
    ],
)
def test_cached_tokens(fields: Json, cached: int, written: int) -> None:
    made = usage_of(prompt_tokens=5, completion_tokens=2, **fields)
    assert made["input_tokens_details"] == {"cached_tokens": cached, "cache_write_tokens": written}
    assert (made["input_tokens"], made["output_tokens"], made["total_tokens"]) == (5, 2, 7)


@pytest.mark.parametrize(
    ("fields", "output_tokens", "reasoning", "total"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 15}, 10, 4, 15),
        ({"completion_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 19}, 14, 4, 19),
        ({"reasoning_tokens": 4}, 10, 4, 15),
        ({}, 10, 0, 15),
    ],
)
def test_reasoning_tokens(fields: Json, output_tokens: int, reasoning: int, total: int) -> None:
    made = usage_of(prompt_tokens=5, completion_tokens=10, **fields)
    assert made["output_tokens"] == output_tokens
    assert made["output_tokens_details"] == {"reasoning_tokens": reasoning}
    assert made["total_tokens"] == total


def test_token_counts_under_other_names() -> None:
    made = usage_of(input_tokens=5, output_tokens=2)
    assert (made["input_tokens"], made["output_tokens"], made["total_tokens"]) == (5, 2, 7)


@pytest.mark.parametrize("nested", [True, False])
def test_citations(nested: bool) -> None:
    inner = {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}
    entry = {"type": "url_citation", "url_citation": inner} if nested else {"type": "url_citation", **inner}
    [message] = output(run([delta(content="a"), delta("stop", annotations=[entry])]))
    assert message["content"][0]["annotations"] == [{"type": "url_citation", **inner}]
