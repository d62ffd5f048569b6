"""What a client's MCP servers are to be sent is not shown with the request."""

import json
from typing import Any

import pytest

from responses_gateway.security.tool_secrets import without_tool_secrets

TOOL = {
    "type": "mcp",
    "server_label": "x",
    "authorization": "token-1",
    "headers": {"X-Key": "key-2", "A": "Bearer b-3"},
}
SHOWN = {**TOOL, "authorization": "[redacted]", "headers": {"X-Key": "[redacted]", "A": "[redacted]"}}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tool: {"model": "m", "tools": [{"type": "function", "name": "f"}, tool]},
        lambda tool: {"input": ["x", {"type": "additional_tools", "tools": [tool]}]},
        lambda tool: {"type": "response.create", "response": {"tools": [tool]}},
    ],
)
def test_wherever_a_server_is_declared(wrap: Any) -> None:
    shown, secrets = without_tool_secrets(json.dumps(wrap(TOOL)).encode())
    assert json.loads(shown) == wrap(SHOWN)
    assert secrets == ["token-1", "key-2", "b-3"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"tools": [{"type": "mcp", "server_label": "x"}], "headers": 1}',
        b'{"tools": [{"type": "function", "headers": {"a": "mcp"}}, "mcp"]}',
        b'{"tools": [{"type": "mcp", "headers": 5}]}',
        b'["mcp", "headers"]',
        b'{"mcp" "headers"',
        b'{"mcp": 1, "headers": 1, "tools": 5, "input": 5}',
    ],
)
def test_what_holds_none_stays_as_it_is(body: bytes) -> None:
    assert without_tool_secrets(body) == (body, [])
