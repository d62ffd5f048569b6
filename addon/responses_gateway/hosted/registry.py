"""All kinds of hosted tools, and those that the gateway's settings let it serve."""

from collections.abc import Collection, Iterator, Sequence

from responses_gateway.hosted.calls import Calls, HostedCalls
from responses_gateway.hosted.interface import DeclaredTool, HostedKind
from responses_gateway.hosted.web_search import WEB_SEARCH
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import AdditionalTools, ResponsesRequest, ToolSearchOutput
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedTool
from responses_gateway.upstream.http_client import HttpClient

KINDS: Sequence[HostedKind] = (WEB_SEARCH,)

HOSTED_TYPES = frozenset(name for kind in KINDS for name in kind.types)
"""The types of all declarations of hosted tools."""


class HostedTools:
    """The services of all kinds that the settings name one for. Raises SettingsError."""

    def __init__(self, settings: Settings, http: HttpClient) -> None:
        services = [(kind, kind.service(settings, http)) for kind in KINDS]
        self._services = [(kind, service) for kind, service in services if service is not None]

    async def open(self, request: ResponsesRequest, owner: str, ledger: Ledger) -> Calls:
        """Prepare the tools that a request declares, whose input has its whole history. Raises GatewayError."""
        tools = []
        # The calls of several answers side by side cannot be carried out.
        for kind, service in self._services if (request.n or 1) == 1 else ():
            if found := declarations(request, kind.types):
                tools.append(await service.open(DeclaredTool(request, found, owner, ledger)))
        return HostedCalls(tools, ledger, request.max_tool_calls)

    async def close(self) -> None:
        for _, service in self._services:
            await service.close()


def recorded_tools(request: ResponsesRequest, owner: str, ledger: Ledger) -> list[HostedTool]:
    """The hosted tools of a recorded turn, without anything that could carry out calls."""
    return [
        kind.recorded(DeclaredTool(request, found, owner, ledger))
        for kind in KINDS
        if (found := declarations(request, kind.types))
    ]


def declarations(request: ResponsesRequest, types: Collection[str]) -> list[JsonObject]:
    """All tools of some types that a request declares, in itself and in its input."""
    return [tool for tool in _declared(request) if tool.get("type") in types]


def _declared(request: ResponsesRequest) -> Iterator[JsonObject]:
    yield from request.tools or ()
    for item in request.input:
        if isinstance(item, AdditionalTools | ToolSearchOutput):
            yield from item.tools
