"""MCP servers of the configuration that every client is offered, whether it knows of them or not."""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.request.compaction import asks_for_compaction
from responses_gateway.translate.request.tool_calls import count_calls


def with_offered_servers(request: ResponsesRequest, settings: Settings) -> ResponsesRequest:
    """`request`, whose input has its whole history, with the servers that its client does not declare itself.

    A request without tools whose history calls some is one that takes no call: Codex asks for a summary so.
    """
    labels = [label for label, server in settings.mcp_servers.items() if server.offered and settings.mcp != "off"]
    if not labels or (request.n or 1) != 1 or asks_for_compaction(request):
        return request
    if not request.tools and count_calls(request.input):
        return request
    known = {tool.get("server_label") for tool in request.tools or () if tool.get("type") == "mcp"}
    added: list[JsonObject] = [
        {"type": "mcp", "server_label": label, "offered": True} for label in labels if label not in known
    ]
    return request.model_copy(update={"tools": [*(request.tools or ()), *added]})
