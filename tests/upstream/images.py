"""An endpoint of OpenAI's Images API that answers whatever a test wants it to answer, in a thread."""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from upstream.threaded import Server, ThreadedServer

type Json = dict[str, Any]
type Answer = Callable[["Handler"], None]


def png(side: int = 1) -> bytes:
    """A black square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" * (1 + 3 * side) for _ in range(side)))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PNG = base64.b64encode(png()).decode()


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        value: Json = json.loads(self.body)
        return value


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._serve(body)

    def do_GET(self) -> None:
        self._serve(b"")

    def _serve(self, body: bytes) -> None:
        images: ScriptedImages = self.server.scripted
        headers = {name.lower(): value for name, value in self.headers.items()}
        images.requests.append(Request(self.path, headers, body))
        answer = images.answers.pop(0) if images.answers else made()
        answer(self)

    def plain(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, content_type: str) -> None:
        """Begin an answer that ends when its connection does."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def made(data: str = PNG, **fields: Any) -> Answer:
    """A picture."""
    return said({"created": 1, "data": [{"b64_json": data, **fields}]})


def said(value: Any, status: int = 200) -> Answer:
    """Any JSON."""
    return lambda handler: handler.plain(status, json.dumps(value).encode())


def streamed(*events: Json, partial: int = 0, end: bool = True) -> Answer:
    """Some partial pictures, other events and, unless `end` is false, the picture."""
    parts = [
        {"type": "image_generation.partial_image", "partial_image_index": at, "b64_json": PNG, "size": "1024x1024"}
        for at in range(partial)
    ]
    last = [{"type": "image_generation.completed", "b64_json": PNG, "size": "1024x1024"}] if end else []

    def answer(handler: Handler) -> None:
        handler.begin("text/event-stream")
        for event in (*parts, *events, *last):
            handler.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            handler.wfile.flush()

    return answer


class ScriptedImages(ThreadedServer):
    """`answers` in order, then pictures; `requests` are those that came."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(Handler)
        self.answers = list(answers)
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        return f"http://{self.host}/v1"
