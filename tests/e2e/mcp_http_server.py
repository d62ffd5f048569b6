"""A real MCP server, made with the package `mcp`; its argument is the transport: streamable-http, sse or stdio."""

import asyncio
import socket
import sys
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.types import ToolAnnotations
from pydantic import Field
from starlette.applications import Starlette

from e2e.mcp_server import png

server = MCPServer("desk")
counts: dict[str, int] = {}


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: Annotated[int, Field(description="The first number.")], b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def write(text: str) -> str:
    """Write a text down."""
    counts[text] = counts.get(text, 0) + 1
    return f"written {counts[text]} time(s): {text}"


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("it failed on purpose")


@server.tool()
def authorization(ctx: Context) -> str:
    """What the client has sent as authorization."""
    request = ctx.request_context.request
    return str(request and request.headers.get("authorization"))


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=png(), format="png")


@server.tool()
async def hang() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return "never"


def serve(app: Starlette) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"listening at port {listening.getsockname()[1]}", flush=True)
        asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listening]))


if __name__ == "__main__":
    match sys.argv[1]:
        case "sse":
            serve(server.sse_app())
        case "streamable-http":
            serve(server.streamable_http_app())
        case _:
            server.run("stdio")
