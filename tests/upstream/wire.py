"""An upstream that does to its connections what the question itself says: interim responses, trailers, cuts, strays."""

import asyncio
import json
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from upstream.answers import chunk, done, event, finish, reply
from upstream.request import Request, parsed_body
from upstream.server import ScriptedUpstream

type Fault = Literal["", "close", "reset", "stall"]
type After = Literal["", "announced close", "close", "close soon", "reset", "bytes", "bytes soon"]

MODEL = "wire"
STRAY = "This answers nobody."
DELTAS = 6
PATIENCE = 60
"""Seconds."""

SOON = 0.002
"""Seconds; about as long as a client takes for its next question."""


@dataclass(frozen=True)
class Question:
    """What the upstream does when it is asked this; the question is sent as JSON, in the text of the request.

    `fault` comes before a byte of the answer, for the first `faults` requests; `cut` in the middle of the answer.
    """

    number: int
    fault: Fault = ""
    faults: int = 0
    interim: tuple[int, ...] = ()
    pause: bool = False
    """Between the interim responses and the answer."""
    cut: Fault = ""
    trailers: bool = False
    shredded: bool = False
    """Whether reads of the answer end anywhere, instead of where chunks end."""
    after: After = ""

    @property
    def text(self) -> str:
        """What the model answers."""
        return "".join(self.deltas)

    @property
    def deltas(self) -> list[str]:
        return [f"{self.number}:{index} " for index in range(DELTAS)]

    def body(self, *, stream: bool) -> bytes:
        """A request for the Responses API that asks this."""
        return json.dumps({"model": MODEL, "input": json.dumps(asdict(self)), "stream": stream}).encode()


class WireUpstream(ScriptedUpstream):
    """A context manager.

    `asked` counts the requests by question, `opened` the connections, `open` those that last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[int] = Counter()
        self.open = self.opened = 0
        self._left: set[int] = set()
        self._strayed: set[int] = set()
        self._news = threading.Condition()

    def wait_asked(self, number: int) -> None:
        self._wait(lambda: self.asked[number] > 0, f"nobody asked question {number}")

    def wait_strayed(self, number: int) -> None:
        """Wait until the stray bytes behind the answer to question `number` were sent."""
        self._wait(lambda: number in self._strayed, f"nothing strayed behind question {number}")

    def wait_left(self, number: int) -> None:
        """Wait until a connection has ended that question `number` came by."""
        self._wait(lambda: number in self._left, f"the connection that question {number} came by is open")

    def wait_open(self, count: int) -> None:
        """Wait until no more connections than that are open."""
        self._wait(lambda: self.open <= count, f"more than {count} connections are open")

    def _wait(self, reached: Callable[[], bool], failure: str) -> None:
        with self._news:
            if not self._news.wait_for(reached, PATIENCE):
                raise TimeoutError(f"{failure} after {PATIENCE} s")

    def note_strayed(self, number: int) -> None:
        with self._news:
            self._strayed.add(number)
            self._news.notify_all()

    def note_asked(self, number: int) -> int:
        """How often the question was asked, with this time."""
        with self._news:
            self.asked[number] += 1
            self._news.notify_all()
            return self.asked[number]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._news:
            self.open += 1
            self.opened += 1
        connection = _Connection(self, reader, writer)
        try:
            await connection.run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with self._news:
                self.open -= 1
                self._left |= connection.asked
                self._news.notify_all()


class _Connection:
    def __init__(self, upstream: WireUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self.asked: set[int] = set()
        """The questions that came by it."""

    async def run(self) -> None:
        while True:
            head = await self._reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            raw = await self._reader.readexactly(int(fields.get(b"content-length", b"0")))
            request = Request("POST", head.split(b" ", 2)[1].decode(), {}, raw, parsed_body(raw))
            asked = json.loads(request.body["messages"][-1]["content"])
            question = Question(**{**asked, "interim": tuple(asked["interim"])})
            self.asked.add(question.number)
            if not await self._answer(question, streams=bool(request.body.get("stream"))):
                return

    async def _answer(self, question: Question, *, streams: bool) -> bool:
        """Whether the connection goes on."""
        times = self._upstream.note_asked(question.number)
        if times <= question.faults and not await self._suffer(question.fault):
            return False
        for status in question.interim:
            self._writer.write(b"HTTP/1.1 %d Interim\r\nlink: </a>\r\n\r\n" % status)
        if question.pause:
            await asyncio.sleep(SOON * 5)
        head, body = _answer_of(question, streams=streams)
        if question.cut:
            await self._write(question, head + body[: len(body) // 2])
            return await self._suffer(question.cut)
        await self._write(question, head + body + (_stray() if question.after == "bytes" else b""))
        return await self._go_on(question)

    async def _go_on(self, question: Question) -> bool:
        match question.after:
            case "close" | "announced close":
                return False
            case "close soon":
                await asyncio.sleep(SOON * random.random())
                return False
            case "reset":
                return await self._suffer("reset")
            case "bytes soon":
                await asyncio.sleep(SOON)
                self._writer.write(_stray())
                await self._writer.drain()
                self._upstream.note_strayed(question.number)
        return True

    async def _suffer(self, fault: Fault) -> bool:
        if fault == "stall":
            await self._reader.read()
        elif fault == "reset":
            # A zero linger time makes close() send RST instead of FIN.
            sock: socket.socket = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        return not fault

    async def _write(self, question: Question, data: bytes) -> None:
        step = 97 if question.shredded else len(data)
        for at in range(0, len(data), step):
            self._writer.write(data[at : at + step])
            await self._writer.drain()
            await asyncio.sleep(0)


def _answer_of(question: Question, *, streams: bool) -> tuple[bytes, bytes]:
    """Head and body, as they are sent."""
    close = "connection: close\r\n" if question.after == "announced close" else ""
    trailers = "x-checksum: 1\r\nserver-timing: total;dur=1\r\n" if question.trailers else ""
    if streams:
        pieces = [event(chunk({"content": delta})) for delta in question.deltas] + [event(finish()), done()]
    else:
        pieces = [_whole(question.text)]
    kind = "text/event-stream" if streams else "application/json"
    if not (streams or question.trailers):
        length = f"content-length: {len(pieces[0])}\r\n"
        return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{length}{close}\r\n".encode(), pieces[0]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n{close}\r\n"
    return head.encode(), chunks + f"0\r\n{trailers}\r\n".encode()


def _whole(text: str) -> bytes:
    answer = reply(text=text)
    request = Request("POST", "/", {}, b"", {})
    while callable(answer):
        answer = answer(request)
    return b"".join(piece for piece in answer.pieces if isinstance(piece, bytes))


def _stray() -> bytes:
    body = _whole(STRAY)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
