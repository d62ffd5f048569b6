"""Requests: what clients send, and what the upstream gets."""

import json
from pathlib import Path
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import (
    MessagesProfile,
    ParametersProfile,
    Profile,
    ReasoningProfile,
    ToolsProfile,
)
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning, seal_reasoning
from responses_gateway.translate.request.chat_request import Translation, translate_request
from responses_gateway.translate.request.messages import EMPTY_RESULT, NO_RESULT
from unit.machine import Json

CAPTURES = sorted((Path(__file__).parents[2] / "captures").glob("*.json"))


def translate(
    profile: Profile | None = None, card: ModelCard | None = None, ledger: Ledger | None = None, **fields: Any
) -> Translation:
    return translate_request(
        parse_request(dumps({"model": "m", **fields})),
        model="m",
        profile=profile or Profile(name="any"),
        card=card or ModelCard(id="m"),
        ledger=ledger if ledger is not None else Ledger(),
        earlier_tools=(),
    )


def messages(*items: Json | str, profile: Profile | None = None, **fields: Any) -> list[Json]:
    given = items[0] if items and isinstance(items[0], str) else list(items)
    body: list[Json] = translate(profile, input=given, **fields).body["messages"]
    return body


def said(role: str, *texts: str) -> Json:
    return {"role": role, "content": [{"type": "input_text", "text": text} for text in texts]}


def called(call_id: str, name: str = "run", arguments: str = "{}", **fields: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **fields}


def result(call_id: str | None, output: Any = "ok", **fields: Any) -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": output, **fields}


def thought(text: str) -> Json:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def roles(translated: list[Json]) -> list[str]:
    return [message["role"] for message in translated]


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "original"}


def test_a_string_is_a_user_message() -> None:
    assert messages("hi") == [{"role": "user", "content": "hi"}]


def test_system_messages_stay_in_place() -> None:
    translated = messages(
        said("developer", "base"), said("user", "a"), said("system", "later"), said("user", "b"), instructions="first"
    )
    assert [(message["role"], message["content"]) for message in translated] == [
        ("system", "first"),
        ("system", "base"),
        ("user", "a"),
        ("system", "later"),
        ("user", "b"),
    ]


def test_developer_stays_where_the_upstream_takes_it() -> None:
    profile = Profile(name="p", messages=MessagesProfile(developer=True))
    assert roles(messages(said("developer", "x"), said("user", "a"), profile=profile)) == ["developer", "user"]


def test_one_system_message_where_the_upstream_insists() -> None:
    profile = Profile(name="p", messages=MessagesProfile(system="first"))
    translated = messages(
        said("developer", "a"), said("user", "x"), said("developer", "late"), instructions="first", profile=profile
    )
    assert [(message["role"], message["content"]) for message in translated] == [
        ("system", "first\n\na"),
        ("user", "x"),
        ("user", "late"),
    ]


def test_one_turn_is_one_assistant_message_with_its_results_behind_it() -> None:
    translated = messages(
        said("user", "go"),
        thought("hm"),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        called("c1", arguments='{"cmd":"a"}'),
        called("c2", arguments='{"cmd":"b"}'),
        result("c2", "two"),
        result("c1", "one"),
    )
    assert roles(translated) == ["user", "assistant", "tool", "tool"]
    assistant = translated[1]
    assert assistant["content"] == "I look."
    assert assistant["reasoning_content"] == "hm"
    assert [call["id"] for call in assistant["tool_calls"]] == ["c1", "c2"]
    assert [(message["tool_call_id"], message["content"]) for message in translated[2:]] == [
        ("c1", "one"),
        ("c2", "two"),
    ]


def test_what_comes_between_a_call_and_its_result_waits() -> None:
    translated = messages(called("c1"), said("user", "stop"), result("c1"))
    assert roles(translated) == ["assistant", "tool", "user"]


def test_a_message_behind_a_call_belongs_to_its_turn() -> None:
    translated = messages(called("c1"), {"role": "assistant", "content": "looking"}, result("c1"))
    assert roles(translated) == ["assistant", "tool"]
    assert translated[0]["content"] == "looking"


def test_interleaved_calls_and_results_are_turns_of_their_own() -> None:
    translated = messages(called("c1"), result("c1"), called("c2"), result("c2"))
    assert roles(translated) == ["assistant", "tool", "assistant", "tool"]


