"""MCP servers that are hostile, slow or broken: limits, and what is told."""

import asyncio
import base64
import gzip
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from responses_gateway.hosted import addresses
from responses_gateway.hosted.calls import RESULT_LIMIT, HostedCalls
from responses_gateway.hosted.interface import Declaration, DeclaredTool, HostedError
from responses_gateway.hosted.mcp import service as module
from responses_gateway.hosted.mcp.lists import BYTE_LIMIT, TOOL_LIMIT
from responses_gateway.hosted.mcp.service import MCP, McpService
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedCall, HostedFunction, HostedResult
from responses_gateway.translate.tools.table import ToolTable
from upstream.images import PNG, png
from upstream.mcp import Handler, ScriptedMcp, result, text, tool

pytest.importorskip("mcp")

Json = dict[str, Any]


def picture(data: str, kind: str = "image/png") -> Json:
    return {"type": "image", "data": data, "mimeType": kind}


class Opened:
    """A server as a client may use it: what the model is offered, and what came of it."""

    def __init__(
        self,
        url: str,
        *,
        calls: int = 0,
        at_once: Sequence[Json] = (),
        hosts: list[str] | None = None,
        seconds: float = 20,
        **fields: Any,
    ) -> None:
        self.ledger = Ledger()
        self.items: list[Json] = []
        self.results: list[HostedResult] = []
        self._declaration = {
            "type": "mcp",
            "server_label": "x",
            "server_url": url,
            "require_approval": "never",
            **fields,
        }
        self.functions: list[HostedFunction] = []
        service = McpService(Settings(mcp_private_hosts=hosts or [], mcp_timeout=seconds))
        asyncio.run(self._open(service, calls, at_once))

    async def _open(self, service: McpService, calls: int, at_once: Sequence[Json]) -> None:
        declaration = self._declaration
        request = parse_request(dumps({"model": "m", "input": "hi", "tools": [declaration]}))
        declared = DeclaredTool(request, [Declaration("tools[0]", declaration)], "", "s", self.ledger, "{}_1".format)
        try:
            opened = await service.open(declared)
            self.functions = list(opened.functions(declaration))
            self.items = [one.item for one in opened.begun]
            carried_out = HostedCalls([opened], self.ledger)
            for _ in range(calls):
                self.results.append(await carried_out.run(HostedCall(opened, self.functions[0], {})))
            together = [HostedCall(opened, self.functions[0], arguments) for arguments in at_once]
            self.results += await asyncio.gather(*map(carried_out.run, together))
        finally:
            await service.close()

    @property
    def noted(self) -> str:
        return "\n".join(map(str, self.ledger.entries))


def opened(server: ScriptedMcp, **fields: Any) -> Opened:
    return Opened(server.url, hosts=[server.host], **fields)


def refused(server: ScriptedMcp, **fields: Any) -> str:
    """What a client is told whose server gives no list."""
    with pytest.raises(GatewayError) as error:
        opened(server, **fields)
    assert (error.value.status, error.value.code, error.value.param) == (424, "http_error", "tools")
    return error.value.message


def test_one_connection_serves_all() -> None:
    with ScriptedMcp() as server:
        seen = opened(server, calls=3)
        assert [found.text for found in seen.results] == ["seen"] * 3
        assert [item["type"] for item in seen.items] == ["mcp_list_tools"]
        assert (server.asked("initialize"), server.asked("tools/list"), server.asked("tools/call")) == (1, 1, 3)


def test_an_endless_list() -> None:
    def page(handler: Handler, message: Json) -> None:
        at = int((message.get("params") or {}).get("cursor") or 0)
        handler.result(message, {"tools": [tool(f"t{at}_{n}") for n in range(20)], "nextCursor": str(at + 1)})

    with ScriptedMcp(tools_list=page) as server:
        seen = opened(server)
        assert len(seen.functions) == TOOL_LIMIT
        assert server.asked("tools/list") == TOOL_LIMIT // 20 + 1
    assert f"capped tools.mcp.x: only the first {TOOL_LIMIT} tools" in seen.noted


