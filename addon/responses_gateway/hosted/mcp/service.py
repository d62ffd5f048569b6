"""The hosted tool mcp: opens servers for a response, and carries out calls of their tools."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec

from responses_gateway.hosted.addresses import CheckedAddresses
from responses_gateway.hosted.calls import RESULT_LIMIT, HostedCalls
from responses_gateway.hosted.interface import DeclaredTool, HostedError, RunnableTool, ToolLimits
from responses_gateway.hosted.mcp.connections import Connections
from responses_gateway.hosted.mcp.declaration import DeclaredServer, Permitted, declared_servers, secrets_of
from responses_gateway.hosted.mcp.lists import ToolLists, listed_tools, usable
from responses_gateway.hosted.mcp.session import CallOutcome, Connect, Session
from responses_gateway.hosted.mcp.tool import MCP_TYPES, ListedTools
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.proxy.upstream_proxies import UpstreamProxies
from responses_gateway.security.redaction import Redactor
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.request.compaction import asks_for_compaction
from responses_gateway.translate.tools.arguments import parsed_arguments
from responses_gateway.translate.tools.hosted import BegunItem, HostedCall, HostedFunction, HostedResult, HostedTool
from responses_gateway.upstream.http_client import HttpClient

_FIELD = "tools.mcp"
_PACKAGE = "the gateway lacks the package mcp: pip install 'responses-gateway[mcp]'"


class McpTools(ListedTools):
    """The MCP servers of one response."""

    def __init__(
        self,
        servers: Mapping[str, tuple[DeclaredServer, Sequence[JsonObject]]],
        declared: DeclaredTool,
        connections: Connections,
        limits: ToolLimits,
    ) -> None:
        super().__init__(servers)
        self.limits = limits
        self._declared = declared
        self._connections = connections
        self._redactor = Redactor()
        self._redactor.conceal(secrets_of(self._servers.values()))

    async def run(self, call: HostedCall) -> HostedResult:
        server = self._servers[call.function.namespace or ""]

        async def work(session: Session) -> CallOutcome:
            return await session.call_tool(call.name, call.arguments)

        try:
            outcome = await self._connections.use(self._declared.owner, server.address, work, repeatable=False)
        except HostedError as error:
            raise HostedError(self._redactor.clean_text(str(error))) from None
        if outcome.left_out:
            why = "content of a result that is neither text nor a picture, or too large"
            self._declared.ledger.add("dropped", "output.mcp_call", why)
        text = self._redactor.clean_text(outcome.text)
        if not outcome.failed:
            return HostedResult(text, pictures=outcome.pictures)
        content = [{"type": "text", "text": text[:RESULT_LIMIT]}]
        fault = {"type": "mcp_tool_execution_error", "content": content}
        return HostedResult(text, failed=True, details={"error": fault}, pictures=outcome.pictures)


class McpService:
    """Opens MCP servers, and keeps connections and lists of tools."""

    def __init__(self, settings: Settings) -> None:
        self._permitted = Permitted(settings.mcp_servers, others=settings.mcp == "any")
        self._seconds = settings.mcp_timeout
        self._proxies = settings.proxies
        self._limits = ToolLimits(settings.mcp_rounds, settings.mcp_timeout, "calls of MCP tools", "calling MCP tools")
        self._addresses = CheckedAddresses(settings.mcp_private_hosts)
        self._lists = ToolLists()
        self._connections = Connections(self._connector)
        self._has_package = find_spec("mcp") is not None

    async def _connector(self) -> Connect:
        return await asyncio.to_thread(_loaded, self._addresses, self._seconds, self._proxies)

    async def open(self, declared: DeclaredTool) -> RunnableTool:
        servers = declared_servers(declared.declarations, self._permitted)
        if not self._has_package:
            _do_without(declared)
            servers = []
        known = _known_lists(declared)
        found = {server.label: known[server.label] for server in servers if server.label in known}
        missing = [server for server in servers if server.label not in found]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._tools_or_error(server, declared)) for server in missing]
        for server, task in zip(missing, tasks, strict=True):
            tools = task.result()
            if not isinstance(tools, GatewayError):
                found[server.label] = tools
            elif server.offered:
                declared.ledger.add("dropped", f"{_FIELD}.{server.label}", tools.message)
            else:
                raise tools
        servers = [server for server in servers if server.label in found]
        missing = [server for server in missing if server.label in found]
        tool = McpTools(
            {server.label: (server, found[server.label]) for server in servers},
            declared,
            self._connections,
            self._limits,
        )
        if servers and not asks_for_compaction(declared.request):
            tool.begun += [_list_item(server.label, found[server.label], declared) for server in missing]
            calls = HostedCalls([tool], declared.ledger, declared.request.max_tool_calls)
            approved = [_carried_out(one, tool, calls, declared) for one in [*_approved(tool, declared)]]
            tool.begun += await asyncio.gather(*approved)
        return tool

    async def _tools_or_error(self, server: DeclaredServer, declared: DeclaredTool) -> list[JsonObject] | GatewayError:
        owner, session = declared.owner, declared.session
        known = self._lists.get(owner, session, server.address)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(self._seconds):
                tools, left_out = await self._connections.use(owner, server.address, listed_tools, repeatable=True)
        except TimeoutError:
            return _no_list(server, f"no answer within {self._seconds:g} seconds")
        except HostedError as error:
            return _no_list(server, str(error))
        if left_out:
            declared.ledger.add("capped", f"{_FIELD}.{server.label}", left_out)
        self._lists.keep(owner, session, server.address, tools)
        return tools

    async def close(self) -> None:
        await self._connections.close()


class McpKind:
    """mcp, unless the settings switch it off."""

    types: Collection[str] = MCP_TYPES

    def service(self, settings: Settings, http: HttpClient) -> McpService | None:
        return McpService(settings) if settings.mcp != "off" else None

    def recorded(self, declared: DeclaredTool) -> HostedTool:
        known = _known_lists(declared)
        try:
            declarations = declared_servers(declared.declarations, Permitted({}))
        except GatewayError as error:
            raise HostedError(f"its MCP servers are not all in its request: {error.message}") from None
        servers = [(server, known.get(server.label)) for server in declarations]
        if any(tools is None for _, tools in servers):
            raise HostedError("the tools of its MCP servers are not in its request")
        return ListedTools({server.label: (server, tools or []) for server, tools in servers})


MCP = McpKind()


def _loaded(addresses: CheckedAddresses, seconds: float, proxies: UpstreamProxies) -> Connect:
    # Slow to load, and for those alone who use it.
    from responses_gateway.hosted.mcp.sdk import connector

    return connector(addresses, seconds, proxies)


def _known_lists(declared: DeclaredTool) -> dict[str, list[JsonObject]]:
    """The lists in the history, by label."""
    lists = [item for item in declared.request.input if isinstance(item, wire.McpListTools) and not item.error]
    return {item.server_label: usable(item.tools) for item in lists}


def _do_without(declared: DeclaredTool) -> None:
    """Note that no server can be called; raise GatewayError when one has to be."""
    choice = declared.request.tool_choice
    if isinstance(choice, dict) and choice.get("type") in MCP_TYPES:
        raise GatewayError(f"No MCP server can be called: {_PACKAGE}.", code="unsupported_value", param="tool_choice")
    declared.ledger.add("dropped", _FIELD, _PACKAGE)


def _no_list(server: DeclaredServer, why: str) -> GatewayError:
    """As OpenAI's API says it."""
    redactor = Redactor()
    redactor.conceal(server.secrets)
    message = f"Error retrieving tool list from MCP server: '{server.label}'. {redactor.clean_text(why)}"
    return GatewayError(message, 424, "http_error", type="external_connector_error", param="tools")


