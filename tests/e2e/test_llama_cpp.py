"""A real model server: llama.cpp with a tiny model whose behaviour a #tag in the user message picks.

See upstream/tiny_model/make_model.py. The model tosses coins, so every request has a seed.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import (
    Response,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseReasoningItem,
)
from pydantic import BaseModel, Field

from e2e.command import run
from e2e.gateway import GatewayProcess
from e2e.llama import LlamaServer
from e2e.openai_client import AsyncClient, ResponsesClient, SyncClient

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
    {
        "type": "function",
        "name": "shell",
        "description": "Run a command.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "array", "items": {"type": "string"}, "maxItems": 3}},
            "required": ["command"],
            "additionalProperties": False,
        },
    },
]


SEED = {"seed": 11}


class Verdict(BaseModel):
    answer: str = Field(max_length=12)
    score: int = Field(ge=0, le=99)
    ok: bool


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with LlamaServer(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, llama: LlamaServer) -> Iterator[GatewayProcess]:
    """A gateway in front of llama.cpp."""
    with GatewayProcess(llama.url, tmp_path_factory.mktemp("gateway")) as process:
        yield process
        assert not process.faults(), f"the gateway's log has an exception:\n{process.log}"


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def client(request: pytest.FixtureRequest, gateway: GatewayProcess) -> ResponsesClient:
    made: ResponsesClient = request.param(gateway.url)
    return made


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def ask(client: ResponsesClient, streamed: bool, prompt: Any, **parameters: Any) -> Response:
    """One response. A streamed one is checked: numbered without gaps, one end, deltas that add up to the items."""
    parameters = {"model": "tiny", "input": prompt, "extra_body": SEED, **parameters}
    if not streamed:
        return client.create(**parameters)
    events = client.create_streamed(**parameters)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    ends = [event for event in events if event.type in ("response.completed", "response.incomplete", "response.failed")]
    assert ends == events[-1:]
    response = ends[0].response
    for index, item in enumerate(response.output):
        deltas = [
            event.delta
            for event in events
            if event.type in ("response.output_text.delta", "response.function_call_arguments.delta")
            and event.output_index == index
        ]
        match item:
            case ResponseOutputMessage():
                assert "".join(deltas) == "".join(part.text for part in item.content if part.type == "output_text")
            case ResponseFunctionToolCall():
                assert "".join(deltas) == item.arguments
    return response


def calls(response: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]


def check_call(call: ResponseFunctionToolCall) -> None:
    arguments = json.loads(call.arguments)
    assert call.call_id
    assert (call.name == "get_weather" and arguments["city"]) or (call.name == "shell" and arguments["command"])


def test_the_server_is_recognised_on_any_port(gateway: GatewayProcess, llama: LlamaServer, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{gateway.url}/v1/models", timeout=60) as answer:
        [entry] = [entry for entry in json.load(answer)["models"] if entry["slug"] == "tiny"]
    # The server shares its 32,768 tokens among two slots.
    assert (entry["context_window"], entry["input_modalities"]) == (16384, ["text"])
    checked = run(tmp_path, "check", more={"RESPONSES_GATEWAY_UPSTREAM": f"{llama.url}/v1"})
    assert "openai-compatible: served by llamacpp, reachable, no key needed, asked by chat/comp" in checked.stdout
    assert "(api: chat), model tiny exists" in checked.stdout


def test_text(client: ResponsesClient, streamed: bool) -> None:
    response = ask(client, streamed, "hello")
    assert response.status == "completed"
    assert response.output_text.endswith(".")
    assert response.usage is not None
    assert response.usage.output_tokens > 0
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_instructions_and_developer_messages(client: ResponsesClient, streamed: bool) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "The model reads."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "go on"}]},
    ]
    assert ask(client, streamed, messages, instructions="Answer.").output_text


def test_reasoning_round(client: ResponsesClient, streamed: bool) -> None:
    parameters: dict[str, Any] = {"include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    response = ask(client, streamed, "#think", **parameters)
    thought, message = response.output
    assert isinstance(thought, ResponseReasoningItem)
    assert isinstance(message, ResponseOutputMessage)
    assert "?" in "".join(part.text for part in thought.summary)
    assert response.output_text
    history = [{"role": "user", "content": "#think"}, *(item.model_dump(exclude_none=True) for item in response.output)]
    assert ask(client, streamed, [*history, {"role": "user", "content": "hello"}], **parameters).output_text


def test_one_call(client: ResponsesClient, streamed: bool) -> None:
    response = ask(client, streamed, "#tool", tools=TOOLS)
    [call] = calls(response)
    check_call(call)
    history = [{"role": "user", "content": "#tool"}, *(item.model_dump(exclude_none=True) for item in response.output)]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    assert ask(client, streamed, [*history, result], tools=TOOLS).output_text


def test_reasoning_before_a_call(client: ResponsesClient, streamed: bool) -> None:
    response = ask(client, streamed, "#thinktool", tools=TOOLS)
    assert isinstance(response.output[0], ResponseReasoningItem)
    [call] = calls(response)
    check_call(call)


def test_parallel_calls(client: ResponsesClient, streamed: bool) -> None:
    parameters: dict[str, Any] = {"tools": TOOLS, "parallel_tool_calls": True}
    tries = (calls(ask(client, streamed, "#par", extra_body={"seed": seed}, **parameters)) for seed in range(10))
    several = next((made for made in tries if len(made) > 1), [])
    assert several, "no seed led to several calls"
    assert len({call.call_id for call in several}) == len(several)
    for call in several:
        check_call(call)


def test_characters_split_over_tokens(client: ResponsesClient, streamed: bool) -> None:
    response = ask(client, streamed, "#utf8")
    assert any(ord(character) > 0x7F for character in response.output_text)
    assert "\ufffd" not in response.output_text


def test_json_schema(client: ResponsesClient) -> None:
    response = client.parse(model="tiny", input="hello", text_format=Verdict, extra_body=SEED)
    assert isinstance(response.output_parsed, Verdict)


def test_json_schema_streamed(client: ResponsesClient) -> None:
    _, response = client.stream(model="tiny", input="hello", text_format=Verdict, extra_body=SEED)
    assert isinstance(response.output_parsed, Verdict)


def test_length(client: ResponsesClient, streamed: bool) -> None:
    response = ask(client, streamed, "#long", max_output_tokens=16)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text


def test_length_within_reasoning(client: ResponsesClient, streamed: bool) -> None:
    response = ask(client, streamed, "#thinklong", max_output_tokens=16)
    assert response.status == "incomplete"
    assert isinstance(response.output[0], ResponseReasoningItem)
