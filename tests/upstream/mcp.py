"""An MCP server over Streamable HTTP that says whatever a test wants it to say, in a thread."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from upstream.threaded import Server, ThreadedServer

type Json = dict[str, Any]
type Answer = Callable[["Handler", Json], None]
"""Answers a message, which has an id."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.scripted.messages.append(message)
        if "id" not in message:
            self.plain(202)
            return
        answer = self.server.scripted.answers.get(message["method"])
        if answer is None:
            self.error(message, -32601, "no such method")
        else:
            answer(self, message)

    def do_GET(self) -> None:
        self.plain(405)

    do_DELETE = do_GET

    def plain(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def result(self, message: Json, result: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self.plain(200, body, content_type="application/json")

    def error(self, message: Json, code: int, text: str) -> None:
        error = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": text}}
        self.plain(200, json.dumps(error).encode(), content_type="application/json")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def result(value: Json) -> Answer:
    return lambda handler, message: handler.result(message, value)


def text(value: str) -> Answer:
    return result({"content": [{"type": "text", "text": value}]})


def tool(name: str, **fields: Any) -> Json:
    return {"name": name, "inputSchema": {"type": "object", "properties": {}}, **fields}


class ScriptedMcp(ThreadedServer):
    """`answers` by method; `messages` are those that came."""

    def __init__(self, **answers: Answer) -> None:
        super().__init__(Handler)
        begun = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "x", "version": "1"},
        }
        self.answers: dict[str, Answer] = {
            "initialize": result(begun),
            "tools/list": result({"tools": [tool("look")]}),
            "tools/call": text("seen"),
        }
        self.answers |= {name.replace("_", "/"): answer for name, answer in answers.items()}
        self.messages: list[Json] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}/mcp"

    def asked(self, method: str) -> int:
        return sum(message["method"] == method for message in self.messages)
