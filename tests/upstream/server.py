"""The server: asyncio in a thread of its own, one script per model name."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from upstream.answers import Answer, Cut, Drip, Gate, Responder, completion, error
from upstream.request import Ending, JsonObject, Request, parsed_body

if TYPE_CHECKING:
    import ssl


class Script:
    """What one model answers, in order, and what it was asked."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self._answers: deque[Responder] = deque()
        self._always: Responder | None = None
        self._arrival = threading.Condition()

    def answer(self, *answers: Responder) -> None:
        """Queue answers; each request takes one."""
        self._answers.extend(answers)

    def always(self, responder: Responder) -> None:
        """What answers when the queue is empty."""
        self._always = responder

    @property
    def request(self) -> Request:
        """The only request there was."""
        assert len(self.requests) == 1, f"{self.model} got {len(self.requests)} requests, not one"
        return self.requests[0]

    def wait_requests(self, count: int, timeout: float = 60) -> list[Request]:
        """Wait until that many requests arrived. Raises TimeoutError after `timeout` seconds."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{self.model} got {len(self.requests)} of {count} requests within {timeout} s")
        return self.requests

    def verify(self) -> None:
        """Assert that the script was played to its end and nothing more was asked."""
        assert not self.faults, f"the script of {self.model} failed: {self.faults}"
        assert not self._answers, f"{len(self._answers)} answers of {self.model} were never asked for"

    def next_answer(self, request: Request) -> Answer:
        with self._arrival:
            self.requests.append(request)
            self._arrival.notify_all()
        if self._answers:
            responder = self._answers.popleft()
        elif self._always is not None:
            responder = self._always
        else:
            raise AssertionError(f"there is no answer left for request {len(self.requests)}")
        while not isinstance(responder, Answer):
            responder = responder(request)
        return responder


_PATHS = ("/chat/completions", "/responses", "/responses/compact", "/responses/input_tokens")
"""What scripts answer: which API an answer speaks is up to the script."""

_SHOW = "/api/show"
"""Where Ollama is asked for what it knows of a model."""


class ScriptedUpstream:
    """A server for chat/completions on a loopback port chosen by the OS; a context manager.

    It speaks the Responses API where a script's answers do (`upstream.native`). The model name of a request finds its
    script; /models lists these names, or `models`, unless `has_list` is false. `listings` are the requests for it.
    `pages` are what GET finds elsewhere, by path; `probes` are the requests for those, and for what is not there.
    `strays` are requests that no script expects: unknown models, and other paths.
    """

    def __init__(self) -> None:
        self.port = 0
        self.models: list[JsonObject] | None = None
        self.has_list = True
        self.listings: list[Request] = []
        self.pages: dict[str, JsonObject] = {}
        self.probes: list[Request] = []
        self.strays: list[Request] = []
        self.kept: dict[str, Answer] = {}
        """What is answered to calls about responses, by method and path."""

        self.kept_asked: list[Request] = []
        self._scripts: dict[str, Script] = {}
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._serve, name="scripted upstream", daemon=True)
        self._tls: ssl.SSLContext | None = None
        self._started = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, model: str) -> Script:
        """A fresh script for that model name, replacing the one it had."""
        self._scripts[model] = script = Script(model)
        return script

    def forget(self, model: str) -> None:
        self._scripts.pop(model, None)

    def __enter__(self) -> "ScriptedUpstream":
        self._thread.start()
        if not self._started.wait(10):
            raise TimeoutError("the scripted upstream did not start within 10 s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        starting = asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**26, ssl=self._tls)
        server = self._loop.run_until_complete(starting)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in self._connections:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
        self._loop.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Connection(self, reader, writer).run()

    def answer_to(self, request: Request) -> Answer:
        if request.method == "GET" and request.path.endswith("/models"):
            self.listings.append(request)
            listed = self.models if self.models is not None else [{"id": model} for model in self._scripts]
            return completion({"object": "list", "data": listed}) if self.has_list else error(404, "no list")
        if (answer := self.kept.get(f"{request.method} {request.path}")) is not None:
            self.kept_asked.append(request)
            return answer
        if request.method == "GET" or request.path.endswith(_SHOW):
            self.probes.append(request)
            page = self.pages.get(request.path)
            return completion(page) if page is not None else error(404, f"there is no {request.path}")
        model = request.body.get("model")
        script = self._scripts.get(model) if isinstance(model, str) else None
        if script is None or not request.path.partition("?")[0].endswith(_PATHS):
            self.strays.append(request)
            return error(404, f"nothing is scripted for {request.method} {request.path} with the model {model!r}")
        try:
            return script.next_answer(request)
        except Exception as exception:  # noqa: BLE001 (`Script.verify` raises it in the test)
            script.faults.append(repr(exception))
            return error(400, f"the script of {model} failed: {exception!r}", code="invalid_prompt")


class _Connection:
    """One keep-alive HTTP/1.1 connection, which notices at any time that the client leaves."""

    def __init__(self, upstream: ScriptedUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._ahead = b""

    async def run(self) -> None:
        try:
            while request := await self._read_request():
                if not await self._exchange(request):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            with contextlib.suppress(ConnectionError):
                self._writer.close()

    async def _exchange(self, request: Request) -> bool:
        """Answer one request; whether the connection goes on."""
        answer = self._upstream.answer_to(request)
        sending = asyncio.ensure_future(self._send(answer))
        listening = asyncio.ensure_future(self._listen())
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and not listening.result():
                request.ended(Ending.CLIENT_LEFT)
                return False
            whole = await sending
        except ConnectionError:
            request.ended(Ending.CLIENT_LEFT)
            return False
        finally:
            sending.cancel()
            listening.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)
        self._ahead = b"" if listening.cancelled() else listening.result()
        request.ended(Ending.ANSWERED if whole else Ending.CUT)
        return whole and answer.framing != "until close"

    async def _listen(self) -> bytes:
        """Wait for the client while it is being answered: b"" when it left, else the first byte of its next request."""
        try:
            return await self._reader.read(1)
        except ConnectionError:
            return b""

    async def _read_request(self) -> Request | None:
        try:
            head = self._ahead + await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await self._read_body(headers)
        return Request(method, path, headers, raw, parsed_body(raw))

    async def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            body += await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()
        return body

    async def _send(self, answer: Answer) -> bool:
        """Send an answer; False when the script cut it."""
        chunked = answer.framing == "chunked"
        if answer.status:
            self._writer.write(_head(answer))
            await self._writer.drain()
        for piece in answer.pieces:
            match piece:
                case bytes():
                    self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await self._writer.drain()
                case Drip(data, pause):
                    while True:
                        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
                        await self._writer.drain()
                        await asyncio.sleep(pause)
                case Gate():
                    piece.reach()
                    await asyncio.wrap_future(piece.opened)
                case Cut():
                    self._cut(piece)
                    return False
        if chunked:
            self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()
        return True

    def _cut(self, cut: Cut) -> None:
        if cut.reset:
            # A zero linger time makes close() send RST instead of FIN.
            sock: socket.socket = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        else:
            self._writer.close()


def _head(answer: Answer) -> bytes:
    headers = dict(answer.headers)
    if answer.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif answer.framing == "length":
        headers["content-length"] = str(sum(len(piece) for piece in answer.pieces if isinstance(piece, bytes)))
    else:
        headers["connection"] = "close"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Scripted\r\n{lines}\r\n".encode("latin-1")