def test_each_thought_goes_to_its_own_message() -> None:
    translated = messages(
        thought("one"),
        {"role": "assistant", "content": "a"},
        thought("two"),
        {"role": "assistant", "content": "b"},
        said("user", "x"),
    )
    assert [(message["content"], message["reasoning_content"]) for message in translated[:2]] == [
        ("a", "one"),
        ("b", "two"),
    ]


def test_a_missing_result_is_noted() -> None:
    ledger = Ledger()
    translated = translate(ledger=ledger, input=[called("c1"), said("user", "x")]).body["messages"]
    assert translated[1] == {"role": "tool", "tool_call_id": "c1", "content": NO_RESULT}
    assert any(entry.action == "added" for entry in ledger.entries)


def test_an_orphaned_result_becomes_a_user_message() -> None:
    translated = messages(said("user", "x"), result(None, "done", name="goal", namespace="agent"))
    assert translated[-1] == {"role": "user", "content": "Output of agent.goal:\ndone"}


def told(*parts: Json) -> Json:
    return {"type": "agent_message", "author": "/root", "recipient": "/root/worker", "content": list(parts)}


def test_an_agent_is_told_its_task() -> None:
    """Codex marks the words of one agent for another as encrypted, which no chat model ever did."""
    head = {"type": "input_text", "text": "Payload:"}
    plain = {"type": "encrypted_content", "encrypted_content": "Count the files."}
    [message] = messages(told(head, plain))
    assert message == {
        "role": "user",
        "content": "Message from agent /root to /root/worker:\nPayload:\nCount the files.",
    }
    assert messages(said("user", "x"), called("c"), result("c", [plain]))[-1]["content"] == "Count the files."


def test_what_a_service_encrypted_is_not_shown_to_the_model() -> None:
    ledger = Ledger()
    token = "gAAAAABm" + "x_-9" * 40 + "=="
    item = told({"type": "encrypted_content", "encrypted_content": token})
    [message] = translate(ledger=ledger, input=[item]).body["messages"]
    assert token not in message["content"]
    assert [entry.field for entry in ledger.entries] == ["input[0].content.encrypted_content"]


def test_an_empty_result_is_never_sent_empty() -> None:
    assert messages(called("c1"), result("c1", []))[1]["content"] == EMPTY_RESULT


def test_equal_call_ids_are_told_apart() -> None:
    translated = messages(called("c", arguments='{"cmd":"a"}'), called("c"), result("c", "one"), result("c", "two"))
    ids = [call["id"] for call in translated[0]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(message["tool_call_id"], message["content"]) for message in translated[1:]] == [
        (ids[0], "one"),
        (ids[1], "two"),
    ]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"cmd": "l', '{"arguments":"{\\"cmd\\": \\"l"}'),
        ("rm -rf /", '{"arguments":"rm -rf /"}'),
        ("[1]", '{"arguments":"[1]"}'),
        ("", "{}"),
        ('{"cmd": "a\nb"}', '{"cmd":"a\\nb"}'),
        ('{"n": NaN}', '{"n":null}'),
    ],
)
def test_broken_arguments_become_an_object_for_every_upstream(arguments: str, sent: str) -> None:
    ledger = Ledger()
    call = called("c", arguments=arguments)
    [message, _] = translate(input=[call, result("c")], ledger=ledger).body["messages"]
    assert message["tool_calls"][0]["function"]["arguments"] == sent
    assert [entry.field for entry in ledger.entries if entry.action == "repaired"] == ["input.function_call.arguments"]


def test_right_arguments_stay_as_they_are() -> None:
    arguments = '{ "cmd":\n"\\u00e9", "n": 1.50 }'
    ledger = Ledger()
    message = translate(input=[called("c", arguments=arguments), result("c")], ledger=ledger).body["messages"][0]
    assert message["tool_calls"][0]["function"]["arguments"] == arguments
    assert not [entry for entry in ledger.entries if entry.action == "repaired"]


def test_images_of_results_move_behind_all_results() -> None:
    translated = messages(
        called("c1"), called("c2"), result("c1", [said("user", "see")["content"][0], IMAGE]), result("c2")
    )
    assert roles(translated) == ["assistant", "tool", "tool", "user"]
    assert translated[1]["content"].startswith("see\n")
    assert translated[3]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA==", "detail": "high"},
    }


