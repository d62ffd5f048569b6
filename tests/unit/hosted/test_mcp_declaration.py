"""Declarations of MCP servers: what is understood of them, and what is refused."""

from typing import Any

import pytest

from responses_gateway.hosted.interface import Declaration
from responses_gateway.hosted.mcp.declaration import DeclaredServer, Permitted, declared_servers
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.settings import McpServer

Json = dict[str, Any]

DESK: Json = {"type": "mcp", "server_label": "desk", "server_url": "https://desk.example/mcp"}
WRITE: Json = {"name": "write", "annotations": {"readOnlyHint": False}}
READ: Json = {"name": "read", "annotations": {"readOnlyHint": True}}
PLAIN: Json = {"name": "plain", "annotations": None}


def understood(permitted: Permitted | None = None, **fields: Any) -> DeclaredServer:
    [server] = declared_servers([Declaration("tools[0]", {**DESK, **fields})], permitted or Permitted({}))
    return server


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        (None, ["write", "read", "plain"]),
        ("always", ["write", "read", "plain"]),
        ("never", []),
        ({}, ["write", "read", "plain"]),
        ({"never": {"tool_names": ["write"]}}, ["read", "plain"]),
        ({"never": {"read_only": True}}, ["write", "plain"]),
        ({"never": {"read_only": True, "tool_names": ["write"]}}, ["write", "read", "plain"]),
        ({"always": {"tool_names": ["write"]}}, ["write"]),
        ({"always": {"read_only": False}}, ["write", "plain"]),
        ({"always": {"tool_names": ["read"]}, "never": {"read_only": True}}, ["write", "read", "plain"]),
    ],
)
def test_who_approves(policy: Any, asked: list[str]) -> None:
    approval = understood(require_approval=policy).approval
    assert [tool["name"] for tool in (WRITE, READ, PLAIN) if approval.needed(tool)] == asked


@pytest.mark.parametrize(
    ("allowed", "offered"),
    [
        (None, ["write", "read", "plain"]),
        (["read", "other"], ["read"]),
        ([], []),
        ({"tool_names": ["write"]}, ["write"]),
        ({"read_only": True}, ["read"]),
    ],
)
def test_what_is_allowed(allowed: Any, offered: list[str]) -> None:
    allow = understood(allowed_tools=allowed).allowed
    assert [tool["name"] for tool in (WRITE, READ, PLAIN) if allow.matches(tool)] == offered


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"server_label": None}, "tools[0].server_label", "Missing"),
        ({"server_label": 5}, "tools[0].server_label", "a string"),
        ({"server_url": None}, "tools[0].server_url", "no MCP server 'desk'"),
        ({"server_url": "ftp://x/"}, "tools[0].server_url", "https://HOST/PATH"),
        ({"server_url": "http://user@x/"}, "tools[0].server_url", "https://HOST/PATH"),
        ({"server_url": "http://[x/"}, "tools[0].server_url", "https://HOST/PATH"),
        ({"server_url": "http://x:99999/"}, "tools[0].server_url", "https://HOST/PATH"),
        ({"connector_id": "connector_gmail"}, "tools[0].connector_id", "OpenAI's"),
        ({"tunnel_id": "tunnel_1"}, "tools[0].tunnel_id", "OpenAI's"),
        ({"require_approval": "sometimes"}, "tools[0].require_approval", "'always', 'never'"),
        ({"require_approval": {"always": 5}}, "tools[0].require_approval.always", "a list of names"),
        ({"allowed_tools": "add"}, "tools[0].allowed_tools", "a list of names"),
        ({"allowed_tools": [5]}, "tools[0].allowed_tools.tool_names", "a list of names"),
        ({"allowed_tools": {"read_only": "x"}}, "tools[0].allowed_tools.read_only", "true or false"),
        ({"headers": ["x"]}, "tools[0].headers", "an object"),
        ({"headers": {"x": "a\nb"}}, "tools[0].headers", "character"),
        ({"headers": {"Host": "internal"}}, "tools[0].headers", "'host' is set by the gateway"),
        ({"headers": {"Authorization": "Bearer x"}, "authorization": "y"}, "tools[0].authorization", "too"),
    ],
)
def test_what_cannot_be_served(fields: Json, param: str, says: str) -> None:
    with pytest.raises(GatewayError) as refused:
        understood(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert says in refused.value.message


def test_two_servers_of_one_name() -> None:
    twice = [Declaration(f"tools[{position}]", DESK) for position in range(2)]
    with pytest.raises(GatewayError) as refused:
        declared_servers(twice, Permitted({}))
    assert refused.value.param == "tools[1].server_label"


def test_secrets_are_shown_nowhere() -> None:
    server = understood(authorization="token-1", headers={"X-Key": "key-2"})
    assert dict(server.address.headers) == {"x-key": "key-2", "authorization": "Bearer token-1"}
    assert set(server.secrets) == {"token-1", "key-2"}
    assert not any(secret in repr(server) for secret in server.secrets)


def test_servers_of_the_configuration() -> None:
    own = McpServer.model_validate(
        {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer own"}, "description": "A desk."}
    )
    permitted = Permitted({"desk": own}, others=False)
    server = understood(permitted, server_url=None, headers={"x": "1", "authorization": "Bearer client"})
    assert (server.address.configured, server.about) == (True, "A desk.")
    assert dict(server.address.headers) == {"x": "1", "authorization": "Bearer own"}
    assert not understood(server_url="http://127.0.0.1:9/mcp").address.configured
    with pytest.raises(GatewayError) as refused:
        understood(permitted)
    assert "by their labels" in refused.value.message


@pytest.mark.parametrize("fields", [{}, {"url": "http://x/", "command": "y"}])
def test_a_configured_server_is_at_one_place(fields: Json) -> None:
    with pytest.raises(ValueError, match="exactly one of url and command"):
        McpServer.model_validate(fields)
