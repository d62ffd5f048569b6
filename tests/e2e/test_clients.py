"""Client libraries as people use them: a tool loop, a stream, a structured output and a chain of responses each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.client_environment import ClientLibrary
from e2e.environment import UPSTREAM_KEY
from e2e.gateway import GatewayProcess
from e2e.proxy import Proxy
from upstream import Script, ScriptedUpstream, call, reply
from upstream.answers import completion

AGENTS = ClientLibrary("openai_agents_client.py", ["openai-agents==0.24.0"])
NODE = ClientLibrary("openai_node_client.mjs", ["openai@7.55.0", "zod@4.6.7"])
AI_SDK = ClientLibrary("ai_sdk_client.mjs", ["ai@7.0.173", "@ai-sdk/openai@4.0.118", "zod@4.6.7"])
LIBRARIES = [
    AGENTS,
    ClientLibrary("langchain_client.py", ["langchain-openai==1.7.3"]),
    ClientLibrary("pydantic_ai_client.py", ["pydantic-ai-slim[openai]==2.68.0"]),
    ClientLibrary("llama_index_client.py", ["llama-index-llms-openai==0.8.3"]),
    NODE,
    AI_SDK,
]
THROUGH_A_PROXY = [AGENTS, NODE, AI_SDK]


def name(library: ClientLibrary) -> str:
    return Path(library.script).stem.removesuffix("_client")


@pytest.fixture(scope="module")
def proxy(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(upstream.url, tmp_path_factory.mktemp("proxy") / "home") as process:
        yield process
        assert not process.faults(), f"the gateway's log has a fault:\n{process.log}"


@pytest.fixture(params=LIBRARIES, ids=name)
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


@pytest.mark.parametrize("library", THROUGH_A_PROXY, ids=name)
def test_nothing_but_the_environment(library: ClientLibrary, proxy: Proxy, script: Script, tmp_path: Path) -> None:
    """They go to OpenAI, through the gateway as a proxy."""
    script.answer(reply(calls=[call("get_weather", {"city": "Oslo"}, "call_w")]), reply(text="It snows."))
    environment = library.proxied(proxy.environment(tmp_path))
    openai = "https://api.openai.com/v1"
    assert library.run(tmp_path, openai, script.model, "tools", environment=environment) == "It snows."
    assert script.requests[1].tool_result("call_w") == "snow in Oslo"
    assert {request.headers["authorization"] for request in script.requests} == {f"Bearer {UPSTREAM_KEY}"}