@pytest.mark.parametrize("head", ["", "Wall time: 0.1 seconds\nOutput:\n"])
def test_pictures_in_json_text_are_pictures(head: str) -> None:
    picture = {"type": "image", "data": "AA==", "mimeType": "image/png"}
    translated = messages(called("c1"), result("c1", head + json.dumps([picture, {"type": "text", "text": "see"}])))
    assert roles(translated) == ["assistant", "tool", "user"]
    assert "AA==" not in translated[1]["content"]
    assert translated[2]["content"][1]["image_url"] == {"url": "data:image/png;base64,AA=="}


def test_a_text_only_model_gets_a_note_instead_of_an_image() -> None:
    card = ModelCard(id="m", modalities=["text"])
    body = translate(
        card=card, input=[{"role": "user", "content": [IMAGE, {"type": "input_text", "text": "what?"}]}]
    ).body
    assert "image omitted" in body["messages"][0]["content"]
    assert "base64" not in dumps(body).decode()


def test_user_parts_keep_their_order() -> None:
    parts = [{"type": "input_text", "text": "a"}, IMAGE, {"type": "input_text", "text": "b"}]
    content = messages({"role": "user", "content": parts})[0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]


def test_what_no_chat_part_has_is_recorded() -> None:
    ledger = Ledger()
    cited = {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}], "logprobs": []}
    translate(ledger=ledger, input=[{"role": "assistant", "content": [cited]}, said("user", "x")])
    assert [entry.field for entry in ledger.entries] == ["input.content.annotations"]


def test_files_and_audio() -> None:
    parts = [
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "input_audio", "audio_url": "data:audio/mp3;base64,AA=="},
    ]
    content = messages({"role": "user", "content": parts})[0]["content"]
    assert [part["type"] for part in content] == ["file", "input_audio", "input_audio"]
    assert content[2]["input_audio"] == {"data": "AA==", "format": "mp3"}


@pytest.mark.parametrize(
    ("rule", "field", "value"),
    [
        (ReasoningProfile(), "reasoning_content", "hm"),
        (ReasoningProfile(field="reasoning"), "reasoning", "hm"),
        (ReasoningProfile(replay="details"), "reasoning_details", [{"type": "x"}]),
        (ReasoningProfile(replay="never"), "reasoning_content", None),
    ],
)
def test_reasoning_is_given_back_as_the_upstream_wants_it(rule: ReasoningProfile, field: str, value: Any) -> None:
    item = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": seal_reasoning(CarriedReasoning("hm", [{"type": "x"}])),
    }
    profile = Profile(name="p", reasoning=rule)
    translated = messages(item, {"role": "assistant", "content": "a"}, said("user", "x"), profile=profile)
    assert translated[0].get(field) == value


def test_a_placeholder_where_the_upstream_insists_on_reasoning() -> None:
    profile = Profile(name="p", reasoning=ReasoningProfile(placeholder=" "))
    translated = messages(called("c1"), result("c1"), {"role": "assistant", "content": "a"}, profile=profile)
    assert [message.get("reasoning_content") for message in translated] == [" ", None, " "]


def test_a_signature_goes_back_to_its_call() -> None:
    extra = {"google": {"thought_signature": "s"}}
    item = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": seal_reasoning(CarriedReasoning(calls={"c2": extra})),
    }
    rule = ReasoningProfile(signatures=True, signature_placeholder="none")
    history = [called("c1"), called("c2"), item, result("c1"), result("c2")]
    translated = messages(*history, profile=Profile(name="p", reasoning=rule))
    placeholder = {"google": {"thought_signature": "none"}}
    assert [call.get("extra_content") for call in translated[0]["tool_calls"]] == [placeholder, extra]
    assert "extra_content" not in messages(*history)[0]["tool_calls"][1]


def test_a_foreign_envelope_is_recorded() -> None:
    ledger = Ledger()
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "sum"}], "encrypted_content": "gAAAA"}
    body = translate(ledger=ledger, input=[item, {"role": "assistant", "content": "a"}, said("user", "x")]).body
    assert body["messages"][0]["reasoning_content"] == "sum"
    assert any(entry.field == "input.reasoning.encrypted_content" for entry in ledger.entries)


