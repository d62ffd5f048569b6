"""Client libraries as people use them: a tool loop, a stream, a structured output and a chain of responses each."""

from pathlib import Path

import pytest

from e2e.client_environment import ClientLibrary
from e2e.gateway import GatewayProcess
from upstream import Script, call, reply
from upstream.answers import completion

LIBRARIES = [
    ClientLibrary("openai_agents_client.py", ["openai-agents==0.24.0"]),
    ClientLibrary("langchain_client.py", ["langchain-openai==1.7.3"]),
    ClientLibrary("pydantic_ai_client.py", ["pydantic-ai-slim[openai]==2.68.0"]),
    ClientLibrary("llama_index_client.py", ["llama-index-llms-openai==0.8.3"]),
    ClientLibrary("openai_node_client.mjs", ["openai@7.55.0", "zod@4.6.7"]),
    ClientLibrary("ai_sdk_client.mjs", ["ai@7.0.173", "@ai-sdk/openai@4.0.118", "zod@4.6.7"]),
]


@pytest.fixture(params=LIBRARIES, ids=lambda library: Path(library.script).stem.removesuffix("_client"))
def library(request: pytest.FixtureRequest) -> ClientLibrary:
    chosen: ClientLibrary = request.param
    return chosen


def test_tool_loop(library: ClientLibrary, gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    script.answer(
        reply(reasoning="I look.", calls=[call("get_weather", {"city": "Oslo"}, "call_w")]), reply(text="It snows.")
    )
    assert library.run(tmp_path, f"{gateway.url}/v1", script.model, "tools") == "It snows."
    second = script.requests[1]
    assert second.tool_result("call_w") == "snow in Oslo"
    assert second.last("assistant")["reasoning_content"] == "I look."
    assert second.roles()[-3:] == ["user", "assistant", "tool"]


def test_stream(library: ClientLibrary, gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    script.answer(reply(reasoning="Hm.", text="One two three."))
    assert library.run(tmp_path, f"{gateway.url}/v1", script.model, "stream") == ["One", " two", " three."]


def test_structured_output(library: ClientLibrary, gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text='{"name": "Oslo", "people": 700000}'))
    city = library.run(tmp_path, f"{gateway.url}/v1", script.model, "structured")
    assert city == {"name": "Oslo", "people": 700_000}
    assert script.request.body["response_format"]["json_schema"]["schema"]["required"] == ["name", "people"]


def test_chain(library: ClientLibrary, gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello Ada."), reply(text="Ada."))
    assert library.run(tmp_path, f"{gateway.url}/v1", script.model, "chain") == "Ada."
    assert [message["content"] for message in script.requests[1].messages] == [
        "My name is Ada.",
        "Hello Ada.",
        "My name?",
    ]


def test_an_upstream_that_counts_no_tokens(
    library: ClientLibrary, gateway: GatewayProcess, script: Script, tmp_path: Path
) -> None:
    said = {"index": 0, "message": {"role": "assistant", "content": "Ada."}, "finish_reason": "stop"}
    script.answer(*[completion({"object": "chat.completion", "choices": [said]})] * 2)
    assert library.run(tmp_path, f"{gateway.url}/v1", script.model, "chain") == "Ada."
