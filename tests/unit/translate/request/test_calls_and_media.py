"""Calls of every kind, their results, and media, as the upstream gets them."""

import json
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import translate_request
from unit.machine import request

Json = dict[str, Any]
ALL = ["text", "image", "audio", "video", "pdf"]


def translated(
    *items: Json, modalities: list[str] | None = None, provider: str = "openai", **fields: Any
) -> tuple[list[Json], list[str]]:
    """The upstream's messages, and what is on the ledger."""
    ledger = Ledger()
    asked = request(input=[{"role": "user", "content": "go"}, *items])
    card = ModelCard(id="m", modalities=ALL if modalities is None else modalities)
    made = translate_request(asked, model="m", profile=shipped()["openai"], card=card, ledger=ledger)
    messages: list[Json] = made.body["messages"]
    return messages[1:], [str(entry) for entry in ledger.entries]


@pytest.mark.parametrize(
    ("call", "name", "arguments"),
    [
        (
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"]}},
            "local_shell",
            {"command": ["ls"]},
        ),
        ({"type": "shell_call", "action": {"commands": ["ls"]}}, "shell", {"commands": ["ls"]}),
        (
            {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
            "apply_patch",
            {"type": "delete_file", "path": "a"},
        ),
        ({"type": "tool_search_call", "arguments": {"query": "x"}}, "tool_search", {"query": "x"}),
        ({"type": "tool_search_call", "arguments": '{"query": "x"}'}, "tool_search", {"query": "x"}),
        ({"type": "tool_search_call", "arguments": None}, "tool_search", {}),
        ({"type": "custom_tool_call", "name": "sed", "input": "s/a/b/"}, "sed", {"input": "s/a/b/"}),
    ],
)
def test_each_kind_of_call_is_a_function_call(call: Json, name: str, arguments: Json) -> None:
    messages, _ = translated({"id": "x", "call_id": "c1", "status": "completed", "execution": "client", **call})
    [made] = messages[0]["tool_calls"]
    assert made["function"]["name"] == name
    assert json.loads(made["function"]["arguments"]) == arguments
    assert made["id"] == "c1"


def result_of(call: Json, output: Json) -> str:
    messages, _ = translated({"call_id": "c1", **call}, {"call_id": "c1", **output})
    assert messages[1]["role"] == "tool"
    assert messages[1]["tool_call_id"] == "c1"
    content: str = messages[1]["content"]
    return content


RUN: Json = {"type": "function_call", "name": "run", "arguments": "{}"}


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([{"stdout": "a", "stderr": "b", "outcome": {"type": "exit", "exit_code": 3}}], "a\nb\n[exit code 3]"),
        ([{"stdout": "a", "outcome": {"type": "timeout"}}, {"stdout": "", "stderr": "b"}], "a\n[timeout]\nb"),
    ],
)
def test_the_result_of_a_shell(entries: list[Json], text: str) -> None:
    call = {"type": "shell_call", "action": {"commands": ["ls"]}}
    assert result_of(call, {"type": "shell_call_output", "output": entries}) == text


@pytest.mark.parametrize(
    ("output", "text"), [("why", "[The patch was not applied.]\nwhy"), (None, "failed"), ("", "failed")]
)
def test_the_result_of_a_patch(output: str | None, text: str) -> None:
    call = {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}, "status": "completed"}
    assert result_of(call, {"type": "apply_patch_call_output", "status": "failed", "output": output}) == text


def test_a_result_that_is_an_object() -> None:
    assert json.loads(result_of(RUN, {"type": "function_call_output", "output": {"a": 1}})) == {"a": 1}


def test_found_tools_are_named_as_they_can_be_called() -> None:
    call = {"type": "tool_search_call", "arguments": {"query": "x"}, "status": "completed", "execution": "client"}
    tools: list[Json] = [
        {"type": "function", "name": "alone", "description": "Does it.", "parameters": {}},
        {
            "type": "namespace",
            "name": "mcp__box",
            "description": "",
            "tools": [{"type": "function", "name": "open", "description": "", "parameters": {}}],
        },
    ]
    output: Json = {"type": "tool_search_output", "status": "completed", "execution": "client", "tools": tools}
    lines = result_of(call, output).split("\n")
    assert lines[:2] == ["These tools can be called now:", "- alone: Does it."]
    assert lines[2].startswith("- ")
    assert "open" in lines[2]
    assert not lines[2].endswith(":")
    assert result_of(call, {**output, "tools": []}) == "No tools were found."


def shown(part: Json, **options: list[str]) -> tuple[Any, list[str]]:
    """What becomes of a part of a user's message."""
    messages, noted = translated({"role": "user", "content": [part, {"type": "input_text", "text": "?"}]}, **options)
    content = messages[-1]["content"]
    return content[-2] if isinstance(content, list) else content, noted


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            {"type": "input_image", "image_url": "https://a/b.png"},
            {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        ),
        (
            {"type": "input_image", "image_url": "data:x", "detail": "low"},
            {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}},
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:y"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:y"}},
        ),
        ({"type": "input_file", "file_id": "f"}, {"type": "file", "file": {"file_id": "f"}}),
        (
            {"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "QQ", "format": "wav"}},
        ),
    ],
)
def test_media_go_where_chat_has_them(part: Json, sent: Json) -> None:
    assert shown(part) == (sent, [])


@pytest.mark.parametrize(
    ("part", "label"),
    [
        ({"type": "input_image", "file_id": "f"}, "image"),
        ({"type": "input_file", "filename": "a.pdf"}, "file"),
        ({"type": "input_hologram", "data": "x"}, "input_hologram"),
    ],
)
def test_what_cannot_be_sent_is_a_note(part: Json, label: str) -> None:
    content, noted = shown(part)
    assert f"[{label}" in json.dumps(content)
    assert "omitted: " in json.dumps(content)
    assert len(noted) == 1
    assert noted[0].startswith("dropped ")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "input_image", "image_url": "data:x"}, "[image omitted: the model takes no images]"),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "x"},
            "[file a.pdf omitted: the model takes no files]",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "Q", "format": "wav"}},
            "[audio omitted: the model takes no audio]",
        ),
    ],
)
def test_what_the_model_does_not_take_is_a_note(part: Json, words: str) -> None:
    content, noted = shown(part, modalities=["text"])
    assert words in json.dumps(content)
    assert len(noted) == 1