def test_parameters_go_where_chat_has_them() -> None:
    body = translate(
        input="hi",
        stream=True,
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=2,
        stop=["x"],
        seed=1,
        reasoning={"effort": "high", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        tools=[{"type": "function", "name": "run", "parameters": {"type": "object"}, "strict": True}],
        tool_choice={"type": "function", "name": "run"},
        parallel_tool_calls=False,
    ).body
    assert {key: value for key, value in body.items() if key not in ("messages", "model")} == {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["x"],
        "seed": 1,
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "high",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
        "tools": [{"type": "function", "function": {"name": "run", "parameters": {"type": "object"}, "strict": True}}],
        "tool_choice": {"type": "function", "function": {"name": "run"}},
        "parallel_tool_calls": False,
    }


def test_limits_and_refusals_of_upstream_and_model_are_kept_and_recorded() -> None:
    ledger = Ledger()
    profile = Profile(
        name="p",
        parameters=ParametersProfile(max_tokens="max_completion_tokens", drop=["seed"], response_format="json_object"),
        reasoning=ReasoningProfile(efforts={"xhigh": "high"}),
        tools=ToolsProfile(choice="auto", parallel="drop", strict="drop", schema_drop=["additionalProperties"]),
    )
    schema = {
        "type": "object",
        "properties": {"additionalProperties": {"type": "string"}},
        "additionalProperties": False,
    }
    body = translate(
        profile,
        ModelCard(id="m", max_output_tokens=10),
        ledger,
        input="hi",
        max_output_tokens=100,
        seed=1,
        reasoning={"effort": "xhigh"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"title": "T"}}},
        tools=[{"type": "function", "name": "run", "parameters": schema, "strict": True}],
        tool_choice="required",
        parallel_tool_calls=True,
        service_tier="flex",
        made_up=1,
    ).body
    assert body["max_completion_tokens"] == 10
    assert body["reasoning_effort"] == "high"
    assert body["tool_choice"] == "auto"
    assert body["response_format"] == {"type": "json_object"}
    assert '"title":"T"' in body["messages"][-1]["content"]
    assert "seed" not in body
    assert body["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"additionalProperties": {"type": "string"}},
    }
    assert {entry.field for entry in ledger.entries} >= {
        "max_output_tokens",
        "seed",
        "reasoning.effort",
        "text.format",
        "tool_choice",
        "parallel_tool_calls",
        "service_tier",
        "made_up",
        "tools.run.strict",
        "tools.run.parameters",
    }


PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}


def test_media_that_an_upstream_does_not_take_become_notes() -> None:
    ledger = Ledger()
    address = {**IMAGE, "image_url": "https://example.com/a.png"}
    profile = Profile(name="p", messages=MessagesProfile(media=["image"], image_urls=False))
    body = translate(profile, ledger=ledger, input=[{"role": "user", "content": [IMAGE, address, PDF]}]).body
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url", "text", "text"]
    assert [entry.field for entry in ledger.entries if entry.action == "dropped"] == [
        "input.content.image",
        "input.content.file",
    ]


def test_the_assistant_speaks_between_a_result_and_a_user_where_the_upstream_insists() -> None:
    profile = Profile(name="p", messages=MessagesProfile(bridge="Understood."))
    translated = messages(called("c1"), result("c1", [IMAGE]), said("developer", "x"), profile=profile)
    assert roles(translated) == ["assistant", "tool", "assistant", "user", "system"]
    assert translated[2]["content"] == "Understood."


@pytest.mark.parametrize(
    ("effort", "choice", "thinking"),
    [(None, "required", "unsaid"), ("none", "auto", "off"), ("high", "auto", "on")],
)
def test_thinking_that_cannot_be_switched_off_counts_as_thinking(effort: Any, choice: str, thinking: str) -> None:
    rule = ReasoningProfile(
        effort="none",
        always_on=effort is not None,
        default_on=False,
        when_unsaid={"thinking": "unsaid"},
        when_on={"thinking": "on"},
        when_off={"thinking": "off"},
    )
    profile = Profile(name="p", reasoning=rule, tools=ToolsProfile(choice_thinking="auto"))
    tools = [{"type": "function", "name": "run"}]
    body = translate(profile, input="hi", tools=tools, tool_choice="required", reasoning={"effort": effort}).body
    assert (body["tool_choice"], body["thinking"]) == (choice, thinking)


