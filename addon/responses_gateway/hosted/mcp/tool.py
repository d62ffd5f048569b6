"""The tools of MCP servers as the model and the client see them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from responses_gateway.hosted.mcp.declaration import DeclaredServer
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.tools.hosted import BegunItem, HostedFunction, HostedResult, Step

MCP_TYPES = frozenset({"mcp"})

_PROTOCOL_ERROR = -32603
"""The code of JSON-RPC for an internal error."""


@dataclass(frozen=True, slots=True)
class McpCallForm:
    """Calls that are carried out, as mcp_call items."""

    server_label: str
    approval_request_id: str | None = None
    type = "mcp_call"
    prefix = "mcp"
    arguments_event = "response.mcp_call_arguments"
    events: Mapping[Step, str] = MappingProxyType(
        {
            "opened": "response.mcp_call.in_progress",
            "completed": "response.mcp_call.completed",
            "failed": "response.mcp_call.failed",
        }
    )

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        """Name, arguments, and what came of the call."""
        output: str | None = None
        error: JsonObject | None = None
        if result is not None and result.failed:
            error = {"type": "mcp_protocol_error", "code": _PROTOCOL_ERROR, "message": result.text}
        elif result is not None:
            output = result.text
        return {
            "server_label": self.server_label,
            "name": name,
            "arguments": arguments,
            "approval_request_id": self.approval_request_id,
            "output": output,
            "error": error,
            **((result.details if result is not None else None) or {}),
        }


@dataclass(frozen=True, slots=True)
class ApprovalForm:
    """Calls that the client has to approve, as mcp_approval_request items."""

    server_label: str
    type = "mcp_approval_request"
    prefix = "mcpr"
    arguments_event = None
    events: Mapping[Step, str] = MappingProxyType({})

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        """Name and arguments."""
        return {"server_label": self.server_label, "name": name, "arguments": arguments}


class ListedTools:
    """The tools of all servers that one request declares. `begun` are the items that came of listing them."""

    types: Collection[str] = MCP_TYPES

    def __init__(self, servers: Mapping[str, tuple[DeclaredServer, Sequence[JsonObject]]]) -> None:
        """`servers` by label, each with all its tools."""
        self.begun: list[BegunItem] = []
        self._servers = {label: server for label, (server, _) in servers.items()}
        self._functions = {
            label: {tool["name"]: _function(server, tool) for tool in tools if server.allowed.matches(tool)}
            for label, (server, tools) in servers.items()
        }

    def functions(self, declaration: JsonObject) -> Sequence[HostedFunction]:
        return list(self._of(declaration).values())

    def chosen(self, choice: JsonObject) -> Collection[tuple[str | None, str]]:
        name = choice.get("name")
        return [(one.namespace, one.name) for one in self._of(choice).values() if name in (None, one.name)]

    def recalled(self, name: str, arguments: JsonObject, text: str) -> HostedResult:
        return HostedResult(text)

    def approved(self, label: str, name: str, request_id: str) -> HostedFunction | None:
        """The function that the client has approved a call of; None when it is not offered."""
        function = self._functions.get(label, {}).get(name)
        return function and replace(function, form=McpCallForm(label, request_id), asks=False)

    def _of(self, declaration: JsonObject) -> Mapping[str, HostedFunction]:
        label = declaration.get("server_label")
        return self._functions.get(label, {}) if isinstance(label, str) else {}


def _function(server: DeclaredServer, tool: JsonObject) -> HostedFunction:
    asks = server.approval.needed(tool)
    schema, description = tool.get("input_schema"), tool.get("description")
    return HostedFunction(
        tool["name"],
        description if isinstance(description, str) else "",
        schema if isinstance(schema, dict) else {},
        ApprovalForm(server.label) if asks else McpCallForm(server.label),
        server.label,
        server.about,
        asks,
        # Many programs answer one request after another, and then the second one's time runs while it waits.
        one_at_a_time=bool(server.address.command),
    )