def _list_item(label: str, tools: Sequence[JsonObject], declared: DeclaredTool) -> BegunItem:
    item = {"id": declared.new_id("mcpl"), "type": "mcp_list_tools", "server_label": label}
    events: list[tuple[str, JsonObject]] = [
        (f"response.mcp_list_tools.{step}", {}) for step in ("in_progress", "completed")
    ]
    return BegunItem({**item, "tools": []}, events, {**item, "tools": list(tools)})


type _Approved = tuple[HostedFunction, str]
"""What the client has approved, and its arguments."""


def _approved(tool: ListedTools, declared: DeclaredTool) -> Iterator[_Approved]:
    """The calls that the client has approved and that were not carried out yet. Raises GatewayError."""
    items = declared.request.input
    asked = {item.id: item for item in items if isinstance(item, wire.McpApprovalRequest)}
    done = {item.approval_request_id for item in items if isinstance(item, wire.McpCall)}
    for position, item in enumerate(items):
        if not isinstance(item, wire.McpApprovalResponse):
            continue
        param, request_id = f"input[{position}].approval_request_id", item.approval_request_id
        request = asked.get(request_id)
        if request is None:
            why = f"No mcp_approval_request with id '{request_id}' is in the input."
            raise GatewayError(why, code="invalid_value", param=param)
        if not item.approve or request_id in done:
            continue
        done.add(request_id)
        function = tool.approved(request.server_label, request.name, request_id)
        if function is None:
            why = f"The tool '{request.name}' of the MCP server '{request.server_label}' is not offered any more."
            raise GatewayError(why, code="invalid_value", param=param)
        yield function, request.arguments


async def _carried_out(approved: _Approved, tool: McpTools, calls: HostedCalls, declared: DeclaredTool) -> BegunItem:
    """Carry out a call before the model is asked: it waits for the result."""
    function, arguments = approved
    result = await calls.run(HostedCall(tool, function, parsed_arguments(arguments)))
    form, end = function.form, "failed" if result.failed else "completed"
    item: JsonObject = {"id": declared.new_id(form.prefix), "type": form.type}
    events: list[tuple[str, JsonObject]] = [
        ("response.mcp_call.in_progress", {}),
        ("response.mcp_call_arguments.delta", {"delta": arguments}),
        ("response.mcp_call_arguments.done", {"arguments": arguments}),
        (f"response.mcp_call.{end}", {}),
    ]
    return BegunItem(
        {**item, "status": "in_progress", **form.fields(function.name, "", None)},
        events,
        {**item, "status": end, **form.fields(function.name, arguments, result)},
        is_call=True,
    )
