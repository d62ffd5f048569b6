"""MCP servers that every client is offered."""

from typing import Any

import pytest

from responses_gateway.hosted.interface import Declaration
from responses_gateway.hosted.mcp.declaration import Permitted, declared_servers
from responses_gateway.hosted.mcp.offered import with_offered_servers
from responses_gateway.settings.settings import McpServer, Settings
from unit.machine import RUN, request

Json = dict[str, Any]

DESK = McpServer.model_validate({"url": "https://desk.example/mcp", "offered": True, "allowed_tools": ["read", "add"]})
SHELF = McpServer.model_validate({"url": "https://shelf.example/mcp"})
CALL: Json = {"type": "function_call", "call_id": "c1", "name": "run", "arguments": "{}"}
CALLED: Json = {"type": "mcp_call", "id": "mcp_1", "server_label": "desk", "name": "add", "arguments": "{}"}
OFFERED = [{"type": "mcp", "server_label": "desk", "offered": True}]


@pytest.mark.parametrize(
    ("fields", "added"),
    [
        ({}, True),
        ({"tools": [RUN]}, True),
        ({"tools": [RUN], "input": [CALL]}, True),
        ({"input": [CALLED]}, True),
        ({"input": [CALL]}, False),
        ({"n": 2}, False),
        ({"input": [{"type": "compaction_trigger"}]}, False),
        ({"tools": [{"type": "mcp", "server_label": "desk"}]}, False),
    ],
)
def test_who_is_offered_what(fields: Json, added: bool) -> None:
    asked = request(**fields)
    tools = with_offered_servers(asked, Settings(mcp_servers={"desk": DESK, "shelf": SHELF})).tools
    assert tools == ([*(asked.tools or []), *OFFERED] if added else asked.tools)


def test_nothing_where_nothing_is_to_be_offered() -> None:
    asked = request()
    for settings in (Settings(), Settings(mcp="off", mcp_servers={"desk": DESK}), Settings(mcp_servers={"x": SHELF})):
        assert with_offered_servers(asked, settings) is asked


@pytest.mark.parametrize(
    ("allowed", "names"),
    [(None, {"read", "add"}), (["read", "write"], {"read"}), ({"read_only": True}, {"read", "add"})],
)
def test_the_operator_allows_tools_too(allowed: Any, names: set[str]) -> None:
    declaration = {"type": "mcp", "server_label": "desk", "allowed_tools": allowed}
    [server] = declared_servers([Declaration("tools[0]", declaration)], Permitted({"desk": DESK}))
    assert server.allowed.names == names
