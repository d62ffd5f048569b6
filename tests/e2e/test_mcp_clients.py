"""Clients with options of their own for hosted tools, and MCP servers that others have written."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from e2e.client_environment import ClientLibrary, installed
from e2e.environment import clean_environment
from e2e.gateway import GatewayProcess
from e2e.openai_client import SyncClient
from e2e.process import LoggedProcess
from e2e.test_listening import free_port
from upstream import Script, ScriptedUpstream, call, reply

pytest.importorskip("mcp")

AGENTS = ClientLibrary("openai_agents_client.py", ["openai-agents==0.24.0"])
LANGCHAIN = ClientLibrary("langchain_client.py", ["langchain-openai==1.7.3"])
AI_SDK = ClientLibrary("ai_sdk_client.mjs", ["ai@7.0.173", "@ai-sdk/openai@4.0.118", "zod@4.6.7"])
NPM_SERVERS = ["@modelcontextprotocol/server-everything@2026.8.31", "@modelcontextprotocol/server-filesystem@2026.8.31"]
PYPI_SERVERS = ["mcp-server-fetch==2026.10.24"]
PAGE = (
    b"<html><head><title>A page</title></head><body><article><p>The snow is deep in Oslo.</p></article></body></html>"
)


class Everything(LoggedProcess):
    """The reference server of the protocol's authors, over Streamable HTTP."""

    def __init__(self, home: Path, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        command = ["node", _npm_server("everything"), "streamableHttp"]
        super().__init__(command, clean_environment(home, {"PORT": str(port)}))

    @property
    def url(self) -> str:
        return f"http://{self.host}/mcp"

    def _wait_ready(self) -> None:
        self.wait_log("listening on port")


def _npm_server(name: str) -> str:
    directory = installed(NPM_SERVERS, is_node=True)
    return str(directory / "node_modules" / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js")


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    with Everything(tmp_path_factory.mktemp("everything"), free_port()) as process:
        yield process


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("files").resolve()
    (directory / "note.txt").write_text("Buy milk.")
    return directory


@pytest.fixture(scope="module")
def gateway(
    files: Path, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("gateway")
    fetch = installed(PYPI_SERVERS, is_node=False) / "bin" / "mcp-server-fetch"
    servers = {
        "files": {"command": "node", "args": [_npm_server("filesystem"), str(files)], "require_approval": "never"},
        "fetch": {
            "command": str(fetch),
            "args": ["--ignore-robots-txt", "--allow-private-ips"],
            "require_approval": "never",
        },
    }
    config = home / "gateway.yaml"
    config.write_text(json.dumps({"mcp_servers": servers, "mcp_private_hosts": ["127.0.0.1"]}))
    with GatewayProcess(upstream.url, home, {"gateway_config": str(config)}) as process:
        yield process
        assert not process.faults(), process.log


def echo(words: str = "hi", id: str = "call_1") -> Any:
    return call("everything__echo", {"message": words}, id)


def run(library: ClientLibrary, gateway: GatewayProcess, script: Script, home: Path, scenario: str, *more: str) -> Any:
    return library.run(home, f"{gateway.url}/v1", script.model, scenario, *more)


@pytest.mark.parametrize(
    "library", [AGENTS, LANGCHAIN, AI_SDK], ids=lambda library: library.script.partition("_client")[0]
)
def test_a_server_that_a_client_names(
    library: ClientLibrary, gateway: GatewayProcess, everything: Everything, script: Script, tmp_path: Path
) -> None:
    script.answer(reply(calls=[echo(), echo("ho", "call_2")]), reply(text="Hi and ho."))
    result = run(library, gateway, script, tmp_path, "mcp", everything.url)
    assert result["text"] == "Hi and ho."
    assert [message["content"] for message in script.requests[1].messages[-2:]] == ["Echo: hi", "Echo: ho"]
    if library is AGENTS:
        assert result["items"].count("mcp_list_tools_item") == 1
    else:
        assert "Echo: ho" in json.dumps(result["results"])


def test_calls_that_the_client_decides(
    gateway: GatewayProcess, everything: Everything, script: Script, tmp_path: Path
) -> None:
    script.answer(reply(calls=[echo("one")]), reply(calls=[echo("two", "call_2")]), reply(text="One only."))
    result = run(AGENTS, gateway, script, tmp_path, "approval", everything.url)
    assert result == {"text": "One only.", "asked": ['{"message": "one"}', '{"message": "two"}']}
    results = [message["content"] for message in script.requests[-1].messages if message["role"] == "tool"]
    assert results == ["Echo: one", "The user did not approve this call. The reason: once is enough"]


def test_a_search_for_tools(gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    script.answer(
        reply(calls=[call("tool_search", {"query": "weather"}, "call_1")]),
        reply(calls=[call("get_weather", {"city": "Oslo"}, "call_2")]),
        reply(text="It snows."),
    )
    result = run(AGENTS, gateway, script, tmp_path, "tool_search")
    assert result["text"] == "It snows."
    assert result["items"] == [
        *("tool_search_call_item", "tool_search_output_item", "tool_call_item"),
        *("tool_call_output_item", "message_output_item"),
    ]
    first, second, third = script.requests
    assert list(first.tools) == ["tool_search"]
    assert list(second.tools) == list(third.tools) == ["tool_search", "get_weather"]
    assert third.messages[: len(second.messages)] == second.messages
    assert third.messages[-1]["content"] == "snow in Oslo"


@pytest.mark.parametrize("stored", [True, False])
def test_what_was_found_stays_found(
    gateway: GatewayProcess, everything: Everything, script: Script, stored: bool
) -> None:
    server = {"type": "mcp", "server_label": "everything", "server_url": everything.url, "require_approval": "never"}
    tools: list[Any] = [{**server, "defer_loading": True}, {"type": "tool_search"}]
    script.answer(
        reply(calls=[call("tool_search", {"query": "echo"}, "call_1")]),
        reply(calls=[echo()]),
        reply(text="Hi."),
        reply(calls=[echo("ho", "call_2")]),
        reply(text="Ho."),
    )
    client = SyncClient(gateway.url)
    asked: list[Any] = [{"role": "user", "content": "Say hi."}]
    first = client.create_streamed(model=script.model, input=asked, tools=tools, store=stored)[-1].response
    more = {"role": "user", "content": "Say ho."}
    sent = [item.model_dump(exclude_none=True) for item in first.output]
    known = {"previous_response_id": first.id, "input": [more]} if stored else {"input": [*asked, *sent, more]}
    second = client.create_streamed(model=script.model, tools=tools, store=stored, **known)[-1].response
    assert [item.output for item in second.output if item.type == "mcp_call"] == ["Echo: ho"]
    assert list(script.requests[0].tools) == ["tool_search"]
    for before, after in pairwise(script.requests):
        assert after.messages[: len(before.messages)] == before.messages
        assert list(after.tools)[: len(before.tools)] == list(before.tools)
    assert "everything__echo" in script.requests[1].tools


def test_a_server_that_was_restarted(gateway: GatewayProcess, script: Script, tmp_path: Path) -> None:
    client, port = SyncClient(gateway.url), free_port()
    input: list[Any] = [{"role": "user", "content": "Say it."}]
    for words in ("before", "after"):
        script.answer(reply(calls=[echo(words)]), reply(text="Said."))
        with Everything(tmp_path, port) as server:
            tool: Any = {"type": "mcp", "server_label": "everything", "server_url": server.url}
            tools = [{**tool, "require_approval": "never"}]
            response = client.create(model=script.model, input=input, tools=tools)
        assert [item.output for item in response.output if item.type == "mcp_call"] == [f"Echo: {words}"]
        input = [*input, *(item.model_dump(exclude_none=True) for item in response.output)]


def test_programs_of_the_configuration(gateway: GatewayProcess, files: Path, script: Script) -> None:
    pages = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=pages.serve_forever, daemon=True).start()
    try:
        script.answer(
            reply(
                calls=[
                    call("files__read_text_file", {"path": str(files / "note.txt")}, "call_1"),
                    call("files__list_directory", {"path": str(files)}, "call_2"),
                    call("fetch__fetch", {"url": f"http://127.0.0.1:{pages.server_port}/"}, "call_3"),
                ]
            ),
            reply(text="Done."),
        )
        tools = [{"type": "mcp", "server_label": label} for label in ("files", "fetch")]
        events = SyncClient(gateway.url).create_streamed(model=script.model, input="Read.", tools=tools)
    finally:
        pages.shutdown()
        pages.server_close()
    results = [item.output for item in events[-1].response.output if item.type == "mcp_call"]
    assert results[:2] == ["Buy milk.", "[FILE] note.txt"]
    assert "The snow is deep in Oslo." in results[2]