def test_a_model_that_takes_no_limit_and_no_format_gets_neither() -> None:
    ledger = Ledger()
    body = translate(
        Profile(name="p", parameters=ParametersProfile(max_tokens="max_completion_tokens")),
        ModelCard(id="m", supported_parameters=["temperature"]),
        ledger,
        input="hi",
        max_output_tokens=10,
        temperature=1,
        top_p=1,
        text={"format": {"type": "json_schema", "name": "n", "schema": {"title": "T"}}},
    ).body
    assert {*body} == {"model", "messages", "temperature"}
    assert '"title":"T"' in body["messages"][-1]["content"]
    assert [entry.field for entry in ledger.entries] == ["text.format", "top_p", "max_output_tokens"]


def test_a_model_without_tools_is_offered_none() -> None:
    ledger = Ledger()
    tools = [{"type": "function", "name": "run"}]
    body = translate(card=ModelCard(id="m", tools=False), ledger=ledger, input="hi", tools=tools).body
    assert "tools" not in body
    assert [entry.field for entry in ledger.entries] == ["tools"]


def test_a_parameter_in_ascii() -> None:
    profile = Profile(name="p", parameters=ParametersProfile(accept=["prompt_cache_key"], ascii=["prompt_cache_key"]))
    assert translate(profile, input="hi", prompt_cache_key="é").body["prompt_cache_key"] == "%C3%A9"
    assert translate(profile, input="hi", prompt_cache_key="e").body["prompt_cache_key"] == "e"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"nonsense", None),
        (b"[]", None),
        (b'"hi"', None),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":5}', "input"),
        (b'{"model":"m","input":[5]}', "input[0]"),
        (b'{"model":5,"input":"x"}', "model"),
        (b'{"model":"m","input":"x","stream":"yes"}', "stream"),
        (b'{"model":"m","input":"x","tools":{}}', "tools"),
        (b'{"model":"m","input":"x","max_output_tokens":0}', "max_output_tokens"),
        (b'{"model":"m","input":"x","reasoning":{"effort":1}}', "reasoning.effort"),
        (b'{"model":"m","input":[{"role":"boss","content":"x"}]}', "input[0].role"),
        (b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}', "input[0].content[0].text"),
        (b'{"model":"m","input":[{"role":"user","content":[{"type":"text","text":1}]}]}', "input[0].content[0].text"),
        (b'{"model":"m","input":[{"type":"function_call","call_id":"c"}]}', "input[0].name"),
        (b'{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":3}]}', "input[0].output"),
        (b'{"model":"m","input":"x","tool_choice":"sometimes"}', "tool_choice"),
        (b'{"model":"m","input":"x","metadata":{"a":5}}', "metadata.a"),
        (b'{"model":"m","input":"x","presence_penalty":1e400}', "presence_penalty"),
        (b'{"model":"m","input":"x","user":' + b"[" * 300 + b"]" * 300 + b"}", None),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_with_its_parameter(body: bytes, param: str | None) -> None:
    with pytest.raises(GatewayError) as caught:
        parse_request(body)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert "_item_tag" not in caught.value.message