def test_a_list_that_goes_round() -> None:
    same = {"tools": [tool("again")], "nextCursor": "on"}
    with ScriptedMcp(tools_list=result(same)) as server:
        seen = opened(server)
        assert server.asked("tools/list") < 100
    assert [one.name for one in seen.functions] == ["again"]
    assert "capped tools.mcp.x: only the first" in seen.noted


def test_a_list_that_is_too_long_to_read() -> None:
    long = {"tools": [tool(f"t{n}", description="x" * (BYTE_LIMIT // 4)) for n in range(9)]}
    with ScriptedMcp(tools_list=result(long)) as server:
        assert len(opened(server).functions) == 3


def test_tools_are_listed_once_in_a_session() -> None:
    async def twice(server: ScriptedMcp) -> None:
        service = McpService(Settings(mcp_private_hosts=[server.host]))
        declaration = {"type": "mcp", "server_label": "x", "server_url": server.url}
        request = parse_request(dumps({"model": "m", "input": "hi", "tools": [declaration]}))
        for owner, session in (("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("a", None), ("a", None)):
            found = [Declaration("tools[0]", declaration)]
            await service.open(DeclaredTool(request, found, owner, session, Ledger(), "{}_1".format))
        await service.close()

    with ScriptedMcp() as server:
        asyncio.run(twice(server))
        assert server.asked("tools/list") == 5
        assert server.asked("initialize") == 2


def hang(handler: Handler, message: Json) -> None:
    handler.server.scripted.released.wait(60)
    handler.result(message, {})


def endless(handler: Handler, message: Json) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.end_headers()
    handler.close_connection = True
    try:
        while not handler.server.scripted.released.is_set():
            handler.wfile.write(b": nothing\n\n" * 1000)
    except OSError:
        pass


def bomb(handler: Handler, message: Json) -> None:
    handler.plain(200, gzip.compress(b" " * (50 << 20)), content_type="application/json", content_encoding="gzip")


def elsewhere(handler: Handler, message: Json) -> None:
    handler.plain(307, location="http://169.254.169.254/latest/meta-data/")


def nonsense(handler: Handler, message: Json) -> None:
    handler.plain(200, b"<html>", content_type="application/json")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (hang, "no answer within 2 seconds"),
        (endless, "longer than 8 MiB"),
        (bomb, "an encoding that nobody asked for"),
        (elsewhere, "Redirect to http://169.254.169.254/latest/meta-data/ not followed"),
        (nonsense, ""),
        (result({"tools": [{"no": "name"}]}), "not what the protocol says (tools.0.inputSchema: Field required)"),
        (lambda handler, message: handler.plain(500), "answered 500"),
        (lambda handler, message: handler.plain(401), "answered 401"),
        (lambda handler, message: handler.error(message, -32000, "out of paper"), "out of paper"),
    ],
)
@pytest.mark.parametrize("method", ["initialize", "tools_list"])
def test_a_server_without_a_list(answer: Callable[[Handler, Json], None], says: str, method: str) -> None:
    if method == "initialize" and answer is not hang and says.startswith(("not what the protocol", "out of paper")):
        says = ""
    with ScriptedMcp(**{method: answer}) as server:
        told = refused(server, seconds=2 if answer is hang else 20)
    assert told.startswith("Error retrieving tool list from MCP server: 'x'. ")
    assert says in told
    assert len(told) < 1000


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (hang, "look failed: no answer within 2 seconds"),
        (endless, "look failed: the server's answer is longer than 8 MiB"),
        (bomb, "look failed: 127.0.0.1 sends an encoding"),
        (elsewhere, "not followed"),
        (nonsense, "look failed: "),
        (result({"content": [{"type": "text"}]}), "look failed: the server's answer is not what the protocol says"),
        (lambda handler, message: handler.plain(500), "answered 500"),
        (lambda handler, message: handler.error(message, -32602, "no such tool"), "look failed: no such tool"),
        (text("x" * (RESULT_LIMIT + 5)), "[The result goes on"),
        (text("x" * (9 << 20)), "longer than 8 MiB"),
        (result({"content": [], "structuredContent": {"a": 1}}), '{"a":1}'),
        (result({"content": [{"type": "resource", "resource": {"uri": "x://y", "text": "inner"}}]}), "inner"),
    ],
)
def test_a_call_that_goes_wrong(answer: Callable[[Handler, Json], None], says: str) -> None:
    with ScriptedMcp(tools_call=answer) as server:
        [found] = opened(server, calls=1, seconds=2 if answer is hang else 20).results
    assert says in found.text
    assert len(found.text) < RESULT_LIMIT + 200


def test_after_a_failure_there_is_another_connection() -> None:
    def once(handler: Handler, message: Json) -> None:
        if handler.server.scripted.asked("tools/call") == 1:
            handler.plain(500)
        else:
            handler.result(message, {"content": [{"type": "text", "text": "here again"}]})

    with ScriptedMcp(tools_call=once) as server:
        first, second = opened(server, calls=2).results
        assert server.asked("initialize") == 2
    assert first.failed
    assert second.text == "here again"


@pytest.mark.parametrize("status", [404, 400])
def test_a_session_that_the_server_has_forgotten(status: int) -> None:
    """A restarted server is such a one, too."""

    def forgets(handler: Handler, message: Json) -> None:
        if handler.server.scripted.asked("tools/call") == 2:
            handler.plain(status)
        else:
            handler.result(message, {"content": [{"type": "text", "text": "seen"}]})

    with ScriptedMcp(tools_call=forgets) as server:
        assert [found.text for found in opened(server, calls=3).results] == ["seen"] * 3
        assert (server.asked("initialize"), server.asked("tools/call")) == (2, 4)


def test_calls_at_the_same_time_in_a_forgotten_session() -> None:
    def forgets(handler: Handler, message: Json) -> None:
        server = handler.server.scripted
        if server.asked("initialize") == 1 and server.asked("tools/call") > 1:
            handler.plain(404)
        else:
            handler.result(message, {"content": [{"type": "text", "text": "seen"}]})

    with ScriptedMcp(tools_call=forgets) as server:
        assert [found.text for found in opened(server, calls=1, at_once=[{}] * 4).results] == ["seen"] * 5
        assert server.asked("initialize") == 2


def test_a_server_that_forgets_every_session() -> None:
    with ScriptedMcp(tools_call=lambda handler, message: handler.plain(404)) as server:
        [found] = opened(server, calls=1).results
        assert server.asked("tools/call") == 2
    assert "look failed: the server answered 404" in found.text


def test_a_call_that_fails_does_not_hurt_others_on_its_connection() -> None:
    waits = threading.Event()

    def by_turns(handler: Handler, message: Json) -> None:
        if message["params"]["arguments"].get("breaks"):
            handler.plain(500)
            waits.set()
        else:
            waits.wait(60)
            handler.result(message, {"content": [{"type": "text", "text": "seen"}]})

    with ScriptedMcp(tools_call=by_turns) as server:
        good, bad = opened(server, at_once=[{}, {"breaks": True}]).results
        assert server.asked("initialize") == 1
    assert (good.text, bad.failed) == ("seen", True)


def test_a_server_that_repeats_what_it_was_sent() -> None:
    secret = "token-of-the-client"

    def repeat(handler: Handler, message: Json) -> None:
        handler.error(message, -32000, f"not with {handler.headers['authorization']}")

    with ScriptedMcp(tools_list=repeat) as server:
        assert refused(server, authorization=secret).endswith("not with Bearer [redacted]")


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/mcp", "http://127.0.0.1:9/mcp", "http://localhost/mcp", "http://[::1]/mcp"),
        *("http://10.0.0.1/", "http://2130706433/", "http://[::ffff:127.0.0.1]/"),
    ],
)
def test_only_public_addresses(url: str) -> None:
    with pytest.raises(GatewayError) as error:
        Opened(url)
    assert "is not on the public internet" in error.value.message


