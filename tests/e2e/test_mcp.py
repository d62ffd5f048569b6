"""Remote MCP servers that the gateway calls for the model: a real server, openai-python as the client."""

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError

from e2e.environment import clean_environment
from e2e.gateway import GatewayProcess, StartGateway
from e2e.openai_client import SyncClient
from e2e.process import LoggedProcess
from upstream import Script, call, reply

pytest.importorskip("mcp")

SERVER = Path(__file__).with_name("mcp_http_server.py")
TOKEN = "token-of-the-client-0001"
RUN = {"type": "function", "name": "desk__add", "parameters": {"type": "object", "properties": {}}}


class McpProcess(LoggedProcess):
    """The server in a process of its own."""

    def __init__(self, home: Path, transport: str) -> None:
        environment = clean_environment(home, {"PYTHONPATH": str(SERVER.parents[1])})
        super().__init__([sys.executable, SERVER, transport], environment)
        self.transport = transport

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/{'sse' if self.transport == 'sse' else 'mcp'}"

    def _wait_ready(self) -> None:
        self.port = int(self.wait_log(r"listening at port (\d+)")[1])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpProcess]:
    with McpProcess(tmp_path_factory.mktemp("mcp"), "streamable-http") as process:
        yield process


@pytest.fixture
def gateway(desk: McpProcess, start_gateway: StartGateway) -> GatewayProcess:
    return start_gateway({"gateway_mcp_private_hosts": desk.host, "gateway_mcp_timeout": "20"})


def declared(desk: McpProcess, **fields: Any) -> dict[str, Any]:
    return {
        "type": "mcp",
        "server_label": "desk",
        "server_url": desk.url,
        "require_approval": "never",
        **fields,
    }


def adding(a: int = 2, b: int = 3, id: str = "call_1") -> Any:
    return call("desk__add", {"a": a, "b": b}, id)


def sent_back(response: Any) -> list[dict[str, Any]]:
    return [item.model_dump(exclude_none=True) for item in response.output]


def test_a_turn(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    script.answer(reply(calls=[adding()], prompt=10, completion=1), reply(text="Five.", prompt=20, completion=2))
    tool = declared(desk, server_description="All about numbers.", allowed_tools=["add", "write"])
    events = SyncClient(gateway.url).create_streamed(model=script.model, input="2 + 3?", tools=[tool])
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:6] == [
        "created",
        "in_progress",
        "output_item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "output_item.done",
    ]
    called = [kind for kind in kinds if kind.startswith("mcp_call")]
    assert called[0] == "mcp_call.in_progress"
    assert called[-2:] == ["mcp_call_arguments.done", "mcp_call.completed"]
    assert set(called[1:-2]) == {"mcp_call_arguments.delta"}
    response = events[-1].response
    listed, made, *_, message = response.output
    assert [one.name for one in listed.tools] == ["add", "write", "fail", "authorization", "picture", "hang"]
    assert listed.tools[0].annotations["readOnlyHint"] is True
    assert (made.name, made.server_label, made.output, made.error, made.status) == (
        "add",
        "desk",
        "5",
        None,
        "completed",
    )
    assert message.content[0].text == "Five."
    assert response.usage.input_tokens == 30
    first, second = script.requests
    assert set(first.tools) == {"desk__add", "desk__write"}
    assert "All about numbers." in first.tools["desk__add"]["description"]
    assert first.tools["desk__add"]["parameters"]["properties"]["a"]["description"] == "The first number."
    assert second.tool_result("call_1") == "5"
    assert second.messages[: len(first.messages)] == first.messages


