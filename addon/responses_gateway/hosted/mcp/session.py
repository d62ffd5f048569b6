"""A connection to an MCP server, as the rest of this folder sees it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from responses_gateway.hosted.interface import HostedError
from responses_gateway.protocol.json import JsonObject


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is, and what it is to be sent: `url` and `headers`, or a `command` and its environment."""

    url: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    configured: bool = False
    """Whether the operator has named the server, which then may be anywhere."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What a server answered to a call. `failed`: the tool itself reports an error."""

    text: str
    failed: bool = False
    left_out: int = 0
    """Pieces of the answer that are neither text nor a picture, or too large."""

    pictures: tuple[str, ...] = ()
    """`data:` addresses; the text says where each was."""


class Session(Protocol):
    """An open connection. Its methods raise HostedError, and HostedErrors alone."""

    async def list_tools(self, cursor: str | None) -> tuple[list[JsonObject], str | None]:
        """A page of the tools, each with name, description, input_schema and annotations, and where the next page
        begins."""

    async def call_tool(self, name: str, arguments: JsonObject) -> CallOutcome:
        """Call a tool."""


class Refused(HostedError):
    """The server has answered, with an error: the connection is as good as before."""


class NotTaken(HostedError):
    """The server does not know the connection any more, and has done nothing."""


type Connect = Callable[[ServerAddress], AbstractAsyncContextManager[Session]]
"""Opens a connection, which lasts as long as the context. Raises HostedError."""
