"""Refusals that name what they refuse are repaired; each case is the refusal of a real upstream."""

# ruff: noqa: E501 (a row of a table is one line)

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.translate.repair.request_healing import heal
from responses_gateway.translate.repair.request_repairs import apply, describe

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "strict": True,
        "parameters": {"type": "object", "properties": {"format": {"type": "string", "format": "uri"}}, "$schema": "x"},
    },
}


def body(**changes: Any) -> dict[str, Any]:
    return {"model": "m", "stream": True, **changes, "messages": changes.get("messages", [user("hi")])}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def called(**more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [CALL], **more}


def image(detail: str) -> dict[str, Any]:
    return user([{"type": "image_url", "image_url": {"url": "data:", "detail": detail}}])


SCHEMA = {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}}}

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("deepseek reasoning missing", body(messages=[called()]), "The `reasoning_content` in the thinking mode must be passed back to the API.", "reasoning:calls"),
    ("kimi reasoning missing", body(messages=[called()]), "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2", "reasoning:calls"),
    ("groq reasoning forbidden", body(messages=[called(reasoning_content="x")]), "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]", "message_rename:reasoning_content:reasoning"),
    ("mistral reasoning forbidden", body(messages=[called(reasoning_content="x")]), json.dumps({"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 2, "assistant", "reasoning_content"], "msg": "Extra inputs are not permitted"}]}}), "message_rename:reasoning_content:reasoning"),
    ("developer", body(messages=[{"role": "developer", "content": "x"}]), "unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`", "role:developer:system"),
    ("glm role", body(messages=[{"role": "developer", "content": "x"}]), '{"error":{"code":"1214","message":"Incorrect role information"}}', "role:developer:system"),
    ("minimax system", body(messages=[user("a"), {"role": "system", "content": "x"}]), "invalid params, invalid chat setting: role system (2013)", "system_first"),
    ("template system", body(messages=[user("a"), {"role": "system", "content": "x"}]), "System message must be at the beginning.", "system_first"),
    ("azure max_tokens", body(max_tokens=5), "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "rename:max_tokens:max_completion_tokens"),
    ("mistral max_completion_tokens", body(max_completion_tokens=5), '{"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted"}]}', "rename:max_completion_tokens:max_tokens"),
    ("deepseek token range", body(max_tokens=100000), "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", "cap:max_tokens:8192"),
    ("openai token range", body(max_tokens=100000), "max_tokens is too large: 100000. This model supports at most 16384 completion tokens", "cap:max_tokens:16384"),
    ("deepseek tool_choice", body(tool_choice="required"), "Thinking mode does not support this tool_choice", "set:tool_choice:auto"),
    ("qwen tool_choice", body(tool_choice={"type": "function"}), "The tool_choice parameter does not support being set to required or object in thinking mode", "set:tool_choice:auto"),
    ("tool_choice without tools", body(tool_choice="auto"), "When using `tool_choice`, `tools` must be set.", "drop:tool_choice"),
    ("nim parallel", body(parallel_tool_calls=True), "This model only supports single tool-calls at once!", "drop:parallel_tool_calls"),
    ("stream_options", body(stream_options={"include_usage": True}), "Unrecognized request argument supplied: stream_options", "drop:stream_options"),
    ("deepseek format", body(response_format=SCHEMA), "This response_format type is unavailable now", "format:json_object"),
    ("lm studio format", body(response_format={"type": "json_object"}), "'response_format.type' must be 'json_schema' or 'text'", "format:json_schema"),
    ("groq format", body(response_format={"type": "json_object"}), "response_format is not supported with tools", "format:words"),
    ("effort", body(reasoning_effort="high"), "Unsupported parameter: 'reasoning_effort' is not supported with this model.", "drop:reasoning_effort"),
    ("gpt-5.4 tools", body(reasoning_effort="high", tools=[TOOL]), "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.", "effort_with_tools:none"),
    ("gpt-5.6 tools, no effort", body(tools=[TOOL]), "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'.", "effort_with_tools:none"),
    ("fireworks thinking", body(reasoning_effort="high", thinking={}), "cannot specify both thinking and reasoning_effort", "drop:reasoning_effort"),
    ("detail", body(messages=[image("original")]), "Invalid value for 'detail': 'original'. Must be one of auto, low, high", "detail:high"),
    ("detail field", body(messages=[image("high")]), "unknown field `detail`, extra inputs are not permitted", "detail:"),
    ("deepseek image", body(messages=[image("high")]), "unknown variant `image_url`, expected `text`", "images"),
    ("llama.cpp image", body(messages=[image("high")]), "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", "images"),
    ("vllm file", body(messages=[user([{"type": "file", "file": {"file_data": "data:"}}])]), "Unknown part type: file", "files"),
    ("serde file", body(messages=[user([{"type": "file", "file": {"file_data": "data:"}}])]), "messages[0]: unknown variant `file`, expected one of `text`, `image_url`", "files"),
    ("cerebras strict", body(tools=[TOOL]), "Tools with mixed values for 'strict' are not allowed.", "strict"),
    ("array content", body(messages=[user([{"type": "text", "text": "a"}])]), "messages[0].content: invalid type: sequence, expected a string", "flatten"),
    ("n", body(n=2), "Invalid value for 'n': only 1 is supported", "drop:n"),
    ("kimi temperature", body(temperature=0.2), "invalid temperature: only 0.6 is allowed for this model", "drop:temperature"),
    ("openai temperature", body(temperature=0.2), "Unsupported value: 'temperature' does not support 0.2 with this model.", "drop:temperature"),
    ("xai penalty", body(frequency_penalty=1), "Argument not supported on this model: frequency_penalty", "drop:frequency_penalty"),
    ("fastapi loc", body(seed=1), '{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}', "drop:seed"),
    ("openai param", body(user="u"), '{"error":{"message":"Unknown parameter.","param":"user","code":"unknown_parameter"}}', "drop:user"),
    ("message name", body(messages=[{**user("a"), "name": "x"}]), '{"detail":[{"type":"extra_forbidden","loc":["body","messages",0,"name"]}]} unknown field `name`', "message_drop:name"),
    ("schema keyword", body(tools=[TOOL]), "Invalid JSON schema: unknown keyword `$schema`", "schema_drop:$schema"),
    ("llama.cpp arguments", body(messages=[called(tool_calls=[{**CALL, "function": {"name": "f", "arguments": "{bad"}}])]), "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]", "arguments"),
    ("vllm arguments", body(messages=[called(tool_calls=[{**CALL, "function": {"name": "f", "arguments": '{"cmd": "l'}}])]), '{"error":{"message":"Unterminated string starting at: line 1 column 9 (char 8)","type":"BadRequestError","param":null,"code":400}}', "arguments"),
    ("vllm arguments, a comma", body(messages=[called(tool_calls=[{**CALL, "function": {"name": "f", "arguments": '{"a": 1 '}}])]), "Expecting ',' delimiter: line 1 column 9 (char 8)", "arguments"),
    ("null content", body(messages=[called()]), "messages[0].content is required", "content"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "refusal", "repair"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_a_refusal_repairs(sent: dict[str, Any], refusal: str, repair: str) -> None:
    before = json.dumps(sent)
    healed = heal(sent, refusal)
    assert healed is not None
    assert healed.repair == repair
    assert healed.body != sent
    assert json.dumps(sent) == before
    assert apply(sent, repair) == healed.body
    assert apply(healed.body, repair) is None
    assert all(describe(repair))


@pytest.mark.parametrize(
    "refusal",
    ["", "Internal Server Error", "Your request was flagged by moderation.", "model is required", "tools is too long"],
)
def test_what_cannot_be_repaired(refusal: str) -> None:
    assert heal(body(tools=[TOOL], temperature=1), refusal) is None


def test_a_second_refusal_gets_the_next_repair() -> None:
    sent = body(messages=[called(reasoning_content="x")])
    refusal = "property 'reasoning_content' is unsupported"
    first = heal(sent, refusal)
    assert first is not None
    second = heal(first.body, "property 'reasoning' is unsupported in messages, as is 'reasoning'", [first.repair])
    assert second is not None
    assert second.repair == "message_drop:reasoning"
    assert second.body["messages"] == [called()]


def test_an_effort_that_is_refused_with_tools_is_kept_without_them() -> None:
    repair = "effort_with_tools:none"
    assert apply(body(reasoning_effort="high"), repair) is None
    repaired = apply(body(reasoning_effort="high", tools=[TOOL]), repair)
    assert repaired is not None
    assert repaired["reasoning_effort"] == "none"
    assert list(repaired)[-1] == "messages"


def test_a_model_that_knows_no_effort_none_gets_no_effort() -> None:
    sent = body(reasoning_effort="none", tools=[TOOL])
    refusal = "Unsupported value: 'reasoning_effort' does not support 'none' with this model."
    healed = heal(sent, refusal, ["effort_with_tools:none"])
    assert healed is not None
    assert "reasoning_effort" not in healed.body


def test_a_property_of_a_keywords_name_stays() -> None:
    repaired = apply(body(tools=[TOOL]), "schema_drop:format")
    assert repaired is not None
    assert repaired["tools"][0]["function"]["parameters"]["properties"] == {"format": {"type": "string"}}


def test_a_repair_leaves_the_prefix_of_the_next_turn_as_it_is() -> None:
    turns = [user("a"), called(), {"role": "tool", "tool_call_id": "call_1", "content": "r"}]
    first = apply(body(messages=turns), "reasoning:calls")
    later = apply(body(messages=[*turns, called(), user("b")]), "reasoning:calls")
    assert first is not None
    assert later is not None
    assert later["messages"][: len(turns)] == first["messages"]


@given(st.text(max_size=200), st.sampled_from([case[1] for case in CASES]))
def test_any_words_give_a_request_with_all_that_matters(words: str, sent: dict[str, Any]) -> None:
    healed = heal(sent, words + " is not supported")
    if healed is not None:
        assert healed.body["model"] == "m"
        assert len(healed.body["messages"]) >= len(sent["messages"])
        assert ("tools" in healed.body) == ("tools" in sent)


def test_repairs_of_unknown_kind_change_nothing() -> None:
    for repair in ("", "drop", "cap:max_tokens:many", "explode:x", "drop:a:b"):
        assert apply(body(max_tokens=9), repair) is None