def test_history_keeps_the_prefix(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    """Over turns with calls between, with and without the ids and the reasoning that clients may drop."""
    client, tools = SyncClient(gateway.url), [declared(desk, allowed_tools=["add"])]
    for dropped in ((), ("id",), ("reasoning",)):
        asked: list[Any] = []
        begun = len(script.requests)
        for turn in range(3):
            script.answer(
                reply(reasoning="Count.", calls=[adding(turn, 1, f"c{turn}a"), adding(turn, 2, f"c{turn}b")]),
                reply(calls=[adding(turn, 3, f"c{turn}c")]),
                reply(text=f"Answer {turn}."),
            )
            asked.append({"role": "user", "content": f"Question {turn}?"})
            response = client.create(model=script.model, input=asked, tools=tools, store=False)
            kinds = [item.type for item in response.output]
            assert kinds.count("mcp_list_tools") == (turn == 0)
            assert kinds.count("mcp_call") == 3
            back = [item for item in sent_back(response) if item["type"] not in dropped]
            asked += [{name: value for name, value in item.items() if name not in dropped} for item in back]
        requests = script.requests[begun:]
        for at, (earlier, later) in enumerate(pairwise(requests)):
            assert later.body["tools"] == earlier.body["tools"]
            # Without the reasoning, nobody knows which calls were made at once.
            if dropped != ("reasoning",) or at % 3 != 2:
                assert later.messages[: len(earlier.messages)] == earlier.messages
        assert requests[-1].roles().count("user") == 3
        results = [message["content"] for message in requests[-1].messages if message["role"] == "tool"]
        assert results == ["1", "2", "3", "2", "3", "4", "3", "4", "5"]


def test_previous_response(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    client, tools = SyncClient(gateway.url), [declared(desk)]
    script.answer(reply(calls=[adding()]), reply(text="Five."), reply(text="Still five."))
    first = client.create(model=script.model, input="2 + 3?", tools=tools)
    second = client.create(model=script.model, input="Sure?", tools=tools, previous_response_id=first.id)
    assert [item.type for item in second.output] == ["message"]
    third, last = script.requests[1:]
    assert last.messages[: len(third.messages)] == third.messages


@pytest.mark.parametrize("stored", [True, False])
def test_an_approved_call(gateway: GatewayProcess, desk: McpProcess, script: Script, stored: bool) -> None:
    client, tools = SyncClient(gateway.url), [declared(desk, require_approval={"never": {"read_only": True}})]
    text = f"approved {script.model} {stored}"
    script.answer(
        reply(calls=[adding(), call("desk__write", {"text": text}, "call_2")]),
        reply(text="It is written."),
        reply(text="You are welcome."),
    )
    asked: list[Any] = [{"role": "user", "content": "Add, and write."}]
    first = client.create(model=script.model, input=asked, tools=tools, store=stored)
    assert [item.type for item in first.output] == [
        *("mcp_list_tools", "mcp_call", "mcp_approval_request", "reasoning"),
    ]
    request = first.output[2]
    assert (request.name, request.server_label) == ("write", "desk")
    answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}

    def go_on(previous: Any, *items: Any) -> list[Any]:
        nonlocal asked
        asked = [*asked, *sent_back(previous), *items]
        known = {"previous_response_id": previous.id, "input": items} if stored else {"input": asked, "store": False}
        return client.create_streamed(model=script.model, tools=tools, **known)

    events = go_on(first, answer)
    second = events[-1].response
    made = next(item for item in second.output if item.type == "mcp_call")
    assert (made.approval_request_id, made.output) == (request.id, f"written 1 time(s): {text}")
    assert [event.type for event in events if "mcp_call" in event.type] == [
        "response.mcp_call.in_progress",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.completed",
    ]
    assert second.output[-1].content[0].text == "It is written."
    go_on(second, {"role": "user", "content": "Thanks."})
    before, after, last = script.requests
    assert after.messages[: len(before.messages)] == before.messages
    assert last.messages[: len(after.messages)] == after.messages
    assert after.roles()[-3:] == ["assistant", "tool", "tool"]
    assert [message["content"] for message in after.messages[-2:]] == ["5", f"written 1 time(s): {text}"]


def test_a_call_that_is_not_approved(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    client, tools = SyncClient(gateway.url), [declared(desk, require_approval="always")]
    script.answer(reply(calls=[adding()]), reply(text="As you like."))
    first = client.create(model=script.model, input="2 + 3?", tools=tools)
    request = first.output[-1] if first.output[-1].type == "mcp_approval_request" else first.output[-2]
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": request.id,
        "approve": False,
        "reason": "too dear",
    }
    second = client.create(model=script.model, input=[answer], tools=tools, previous_response_id=first.id)
    assert [item.type for item in second.output] == ["message"]
    assert script.requests[1].messages[-1]["content"] == "The user did not approve this call. The reason: too dear"


def test_an_answer_to_no_question(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_none", "approve": True}
    with pytest.raises(APIStatusError) as refused:
        SyncClient(gateway.url).create(model=script.model, input=[answer], tools=[declared(desk)])
    assert (refused.value.status_code, refused.value.param) == (400, "input[0].approval_request_id")


def test_a_tool_that_fails(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    script.answer(reply(calls=[call("desk__fail", {}, "call_1")]), reply(text="It failed."))
    events = SyncClient(gateway.url).create_streamed(model=script.model, input="Fail.", tools=[declared(desk)])
    assert "response.mcp_call.failed" in [event.type for event in events]
    made = events[-1].response.output[1]
    assert (made.status, made.output, made.error.type) == ("failed", None, "mcp_tool_execution_error")
    assert script.requests[1].tool_result("call_1") == "Error executing tool fail"


def test_a_picture_is_seen_in_all_turns(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    client, tools = SyncClient(gateway.url), [declared(desk)]
    script.answer(reply(calls=[call("desk__picture", {}, "call_1")]), reply(text="Nice."), reply(text="Red."))
    asked: list[Any] = [{"role": "user", "content": "Show."}]
    response = client.create(model=script.model, input=asked, tools=tools, store=False)
    assert response.output[1].output == "[Picture 1: image/png]"
    asked += [*sent_back(response), {"role": "user", "content": "Which colour?"}]
    client.create(model=script.model, input=asked, tools=tools, store=False)
    _, second, third = script.requests
    assert second.messages[-1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert third.messages[: len(second.messages)] == second.messages


def test_a_call_that_hangs(desk: McpProcess, start_gateway: StartGateway, script: Script) -> None:
    gateway = start_gateway({"gateway_mcp_private_hosts": desk.host, "gateway_mcp_timeout": "4"})
    client = SyncClient(gateway.url)
    script.answer(
        reply(calls=[call("desk__hang", {}, "call_1")]),
        reply(calls=[adding(id="call_2")]),
        reply(text="Five at least."),
    )
    response = client.create(model=script.model, input="Wait.", tools=[declared(desk)])
    assert response.output_text == "Five at least."
    assert "hang failed: no answer within 4 seconds" in script.requests[1].tool_result("call_1")
    assert script.requests[2].tool_result("call_2") == "5"


def test_tools_named_like_the_clients(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    script.answer(reply(calls=[call("desk__add", {}, "call_1")]))
    response = SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[RUN, declared(desk)])
    assert [item.type for item in response.output][1:] == ["function_call"]
    names = list(script.requests[0].tools)
    assert names[0] == "desk__add"
    assert names[1].startswith("desk__add_")


@pytest.mark.parametrize("name", ["add", None])
def test_a_tool_that_is_required(gateway: GatewayProcess, desk: McpProcess, script: Script, name: str | None) -> None:
    script.answer(reply(calls=[adding()]), reply(text="Five."))
    choice = {"type": "mcp", "server_label": "desk", **({"name": name} if name else {})}
    tools = [RUN | {"name": "other"}, declared(desk, allowed_tools=["add", "write"])]
    SyncClient(gateway.url).create(model=script.model, input="2 + 3?", tools=tools, tool_choice=choice)
    first, second = script.requests
    if name:
        assert first.body["tool_choice"] == {"type": "function", "function": {"name": "desk__add"}}
    else:
        assert first.body["tool_choice"] == "required"
        assert set(first.tools) == {"desk__add", "desk__write"}
    assert second.body["tool_choice"] == "auto"


def test_a_declaration_that_cannot_be_served(gateway: GatewayProcess, desk: McpProcess, script: Script) -> None:
    tool = declared(desk, connector_id="connector_gmail")
    with pytest.raises(APIStatusError) as refused:
        SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[tool])
    assert (refused.value.status_code, refused.value.param) == (400, "tools[0].connector_id")
    assert "OpenAI" in refused.value.message
    assert script.requests == []


def test_secrets_go_to_the_server_alone(
    desk: McpProcess, start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    capture, archive = tmp_path / "flows", tmp_path / "archive.sqlite3"
    gateway = start_gateway(
        {
            "gateway_mcp_private_hosts": desk.host,
            "gateway_archive": str(archive),
            "gateway_upstream_log": str(tmp_path / "log"),
            "gateway_upstream_log_bodies": "true",
            "flow_detail": "4",
            "store_streamed_bodies": "true",
        },
        ["-w", str(capture)],
    )
    client = SyncClient(gateway.url)
    tool = declared(desk, authorization=TOKEN, headers={"x-other": "value-of-a-header-0002"})
    script.answer(reply(calls=[call("desk__authorization", {}, "call_1")]), reply(text="Done."))
    response = client.create(model=script.model, input="Who?", tools=[tool])
    assert script.requests[1].tool_result("call_1") == "Bearer [redacted]"
    assert not hasattr(response.tools[0], "authorization") or response.tools[0].authorization is None
    gateway.stop()
    seen = [response.model_dump_json().encode(), gateway.log.encode(), *(r.raw for r in script.requests)]
    seen += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "requests.jsonl"]
    assert capture.stat().st_size > 0
    assert archive.stat().st_size > 0
    for secret in (TOKEN.encode(), b"value-of-a-header-0002"):
        assert [text for text in seen if secret in text] == []


def test_the_older_transport(tmp_path: Path, start_gateway: StartGateway, script: Script) -> None:
    with McpProcess(tmp_path, "sse") as old:
        gateway = start_gateway({"gateway_mcp_private_hosts": old.host})
        script.answer(reply(calls=[adding()]), reply(text="Five."))
        response = SyncClient(gateway.url).create(model=script.model, input="2 + 3?", tools=[declared(old)])
        assert response.output[1].output == "5"


@pytest.mark.parametrize("kind", ["command", "url"])
def test_a_server_of_the_configuration(
    desk: McpProcess, tmp_path: Path, start_gateway: StartGateway, script: Script, kind: str
) -> None:
    """By its label; it may be anywhere, and what is secret of it stays with the gateway."""
    program = {"command": sys.executable, "args": [str(SERVER), "stdio"], "env": {"PYTHONPATH": str(SERVER.parents[1])}}
    remote = {"url": desk.url, "headers": {"Authorization": f"Bearer {TOKEN}"}}
    server = {**(program if kind == "command" else remote), "description": "A desk.", "require_approval": "never"}
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({"mcp": "configured", "mcp_servers": {"desk": server}}))
    gateway = start_gateway({"gateway_config": str(config)})
    client = SyncClient(gateway.url)
    tool = {"type": "mcp", "server_label": "desk"}
    script.answer(reply(calls=[adding()]), reply(text="Five."))
    response = client.create(model=script.model, input="2 + 3?", tools=[tool])
    assert response.output[1].output == "5"
    assert "A desk." in script.requests[0].tools["desk__add"]["description"]
    with pytest.raises(APIStatusError) as refused:
        client.create(model=script.model, input="Go.", tools=[declared(desk)])
    assert refused.value.param == "tools[0].server_url"


def test_a_server_that_every_client_is_offered(
    desk: McpProcess, tmp_path: Path, start_gateway: StartGateway, script: Script
) -> None:
    """One that cannot be reached is left out."""
    common = {"require_approval": "never", "offered": True}
    servers = {
        "desk": {"url": desk.url, "allowed_tools": ["add"], **common},
        "gone": {"url": "http://127.0.0.1:9/mcp", **common},
    }
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps({"mcp_servers": servers}))
    gateway = start_gateway({"gateway_config": str(config)})
    script.answer(reply(calls=[adding()]), reply(text="Five."))
    response = SyncClient(gateway.url).create(model=script.model, input="2 + 3?")
    assert [item.type for item in response.output] == ["mcp_list_tools", "mcp_call", "reasoning", "message"]
    assert set(script.requests[0].tools) == {"desk__add"}
    gateway.wait_log("dropped tools.mcp.gone: Error retrieving tool list")


def test_switched_off(desk: McpProcess, start_gateway: StartGateway, script: Script) -> None:
    gateway = start_gateway({"gateway_mcp": "off"})
    script.answer(reply(text="Without."))
    response = SyncClient(gateway.url).create(model=script.model, input="Go.", tools=[declared(desk)])
    assert response.output_text == "Without."
    gateway.wait_log("dropped tools.mcp: no chat upstream runs this hosted tool")
