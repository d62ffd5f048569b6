"""Secrets in the body of a request: what a client's MCP servers are to be sent."""

from collections.abc import Iterator
from typing import Any

from responses_gateway.protocol.json import JsonObject, dumps, loads

_REDACTED = "[redacted]"


def without_tool_secrets(body: bytes) -> tuple[bytes, list[str]]:
    """A request as it may be shown, and the secrets that it held; the same bytes if there are none."""
    if b'"mcp"' not in body or (b'"authorization"' not in body and b'"headers"' not in body):
        return body, []
    try:
        request = loads(body)
    except (ValueError, RecursionError):
        return body, []
    secrets = [secret for tool in _tools(request) for secret in _taken_out(tool)]
    return (dumps(request), secrets) if secrets else (body, [])


def _tools(request: Any) -> Iterator[JsonObject]:
    """All MCP servers that a request declares, which over WebSocket may be nested."""
    if not isinstance(request, dict):
        return
    for body in (request, request.get("response")):
        yield from _declared(body) if isinstance(body, dict) else ()


def _declared(body: JsonObject) -> Iterator[JsonObject]:
    items = body.get("input")
    for holder in (body, *(items if isinstance(items, list) else ())):
        tools = holder.get("tools") if isinstance(holder, dict) else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and tool.get("type") == "mcp":
                yield tool


def _taken_out(tool: JsonObject) -> Iterator[str]:
    """The secrets of a declaration, which are replaced in it."""
    if isinstance(token := tool.get("authorization"), str):
        tool["authorization"] = _REDACTED
        yield token
    headers = tool.get("headers")
    if not isinstance(headers, dict):
        return
    tool["headers"] = dict.fromkeys(headers, _REDACTED)
    # The scheme of an authorization (`Bearer`) is no secret.
    yield from (value.rpartition(" ")[2] for value in headers.values() if isinstance(value, str))
