"""The tools of MCP servers: listed page by page within limits, and remembered for the session."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from responses_gateway.hosted.mcp.session import ServerAddress, Session
from responses_gateway.protocol.json import JsonObject, dumps

TOOL_LIMIT = 256
"""Tools of one server at most."""

BYTE_LIMIT = 1 << 20
"""What they may take as JSON: every request to the model holds all of it."""

_PAGES = 64
_REMEMBERED = 256


async def listed_tools(session: Session) -> tuple[list[JsonObject], str | None]:
    """The tools of a server, and what was left out if it has too many. Raises HostedError."""
    tools: dict[str, JsonObject] = {}
    cursor, size = None, 0
    for _ in range(_PAGES):
        page, cursor = await session.list_tools(cursor)
        for tool in page:
            size += len(dumps(tool))
            if len(tools) == TOOL_LIMIT or size > BYTE_LIMIT:
                return list(tools.values()), f"only the first {len(tools)} tools are offered"
            tools.setdefault(tool["name"], tool)
        if cursor is None:
            return list(tools.values()), None
    return list(tools.values()), f"only the first {_PAGES} pages of its list are read"


def usable(tools: Iterable[Any]) -> list[JsonObject]:
    """Tools of a list that a client has sent back, within the same limits."""
    named = [tool for tool in tools if isinstance(tool.get("name"), str)]
    return named[:TOOL_LIMIT]


class ToolLists:
    """Lists by owner, session and server, least recently used first."""

    def __init__(self) -> None:
        self._lists: OrderedDict[tuple[str, str, ServerAddress], list[JsonObject]] = OrderedDict()

    def get(self, owner: str, session: str | None, address: ServerAddress) -> list[JsonObject] | None:
        key = owner, session or "", address
        if session is None or key not in self._lists:
            return None
        self._lists.move_to_end(key)
        return self._lists[key]

    def keep(self, owner: str, session: str | None, address: ServerAddress, tools: list[JsonObject]) -> None:
        if session is None:
            return
        self._lists[owner, session, address] = tools
        while len(self._lists) > _REMEMBERED:
            self._lists.popitem(last=False)