def test_json_that_is_nested_too_deeply_is_called_so() -> None:
    body = b'{"model":"m","input":"x","metadata":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}"
    with pytest.raises(GatewayError, match="recursion") as caught:
        parse_request(body)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": 5}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "a", "parameters": "{}"}]}, "tools[0].parameters"),
        ({"tools": [{"type": "function", "name": "a", "strict": "yes"}]}, "tools[0].strict"),
        ({"tools": [{"type": "function", "name": "a", "description": 5}]}, "tools[0].description"),
        ({"tool_choice": {"name": "a"}, "tools": [{"type": "function", "name": "a"}]}, "tool_choice.type"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": "{}"}}}, "text.format.schema"),
        ({"tool_choice": "sometimes", "tools": [{"type": "function", "name": "a"}]}, "tool_choice"),
        (
            {"tool_choice": {"type": "function", "name": "b"}, "tools": [{"type": "function", "name": "a"}]},
            "tool_choice",
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"input": []}, "input"),
    ],
)
def test_an_impossible_request_is_refused_with_its_parameter(fields: Json, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        translate(**{"input": "hi", **fields})
    assert caught.value.param == param


def test_a_compaction_keeps_the_tools_of_its_session() -> None:
    tools = [{"type": "function", "function": {"name": "run", "parameters": {}}}]
    body = translate_request(
        parse_request(
            dumps({"model": "m", "tools": [], "input": [called("c1"), result("c1"), said("user", "sum up")]})
        ),
        model="m",
        profile=Profile(name="p"),
        card=ModelCard(id="m"),
        ledger=Ledger(),
        earlier_tools=tools,  # type: ignore[arg-type]
    ).body
    assert body["tools"] == tools
    assert body["tool_choice"] == "none"


def test_a_compaction_of_an_unknown_session_declares_what_its_history_calls() -> None:
    body = translate(tools=[], input=[called("c1"), result("c1"), said("user", "sum up")]).body
    assert [tool["function"]["name"] for tool in body["tools"]] == ["run"]


def test_a_request_without_tools_and_calls_gets_none() -> None:
    assert "tools" not in translate(tools=[], input="title?").body


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_a_real_request_loses_no_tool_and_keeps_the_rules_of_chat(path: Path) -> None:
    ledger = Ledger()
    body = path.read_bytes()
    translation = translate_request(
        parse_request(body), model="m", profile=Profile(name="p"), card=ModelCard(id="m"), ledger=ledger
    )
    lost = sum(
        entry.count for entry in ledger.entries if entry.action == "dropped" and entry.field.startswith("tools.")
    )
    assert translation.tools.declared == len(translation.tools) + lost
    assert translation.tools.declared == _declarations(json.loads(body))
    if len(translation.tools):
        assert len(translation.body["tools"]) == len(translation.tools)
    _check_chat(translation.body["messages"])


def _declarations(body: Json) -> int:
    def count(tools: list[Json]) -> int:
        return sum(count(tool["tools"]) if tool["type"] == "namespace" else 1 for tool in tools)

    return count(body.get("tools") or []) + sum(count(item.get("tools") or []) for item in body["input"])


def _check_chat(chat: list[Json]) -> None:
    waiting: list[str] = []
    for message in chat:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            assert message["content"]
            continue
        assert not waiting
        if message["role"] == "assistant":
            waiting = [call["id"] for call in message.get("tool_calls", ())]
            assert waiting or message["content"]
            assert len(set(waiting)) == len(waiting)
        else:
            assert message["content"]
    assert not waiting


def test_each_turn_begins_with_the_turn_before() -> None:
    """Thirty turns with reasoning, tools, found tools and a compaction at the end."""
    history: list[Json] = [said("developer", "base"), said("user", "go")]
    tools = [{"type": "function", "name": "run", "parameters": {"type": "object"}}]
    before: Json | None = None
    for turn in range(30):
        body = translate(input=history, tools=tools).body
        if before is not None:
            assert body["messages"][: len(before["messages"])] == before["messages"]
            assert body["tools"][: len(before["tools"])] == before["tools"]
        before = body
        history = [*history, thought(f"t{turn}"), {"role": "assistant", "content": f"m{turn}"}]
        if turn == 10:
            found = {"type": "function", "name": "found", "parameters": {"type": "object"}}
            history += [
                {"type": "tool_search_call", "call_id": "s", "arguments": {"query": "x"}},
                {"type": "tool_search_output", "call_id": "s", "tools": [found]},
            ]
        history += [called(f"c{turn}"), result(f"c{turn}", f"r{turn}")]
        if turn % 7 == 6:
            history.append(said("user", f"u{turn}"))
    assert before is not None
    compaction = translate_request(
        parse_request(dumps({"model": "m", "tools": [], "input": [*history, said("user", "sum up")]})),
        model="m",
        profile=Profile(name="p"),
        card=ModelCard(id="m"),
        ledger=Ledger(),
        earlier_tools=before["tools"],
    ).body
    assert compaction["messages"][: len(before["messages"])] == before["messages"]
    assert compaction["tools"] == before["tools"]
