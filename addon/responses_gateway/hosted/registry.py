"""All kinds of hosted tools, and those that the gateway's settings let it serve."""

from collections.abc import Callable, Collection, Iterator, Sequence

from responses_gateway.hosted.calls import Calls, HostedCalls
from responses_gateway.hosted.image_generation import IMAGE_GENERATION
from responses_gateway.hosted.interface import Declaration, DeclaredTool, HostedKind, RunnableTool
from responses_gateway.hosted.mcp.service import MCP
from responses_gateway.hosted.tool_search import TOOL_SEARCH
from responses_gateway.hosted.web_search import WEB_SEARCH
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import AdditionalTools, ResponsesRequest, ToolSearchOutput
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedTool
from responses_gateway.upstream.http_client import HttpClient

KINDS: Sequence[HostedKind] = (WEB_SEARCH, MCP, IMAGE_GENERATION, TOOL_SEARCH)
"""A search for tools finds those of the kinds before it."""

HOSTED_TYPES = frozenset(name for kind in KINDS for name in kind.types)
"""The types of all declarations of hosted tools."""


class HostedTools:
    """The services of all kinds that the settings name one for. Raises SettingsError."""

    def __init__(self, settings: Settings, http: HttpClient, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        services = [(kind, kind.service(settings, http)) for kind in KINDS]
        self._services = [(kind, service) for kind, service in services if service is not None]

    async def open(self, request: ResponsesRequest, owner: str, session: str | None, ledger: Ledger) -> Calls:
        """Prepare the tools that a request declares, whose input has its whole history. Raises GatewayError.

        `session` is the id of the owner's session, if the client names one.
        """
        tools: list[RunnableTool] = []
        # The calls of several answers side by side cannot be carried out.
        for kind, service in self._services if (request.n or 1) == 1 else ():
            if found := declarations(request, kind.types):
                declared = DeclaredTool(request, found, owner, session, ledger, self._new_id, tools)
                tools.append(await service.open(declared))
        used = sum(one.is_call for tool in tools for one in tool.begun)
        limit = request.max_tool_calls
        return HostedCalls(tools, ledger, None if limit is None else max(0, limit - used))

    async def close(self) -> None:
        for _, service in self._services:
            await service.close()


def recorded_tools(
    request: ResponsesRequest, owner: str, ledger: Ledger, new_id: Callable[[str], str]
) -> list[HostedTool]:
    """The hosted tools of a recorded turn, without anything that could carry out calls."""
    tools: list[HostedTool] = []
    for kind in KINDS:
        if found := declarations(request, kind.types):
            tools.append(kind.recorded(DeclaredTool(request, found, owner, None, ledger, new_id, tools)))
    return tools


def search_of(request: ResponsesRequest, owner: str, ledger: Ledger, new_id: Callable[[str], str]) -> list[HostedTool]:
    """The search that a request declares, as far as it needs nothing but the request."""
    found = declarations(request, TOOL_SEARCH.types)
    return [TOOL_SEARCH.recorded(DeclaredTool(request, found, owner, None, ledger, new_id))] if found else []


def declarations(request: ResponsesRequest, types: Collection[str]) -> list[Declaration]:
    """All tools of some types that a request declares, in itself and in its input."""
    return [declared for declared in _declared(request) if is_hosted(declared.value, types)]


def is_hosted(declaration: JsonObject, types: Collection[str] = HOSTED_TYPES) -> bool:
    """Whether a declaration is one of a hosted tool of some types, which the client does not carry out itself."""
    return str(declaration.get("type")) in types and declaration.get("execution") != "client"


def _declared(request: ResponsesRequest) -> Iterator[Declaration]:
    for position, tool in enumerate(request.tools or ()):
        yield Declaration(f"tools[{position}]", tool)
    for at, item in enumerate(request.input):
        # What a search of the gateway's has found is declared elsewhere.
        if isinstance(item, AdditionalTools) or (isinstance(item, ToolSearchOutput) and not item.by_server):
            for position, tool in enumerate(item.tools):
                yield Declaration(f"input[{at}].tools[{position}]", tool)