def test_a_name_that_changes_its_address_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rebinding(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with ScriptedMcp() as server:
        monkeypatch.setattr(addresses, "all_addresses", rebinding)
        port = server.host.rpartition(":")[2]
        with pytest.raises(GatewayError):
            Opened(f"http://rebinding.example:{port}/mcp")
        assert server.messages == []
        seen = Opened(f"http://rebinding.example:{port}/mcp", hosts=["rebinding.example"])
        assert [one.name for one in seen.functions] == ["look"]


@pytest.mark.parametrize(
    ("content", "said", "seen", "noted"),
    [
        (picture(PNG), "[Picture 1: image/png]", 1, 0),
        (picture(PNG, kind="text/html"), "[Picture 1: image/png]", 1, 0),
        (
            {"type": "resource", "resource": {"uri": "x://y", "mimeType": "image/png", "blob": PNG}},
            "[Picture 1: image/png]",
            1,
            0,
        ),
        (picture("PHNjcmlwdD4="), "[image content, which cannot be shown here.]", 0, 1),
        (picture("%%%"), "[image content, which cannot be shown here.]", 0, 1),
        (picture(PNG + "A" * (5 << 20)), "[image content, which cannot be shown here. It is too large.]", 0, 1),
        ({"type": "audio", "data": PNG, "mimeType": "audio/wav"}, "[audio content, which cannot be shown here.]", 0, 1),
    ],
)
def test_pictures_of_results(content: Json, said: str, seen: int, noted: int) -> None:
    answer = result({"content": [{"type": "text", "text": "Look:"}, content]})
    with ScriptedMcp(tools_call=answer) as server:
        came = opened(server, calls=1)
    [found] = came.results
    assert found.text == f"Look:\n{said}"
    assert list(found.pictures) == [f"data:image/png;base64,{PNG}"] * seen
    assert came.noted.count("dropped output.mcp_call") == noted


def test_pictures_of_a_result_have_a_limit_together() -> None:
    half = base64.b64encode(png() + bytes(2 << 20)).decode()
    with ScriptedMcp(tools_call=result({"content": [picture(half)] * 2})) as server:
        [found] = opened(server, calls=1).results
    assert len(found.pictures) == 1
    assert "It is too large." in found.text


@pytest.mark.parametrize("required", [True, False])
def test_without_the_package(monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    declaration = {"type": "mcp", "server_label": "x", "server_url": "https://x.example/mcp"}
    choice = {"tool_choice": {"type": "mcp", "server_label": "x"}} if required else {}
    request = parse_request(json.dumps({"model": "m", "input": "hi", "tools": [declaration], **choice}).encode())
    ledger = Ledger()
    declared = DeclaredTool(request, [Declaration("tools[0]", declaration)], "", None, ledger, str)
    if required:
        with pytest.raises(GatewayError, match="responses-gateway\\[mcp\\]"):
            asyncio.run(McpService(Settings()).open(declared))
    else:
        assert asyncio.run(McpService(Settings()).open(declared)).functions(declaration) == []
        assert "responses-gateway[mcp]" in str(ledger.entries[0])


def test_a_recorded_turn_needs_the_lists_in_its_request() -> None:
    declaration = {"type": "mcp", "server_label": "x", "server_url": "https://x.example/mcp"}
    listed = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "x", "tools": [tool("look")]}
    odd = {**listed, "tools": [{"name": 5}, {}, tool("look", description={"a": 1}, input_schema=5, annotations=5)]}
    for items in ([], [listed], [odd]):
        asked = parse_request(dumps({"model": "m", "input": items, "tools": [declaration]}))
        declared = DeclaredTool(asked, [Declaration("tools[0]", declaration)], "", None, Ledger(), str)
        if items:
            assert [one.name for one in MCP.recorded(declared).functions(declaration)] == ["look"]
        else:
            with pytest.raises(HostedError):
                MCP.recorded(declared)


def test_fields_that_mean_nothing_here_are_noted() -> None:
    ledger = Ledger()
    ToolTable(ledger).declare([{"type": "mcp", "server_label": "x", "allowed_callers": ["programmatic"]}], "tools")
    assert "changed tools.allowed_callers" in str(ledger.entries[0])
